"""Archives that are damaged, or made to do harm."""

from __future__ import annotations

import gzip
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fc7.extract.images import limits
from fc7.extract.inputs.archives import members
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import Listing
from fc7.models.common.errors import Fc7Error, ImageError, SourceError, UnsafeFileError
from tests.extract.inputs.archives.test_archives import add, contents, pack


def reasons(listing: Listing) -> dict[str, str]:
    return {failure.path: failure.reason for failure in listing.failures}


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


BAD_NAMES = ("../up.jpg", "a/../../up.jpg", "/etc/abs.jpg", "C:/drive.jpg", "c:drive.jpg", "../../etc/passwd")


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_members_that_leave_the_archive_are_failures_by_name(tmp_path: Path, form: str) -> None:
    files = dict.fromkeys(BAD_NAMES, b"x") | {"good/1.jpg": b"good"}
    listing = list_inputs([pack(tmp_path / f"a.{form}", files)])
    assert contents(listing) == {"good/1.jpg": b"good"}
    assert set(reasons(listing)) == set(BAD_NAMES)
    assert all(reason.startswith("refused: ") for reason in reasons(listing).values())


def test_backslashes_are_folders_in_a_zip_and_part_of_a_name_in_a_tar(tmp_path: Path) -> None:
    files = {r"cat\1.jpg": b"x", r"..\up.jpg": b"x"}
    from_zip = list_inputs([pack(tmp_path / "a.zip", files)])
    assert [(r.path, r.label) for r in from_zip.images] == [("cat/1.jpg", "cat")]
    assert list(reasons(from_zip)) == ["../up.jpg"]
    from_tar = list_inputs([pack(tmp_path / "a.tar", files)])
    assert [(r.path, r.label) for r in from_tar.images] == [(r"cat\\1.jpg", None)]
    assert list(reasons(from_tar)) == [r"..\\up.jpg"]


def test_links_and_devices_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "good.jpg", b"good")
        add(tar, "soft.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "hard.jpg", type=tarfile.LNKTYPE, linkname="good.jpg")
        add(tar, "pipe.jpg", type=tarfile.FIFOTYPE)
        add(tar, "link", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    listing = list_inputs([tmp_path / "a.tar"])
    assert contents(listing) == {"good.jpg": b"good"}
    link = "a link; links inside archives are not followed"
    assert reasons(listing) == {
        "hard.jpg": link,
        "pipe.jpg": "not a file but a pipe, socket or device",
        "soft.jpg": link,
    }
    assert listing.ignored == {"link": 1}


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_a_sparse_file_in_a_tar_fails_alone(tmp_path: Path, form: str) -> None:
    """As ``tar --sparse`` writes one of 1 MB that is empty but for its first 512 bytes."""
    path = tmp_path / f"a.{form}"
    with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as tar:
        sparse = {"GNU.sparse.size": "1000000", "GNU.sparse.map": "0,512"}
        add(tar, "cat/0.jpg", b"x" * 512, pax_headers=sparse)
        add(tar, "cat/1.jpg", b"good")
    listing = list_inputs([path])
    assert contents(listing) == {"cat/1.jpg": b"good"}
    assert reasons(listing) == {"cat/0.jpg": "a sparse file; unpack the archive and give the folder"}


def test_links_in_a_zip_are_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("soft.jpg")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert "not followed" in reasons(list_inputs([tmp_path / "a.zip"]))["soft.jpg"]


def patched(path: Path, change: dict[str, int]) -> Path:
    """Overwrite fields of the only member's entry in a zip's directory."""
    places = {
        "flags": (8, "<H"),
        "method": (10, "<H"),
        "crc": (16, "<L"),
        "stored": (20, "<L"),
        "size": (24, "<L"),
    }
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    for field, value in change.items():
        offset, form = places[field]
        struct.pack_into(form, data, entry + offset, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"flags": 1}, "encrypted; unpack"),
        ({"method": 14}, "compressed with method 14"),
        ({"size": 1 << 31}, "claims 2,147,483,648 bytes; at most 268,435,456"),
        ({"stored": 1 << 31}, "claims more bytes than the archive has"),
    ],
)
def test_a_zip_member_that_cannot_be_read_is_a_failure_of_its_own(
    tmp_path: Path, change: dict[str, int], reason: str
) -> None:
    path = patched(pack(tmp_path / "a.zip", {"good.jpg": b"good", "odd.jpg": b"x" * 99}), change)
    listing = list_inputs([path])
    assert contents(listing) == {"good.jpg": b"good"}
    assert reason in reasons(listing)["odd.jpg"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crc": 5}, "CRC-32"),
        ({"size": 50}, "50 bytes listed, 51 or more"),
        ({"method": 12}, "damaged in the"),
    ],
)
def test_a_zip_member_that_is_not_what_the_list_says_gives_no_picture(
    tmp_path: Path, change: dict[str, int], reason: str
) -> None:
    (ref,) = list_inputs([patched(pack(tmp_path / "a.zip", {"odd.jpg": b"x" * 99}), change)]).images
    with pytest.raises(ImageError, match=reason):
        ref.origin.read(ref)


def test_a_zip_member_that_yields_more_than_it_claims_takes_no_memory(tmp_path: Path) -> None:
    path = patched(pack(tmp_path / "a.zip", {"bomb.jpg": bytes(32 << 20)}), {"size": 1000})
    (ref,) = list_inputs([path]).images
    with memory_below(4 << 20), pytest.raises(ImageError, match="1000 bytes listed, 1001 or more"):
        ref.origin.read(ref)


