"""Names of members in zip files, in whatever encoding a packer wrote them."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import Listing
from fc7.models.common.errors import SourceError

UNICODE_PATH = 0x7075


def written(path: Path, *members: tuple[bytes, bytes, bytes], checked: bool = True) -> Path:
    """A zip file of members (name, extra fields, content) with no word on the names' encoding."""
    held = {f"{i:05}".ljust(len(name), "."): name for i, (name, _, _) in enumerate(members)}
    with zipfile.ZipFile(path, "w") as archive:
        for stand_in, (_, extra, content) in zip(held, members, strict=True):
            info = zipfile.ZipInfo(stand_in)
            info.extra = extra
            archive.writestr(info, content)
    data = path.read_bytes()
    for stand_in, name in held.items():
        assert data.count(stand_in.encode()) == 2
        data = data.replace(stand_in.encode(), name)
    path.write_bytes(data)
    assert not checked or not any(info.flag_bits & 0x800 for info in zipfile.ZipFile(path).infolist())
    return path


def unicode_path(name: bytes, plain: bytes, version: int = 1) -> bytes:
    """Info-ZIP's extra field, APPNOTE 4.6.9."""
    data = struct.pack("<BL", version, zlib.crc32(plain)) + name
    return struct.pack("<HH", UNICODE_PATH, len(data)) + data


def listed(path: Path) -> tuple[Listing, list[str]]:
    notes: list[str] = []
    return list_inputs([path], notify=notes.append), notes


@pytest.mark.parametrize("name", ["κόκκινο/ά.png", "緑/青い空.jpg", "Grün/naïve.png", "🍎/1.png"])
def test_a_name_that_is_utf8_is_utf8_without_the_flag(tmp_path: Path, name: str) -> None:
    listing, notes = listed(written(tmp_path / "a.zip", (name.encode(), b"", b"x")))
    (image,) = listing.images
    assert (image.path, image.label) == (name, name.partition("/")[0])
    assert image.origin.read(image) == b"x"
    assert notes == []


@pytest.mark.parametrize("plain", ["сорока/1.png".encode("cp1251"), b"#U0441/1.png"])
def test_the_unicode_path_field_names_what_the_plain_name_cannot(tmp_path: Path, plain: bytes) -> None:
    other = struct.pack("<HH", 0x5455, 1) + b"\0"
    extra = other + unicode_path("сорока/1.png".encode(), plain)
    listing, notes = listed(written(tmp_path / "a.zip", (plain, extra, b"x")))
    assert [(ref.path, ref.label) for ref in listing.images] == [("сорока/1.png", "сорока")]
    assert notes == []


@pytest.mark.parametrize("fault", ["checksum", "version", "empty"])
def test_a_unicode_path_field_that_does_not_fit_the_name_counts_for_nothing(
    tmp_path: Path, fault: str
) -> None:
    plain = b"cl\x82/1.png"  # cp437: e with acute
    extra = {
        "checksum": unicode_path(b"other/1.png", b"renamed.png"),
        "version": unicode_path(b"other/1.png", plain, version=2),
        "empty": unicode_path(b"", plain),
    }[fault]
    listing, notes = listed(written(tmp_path / "a.zip", (plain, extra, b"x")))
    assert [(ref.path, ref.label) for ref in listing.images] == [("clé/1.png", "clé")]
    assert len(notes) == 1


def test_a_unicode_path_that_is_not_utf8_is_never_guessed_at(tmp_path: Path) -> None:
    plain = b"cl\x82/1.png"
    path = written(tmp_path / "a.zip", (plain, unicode_path(b"\xff/1.png", plain), b"x"), checked=False)
    if sys.version_info >= (3, 12):  # there zipfile itself refuses the archive
        with pytest.raises(SourceError, match="damaged zip file"):
            list_inputs([path])
    else:
        assert [ref.path for ref in listed(path)[0].images] == ["clé/1.png"]


def test_names_that_had_to_be_guessed_are_said_once_with_an_example(tmp_path: Path) -> None:
    names = [f"Gr\x81n/{i}.png".encode("latin-1") for i in range(3)]  # cp437: u with diaeresis
    path = written(tmp_path / "a.zip", *((name, b"", b"x") for name in names), (b"plain/1.png", b"", b"x"))
    listing, notes = listed(path)
    assert [ref.label for ref in listing.images] == ["Grün"] * 3 + ["plain"]
    (note,) = notes
    assert note == (
        f"{path}: names in an encoding that the archive does not tell (3, such as Grün/0.png) were read as "
        "cp437; if that is wrong, pack again in UTF-8 (7z a -mcu=on)"
    )


def test_a_unicode_path_that_leads_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    extra = unicode_path(b"../1.png", b"in/1.png")
    listing, _ = listed(written(tmp_path / "a.zip", (b"in/1.png", extra, b"x"), (b"in/2.png", b"", b"x")))
    assert [ref.path for ref in listing.images] == ["in/2.png"]
    assert [(one.path, one.reason) for one in listing.failures] == [
        ("../1.png", "refused: a path that leaves the archive")
    ]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_what_info_zip_packs_has_the_names_of_the_folder(tmp_path: Path, locale: str) -> None:
    if shutil.which("zip") is None:
        pytest.skip("needs Info-ZIP's zip")
    for name in ("κόκκινο", "緑"):
        (tmp_path / "imgs" / name).mkdir(parents=True)
        (tmp_path / "imgs" / name / "1.png").write_bytes(b"x")
    subprocess.run(
        ["zip", "-qr", "../a.zip", "."], cwd=tmp_path / "imgs", env={"LC_ALL": locale}, check=True, timeout=60
    )
    listing, notes = listed(tmp_path / "a.zip")
    assert [ref.path for ref in listing.images] == ["κόκκινο/1.png", "緑/1.png"]
    assert notes == []
