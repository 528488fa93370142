"""Images in archives: found, labelled and read without unpacking."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.folders import is_hidden
from fc7.extract.records import Listing
from fc7.models.common.errors import ImageError
from tests.support.extract.odd_files import encoded, photo

FORMS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """An archive of the kind that the suffix names."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    kind = path.name.partition(".tar")[2].strip(".")
    with tarfile.open(path, f"w:{kind}") as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            add(tar, name, data)
    return path


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(data))


def contents(listing: Listing) -> dict[str, bytes]:
    found = {}
    for ref in listing.images:
        data = ref.origin.read(ref)
        assert isinstance(data, bytes)
        found[ref.path] = data
    return found


@pytest.mark.skipif(os.name != "posix", reason="needs a file system that takes any bytes")
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_whose_name_is_not_utf8_is_recorded_in_utf8(tmp_path: Path, form: str) -> None:
    named = tmp_path / (os.fsdecode(b"caf\xe9.") + form)
    pack(tmp_path / f"a.{form}", {"cat/1.jpg": b"cat"}).rename(named)
    listing = list_inputs([named])
    assert contents(listing) == {"cat/1.jpg": b"cat"}
    for text in (*listing.roots, listing.images[0].shown):
        text.encode()


@pytest.mark.parametrize("form", FORMS)
def test_members_are_found_labelled_by_their_folder_and_read(tmp_path: Path, form: str) -> None:
    files = {
        "set/dog/2.JPG": b"second",
        "./set/cat/1.png": b"first" * 1000,
        "top.jpg": b"third",
        "set/readme.md": b"",
        "__MACOSX/set/._1.png": b"x",
        "set/.cache/4.png": b"x",
        "noending": b"",
    }
    listing = list_inputs([pack(tmp_path / f"a.{form}", files)])
    assert [(ref.path, ref.label, ref.size) for ref in listing.images] == [
        ("set/cat/1.png", "cat", 5000),
        ("set/dog/2.JPG", "dog", 6),
        ("top.jpg", None, 5),
    ]
    assert contents(listing) == {
        "set/cat/1.png": b"first" * 1000,
        "set/dog/2.JPG": b"second",
        "top.jpg": b"third",
    }
    assert listing.ignored == {".md": 1, "hidden": 2, "no suffix": 1}
    assert listing.images[0].shown.endswith(f"a.{form}/set/cat/1.png")


NAME = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\:"), min_size=1, max_size=40
).filter(lambda name: not is_hidden(name))


@settings(max_examples=40, deadline=None)
@given(
    files=st.dictionaries(
        st.lists(NAME, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".jpg"),
        st.binary(max_size=3000),
        min_size=1,
        max_size=8,
    ),
    form=st.sampled_from(FORMS),
    order=st.randoms(use_true_random=False),
)
def test_whatever_is_packed_comes_out_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], form: str, order: random.Random
) -> None:
    listing = list_inputs([pack(tmp_path_factory.mktemp("a") / f"a.{form}", files)])
    assert not listing.failures
    assert [ref.path for ref in listing.images] == sorted(files)
    refs = [*listing.images, *listing.images]
    order.shuffle(refs)
    for ref in refs:
        assert ref.origin.read(ref) == files[ref.path]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_several_threads_read_one_archive(tmp_path: Path, form: str, shuffled: bool) -> None:
    rng = random.Random(0)
    names = [f"c{i % 3}/{i:04}.jpg" for i in range(200)]
    order = rng.sample(names, len(names)) if shuffled else sorted(names)
    files = {name: name.encode() + rng.randbytes(rng.randrange(4000)) for name in order}
    listing = list_inputs([pack(tmp_path / f"a.{form}", files)])
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda ref: ref.origin.read(ref), listing.images))
    assert read == [files[ref.path] for ref in listing.images]


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_shards_given_together_keep_their_names(tmp_path: Path, form: str) -> None:
    shards = [
        pack(tmp_path / f"shard-{i}.{form}", {"000.jpg": b"%d" % i, "000.cls": b"%d" % i}) for i in range(4)
    ]
    listing = list_inputs(shards)
    assert [(r.path, r.label) for r in listing.images] == [
        (f"shard-{i}.{form}/000.jpg", str(i)) for i in range(4)
    ]
    assert list(contents(listing).values()) == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("form", FORMS)