def test_a_tar_bomb_is_refused_while_it_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 4 << 20)
    with gzip.open(tmp_path / "a.tar.gz", "wb") as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        add(tar, "1.jpg", bytes(32 << 20))
    with memory_below(8 << 20), pytest.raises(UnsafeFileError, match=r"expand to .* or more; refused"):
        list_inputs([tmp_path / "a.tar.gz"])


def test_a_tar_header_of_absurd_length_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.tar.gz", "wb") as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        add(tar, "././@LongLink", bytes(20 << 20), type=tarfile.GNUTYPE_LONGNAME)
    with memory_below(8 << 20), pytest.raises(UnsafeFileError, match="a header of 20,971,520 bytes"):
        list_inputs([tmp_path / "a.tar.gz"])


def test_a_member_of_absurd_size_in_a_tar_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", 100)
    listing = list_inputs([pack(tmp_path / "a.tar", {"big.jpg": bytes(101), "good.jpg": bytes(100)})])
    assert [ref.path for ref in listing.images] == ["good.jpg"]
    assert reasons(listing) == {"big.jpg": "claims 101 bytes; at most 100 are read from an archive"}


@pytest.mark.parametrize("form", ["zip", "tar", "tar.xz"])
def test_an_archive_of_absurdly_many_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(limits, "MAX_MEMBERS", 50)
    path = pack(tmp_path / f"a.{form}", {f"{i}.jpg": b"" for i in range(51)})
    with pytest.raises(UnsafeFileError, match="more than 50 members"):
        list_inputs([path])


def test_a_zip_directory_is_counted_before_objects_are_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "a.zip", {f"{i}.jpg": b"" for i in range(300)})
    monkeypatch.setattr(limits, "MAX_MEMBERS", 100)
    monkeypatch.setattr("fc7.extract.inputs.archives.zips.MAX_MEMBERS", 100)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(UnsafeFileError, match="more than 100 members"):
        list_inputs([path])


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "text"])
def test_a_damaged_archive_is_named_with_advice(tmp_path: Path, form: str, damage: str) -> None:
    path = pack(tmp_path / f"a.{form}", {f"{i}.jpg": bytes(range(256)) * 9 for i in range(9)})
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2 + 100]
    elif damage == "garbage":
        data[: len(data)] = bytes((i * 37 + 11) % 256 for i in range(len(data)))
    else:
        data = bytearray() if damage == "empty" else bytearray(b"not found (404)\n" * 64)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=rf"a\.{form}: a damaged .*copy or download it again"):
        list_inputs([path])


@pytest.mark.parametrize("damage", ["flip at 8", "flip at 4", "cut by 1", "cut by 9"])
@pytest.mark.parametrize("form", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_compressed_tar_file_whose_end_proves_nothing_is_refused_whole(
    tmp_path: Path, form: str, damage: str
) -> None:
    path = pack(tmp_path / f"a.{form}", {f"{i}.jpg": bytes(range(256)) for i in range(3)})
    data = bytearray(path.read_bytes())
    if damage.startswith("cut"):
        del data[-int(damage[-1]) :]
    else:
        # gzip ends with CRC-32 and length (RFC 1952), the others with a checksum or a footer too.
        data[-int(damage[-1])] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=rf"a\.{form}: a damaged .*copy or download it again"):
        list_inputs([path])


@pytest.mark.parametrize("form", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_compressed_tar_file_of_several_streams_is_sound(tmp_path: Path, form: str) -> None:
    path = pack(tmp_path / f"a.{form}", {"cat/1.jpg": b"cat"})
    path.write_bytes(path.read_bytes() * 2)
    assert contents(list_inputs([path])) == {"cat/1.jpg": b"cat"}


def test_what_follows_the_end_of_a_compressed_tar_file_cannot_fill_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 4 << 20)
    path = pack(tmp_path / "a.tar.gz", {"cat/1.jpg": b"cat"})
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(32 << 20)))
    with memory_below(8 << 20), pytest.raises(UnsafeFileError, match=r"expand to .* or more; refused"):
        list_inputs([path])


def test_a_tar_file_that_ends_between_two_members_is_read_with_a_warning(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {f"{i}.jpg": b"x" for i in range(5)})
    path.write_bytes(path.read_bytes()[:3072])
    notes: list[str] = []
    listing = list_inputs([path], notify=notes.append)
    assert list(contents(listing)) == ["0.jpg", "1.jpg", "2.jpg"]
    assert notes == [f"{path}: has no end mark; it may have been cut short"]


def test_a_flipped_bit_in_a_tar_header_does_not_pass_for_the_end(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {f"{i}.jpg": b"x" for i in range(5)})
    data = bytearray(path.read_bytes())
    data[3 * 1024 + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a damaged header at byte 3,072"):
        list_inputs([path])


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_no_flipped_byte_brings_anything_but_our_own_errors(tmp_path: Path, form: str) -> None:
    original = pack(tmp_path / f"a.{form}", {"a/1.jpg": b"one" * 50, "b/2.jpg": b"two", "b/2.cls": b"7"})
    data = original.read_bytes()
    refused = 0
    for place in range(0, len(data), max(1, len(data) // 200)):
        original.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            listing = list_inputs([original])
            for ref in listing.images:
                ref.origin.read(ref)
        except Fc7Error:
            refused += 1
    assert refused > 10