def test_a_shard_is_labelled_by_the_files_beside_its_images(tmp_path: Path, form: str) -> None:
    files = {
        "s/000.jpg": b"",
        "s/000.cls": b"7\n",
        "s/001.png": b"",
        "s/001.json": json.dumps({"class": "stop sign", "width": 3}).encode(),
        "s/002.left.jpg": b"",
        "s/002.cls": "Züge".encode(),
        "s/003.jpg": b"",
        "s/003.json": b"{damaged",
        "s/004.jpg": b"",
        "s/004.json": b'{"label": 12}',
        "s/004.cls": b"11",
    }
    notes: list[str] = []
    listing = list_inputs([pack(tmp_path / f"a.{form}", files)], notify=notes.append)
    assert [ref.label for ref in listing.images] == ["7", "stop sign", "Züge", None, "11"]
    assert notes == [
        f"{tmp_path / f'a.{form}'}: 1 of 5 images have no label in a .cls or .json; these have none"
    ]


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize(
    "beside", [{"d/1.cls": b"x"}, {"d/1.json": b'{"caption": "a"}', "d/2.json": b"[]"}, {"d/1.txt": b"x"}]
)
def test_a_shard_that_is_not_labelled_throughout_goes_by_its_folders(
    tmp_path: Path, form: str, beside: dict[str, bytes]
) -> None:
    listing = list_inputs([pack(tmp_path / f"a.{form}", {"d/1.jpg": b"", "d/2.jpg": b"", **beside})])
    assert [ref.label for ref in listing.images] == ["d", "d"]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("folder", ["", "s/"])
def test_one_missing_label_file_costs_one_label(tmp_path: Path, form: str, folder: str) -> None:
    files = {f"{folder}{i:03}.jpg": b"" for i in range(40)}
    files |= {f"{folder}{i:03}.cls": b"%d" % (i % 4) for i in range(40) if i != 7}
    notes: list[str] = []
    listing = list_inputs([pack(tmp_path / f"a.{form}", files)], notify=notes.append)
    assert [ref.label for ref in listing.images] == [str(i % 4) if i != 7 else None for i in range(40)]
    assert notes == [
        f"{tmp_path / f'a.{form}'}: 1 of 40 images have no label in a .cls or .json; these have none"
    ]


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_label_that_is_a_number_counts(tmp_path: Path, form: str) -> None:
    written = {"1": "1", "1.0": "1", "-2": "-2", "2.5": "2.5", "NaN": None, "true": None, '"1.0"': "1.0"}
    files = {f"{i}.jpg": b"" for i in range(len(written))}
    files |= {f"{i}.json": b'{"label": %s}' % text.encode() for i, text in enumerate(written)}
    listing = list_inputs([pack(tmp_path / f"a.{form}", files)])
    assert [ref.label for ref in listing.images] == list(written.values())


@pytest.mark.parametrize("form", FORMS)
def test_members_of_another_name_are_images_by_their_first_bytes(tmp_path: Path, form: str) -> None:
    picture = encoded(photo(8, 9), "PNG")
    pictures = {"a/1.jpg_large": picture, "a/2": picture, "a/3.jpg?raw=1": picture, "b/4.HEIC": b"heic"}
    others = {"a/n.txt": b"BM is a name", "a/r.nef": b"II*\0" + bytes(99), "a/0": b"", "z/~": b"x" * 2000}
    # A picture that calls itself a label is one.
    others["a/4.cls"] = picture
    listing = list_inputs([pack(tmp_path / f"a.{form}", others | pictures)])
    assert contents(listing) == pictures
    assert listing.ignored == {".txt": 1, ".nef": 1, "no suffix": 2, ".cls": 1}


def test_the_last_member_of_a_name_counts_as_when_unpacking(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "1.jpg", b"old")
        add(tar, "./1.jpg", b"newer")
    listing = list_inputs([tmp_path / "a.tar"])
    assert contents(listing) == {"1.jpg": b"newer"}
    assert listing.ignored == {"replaced by a later member": 1}


def test_changed_content_of_a_zip_member_shows_though_name_size_and_time_stay(tmp_path: Path) -> None:
    seen = set()
    for data in (b"aaaa", b"bbbb", b"aaaa"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("1.jpg", (2020, 2, 3, 4, 5, 6)), data)
        (ref,) = list_inputs([tmp_path / "a.zip"]).images
        assert ref.mtime_ns // 10**9 == 1580702706  # 2020-02-03T04:05:06Z
        seen.add((ref.size, ref.mtime_ns))
    assert len(seen) == 2


def test_members_of_a_tar_file_have_the_time_of_the_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", {"1.jpg": b"x"})
    assert list_inputs([path]).images[0].mtime_ns == path.stat().st_mtime_ns


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_an_archive_that_vanishes_fails_image_by_image(tmp_path: Path, form: str) -> None:
    path = pack(tmp_path / f"a.{form}", {"1.jpg": b"x"})
    (ref,) = list_inputs([path]).images
    path.unlink()
    with pytest.raises(ImageError, match="vanished"):
        ref.origin.read(ref)


def test_a_tar_file_is_known_by_its_content_not_its_suffix(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar.gz", {"1.jpg": b"x"}).rename(tmp_path / "a.tar")
    pack(tmp_path / "b.tar", {"BZh.jpg": b"y"}).rename(tmp_path / "b.tgz")
    assert list(contents(list_inputs([tmp_path / "a.tar", tmp_path / "b.tgz"])).values()) == [b"x", b"y"]


@pytest.mark.parametrize("order", ["listed", "nearly", "backwards", "random"])
def test_a_compressed_archive_is_decompressed_once_in_whatever_order_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    from fc7.extract.inputs.archives import forward

    files = {f"{i:04}.jpg": random.Random(i).randbytes(2000) for i in range(500)}
    refs = list_inputs([pack(tmp_path / "a.tar.gz", files)]).images
    opened: list[Path] = []

    def counted(path: Path) -> object:
        opened.append(path)
        return gzip.open(path)

    monkeypatch.setitem(forward._OPEN, "gzip", counted)
    monkeypatch.setattr(forward, "IN_MEMORY_BYTES", 20_000)
    positions = {
        "listed": range(500),
        "nearly": [i ^ 3 for i in range(500)],
        "backwards": range(499, -1, -1),
        "random": random.Random(1).sample(range(500), 500),
    }[order]
    for i in positions:
        assert refs[i].origin.read(refs[i]) == files[refs[i].path]
    assert len(opened) == 1


def _full(**_: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_pieces_that_wait_beyond_memory_are_the_temporary_folders_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full temporary folder fails the image that needs it, and the next read is right again."""
    from fc7.extract.inputs.archives import forward

    files = {f"{i}.jpg": bytes([i]) * 2000 for i in range(9)}
    refs = list_inputs([pack(tmp_path / "a.tar.gz", files)]).images
    monkeypatch.setattr(forward, "IN_MEMORY_BYTES", 3000)
    with monkeypatch.context() as full:
        full.setattr("tempfile.TemporaryFile", _full)
        with pytest.raises(ImageError, match=r"cannot be read from the archive: .*No space left"):
            refs[8].origin.read(refs[8])
    for ref in reversed(refs):
        assert ref.origin.read(ref) == files[ref.path]


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_compressed_archive_that_was_read_keeps_no_file_open(tmp_path: Path, shuffled: bool) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("counts open files in /proc")
    names = ["b.jpg", "a.jpg"] if shuffled else ["a.jpg", "b.jpg"]
    shards = [pack(tmp_path / f"{i}.tar.gz", dict.fromkeys(names, b"x")) for i in range(20)]
    before = len(list(descriptors.iterdir()))
    listing = list_inputs(shards)
    assert len(contents(listing)) == 40
    assert len(list(descriptors.iterdir())) <= before
