"""What is away is not gone: rows stay while images cannot be looked at, and many never leave unasked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fc7.extract.cache.reader import load_features
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.records import Failure, ImageRef, Listing
from fc7.extract.summary import ExtractSummary
from fc7.models.common.errors import Fc7Error, ImageError
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import CommandLine, Ran, read_json, tiny_network, write_pictures
from tests.support.fakes import MemoryOrigin


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fifteen pictures in ``imgs`` and their features in ``f.h5``."""
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    import_network(
        tiny_network(tmp_path / "tiny.onnx"),
        "tiny",
        ImportOptions(preprocess=caffe_preprocess(), layer="embedding"),
    )
    write_pictures(tmp_path / "imgs", 5)
    extract("imgs")
    return tmp_path


def extract(*inputs: str | Listing, **options: object) -> ExtractSummary:
    given = inputs[0] if isinstance(inputs[0], Listing) else [str(one) for one in inputs]
    return extract_features(given, "f.h5", ExtractOptions(network="tiny", **options))  # type: ignore[arg-type]


def features() -> dict[str, np.ndarray]:
    found = load_features("f.h5")
    return dict(zip(found.paths, found.X, strict=True))


def assert_same_rows(before: dict[str, np.ndarray]) -> None:
    after = features()
    assert after.keys() == before.keys()
    for path, row in before.items():
        np.testing.assert_array_equal(after[path], row)


class Away(MemoryOrigin):
    """A store that answers 503 for some of its images."""

    def __init__(self, files: dict[str, bytes | None], away: Callable[[str], bool]) -> None:
        super().__init__(files)
        self.away = away

    def read(self, ref: ImageRef) -> bytes:
        if self.away(ref.path):
            raise ImageError("the server answers 503")
        return super().read(ref)  # type: ignore[return-value]


def stored(place: Path, away: Callable[[str], bool], *, mtime_ns: int = 1) -> Listing:
    files: dict[str, bytes | None] = {
        path.relative_to(place / "imgs").as_posix(): path.read_bytes()
        for path in sorted((place / "imgs").rglob("*.png"))
    }
    return Listing(Away(files, away).refs(mtime_ns=mtime_ns), [], {}, ("imgs",))


def test_images_that_a_store_does_not_give_keep_their_rows_and_are_named(place: Path) -> None:
    extract(stored(place, lambda path: False))
    before = features()
    labels = load_features("f.h5").y.tolist()
    # Another time in the listing: all would be read again, and none can be.
    away = extract(stored(place, lambda path: path > "green", mtime_ns=2))
    assert (away.images, away.rows, away.failures, away.removed) == (15, 15, [], 0)
    assert [failure.path for failure in away.stale] == sorted(p for p in before if p > "green")
    assert {failure.reason for failure in away.stale} == {"the server answers 503"}
    assert_same_rows(before)
    assert load_features("f.h5").y.tolist() == labels
    # Back again with the same content, they are found by it.
    back = extract(stored(place, lambda path: False, mtime_ns=2))
    assert (back.stale, back.extracted, back.reused) == ([], 0, 15)


def test_a_new_image_that_cannot_be_read_is_a_failure(place: Path) -> None:
    extract(stored(place, lambda path: False))
    write_pictures(place / "imgs", 1, start=5)
    summary = extract(stored(place, lambda path: path == "red/005.png"))
    assert [failure.path for failure in summary.failures] == ["red/005.png"]
    assert (summary.images, summary.rows, summary.stale) == (18, 17, [])


def test_an_image_whose_new_content_is_damaged_loses_its_row(place: Path) -> None:
    (place / "imgs/red/000.png").write_bytes(b"no picture")
    summary = extract("imgs")
    assert [failure.path for failure in summary.failures] == ["red/000.png"]
    assert "red/000.png" not in features()


def test_a_row_that_lacks_a_layer_is_not_given_up_unasked(place: Path) -> None:
    extract(stored(place, lambda path: False))
    away = stored(place, lambda path: path == "red/000.png")
    with pytest.raises(Fc7Error, match=r"1 image cannot be read now.*red/000.png: the server answers 503"):
        extract(away, layers=("embedding", "r"))
    assert len(features()) == 15
    summary = extract(away, layers=("embedding", "r"), remove_missing=True)
    assert [failure.path for failure in summary.failures] == ["red/000.png"]
    assert load_features("f.h5", "r").X.shape[0] == 14


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every folder")
def test_a_folder_that_may_not_be_read_keeps_its_rows(place: Path) -> None:
    before = features()
    (place / "imgs/red").chmod(0)
    try:
        summary = extract("imgs")
    finally:
        (place / "imgs/red").chmod(0o755)
    assert [failure.path for failure in summary.failures] == ["red/"]
    assert len(summary.stale) == 5
    assert_same_rows(before)


def test_a_folder_that_cannot_be_listed_keeps_its_rows(place: Path) -> None:
    before = features()
    refs = [ref for ref in stored(place, lambda path: False).images if not ref.path.startswith("red/")]
    unlisted = Failure("red/", "the folder cannot be read: Input/output error", 0, 0)
    summary = extract(Listing(refs, [unlisted], {}, ("imgs",)))
    assert [failure.path for failure in summary.failures] == ["red/"]
    assert [failure.path for failure in summary.stale] == [p for p in sorted(before) if p.startswith("red/")]
    assert (summary.images, summary.rows) == (16, 15)
    assert_same_rows(before)


def test_links_into_a_disk_that_is_away_keep_their_rows(place: Path) -> None:
    (place / "imgs").rename(place / "disk")
    for path in (place / "disk").rglob("*.png"):
        link = place / "imgs" / path.relative_to(place / "disk")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    extract("imgs")
    before = features()
    (place / "disk").rename(place / "away")
    summary = extract("imgs")
    assert len(summary.stale) == 15
    assert summary.stale[0].reason.startswith("broken link to")
    assert_same_rows(before)


def refused(cli: CommandLine, *arguments: str) -> Ran:
    before = (cli.folder / "f.h5").read_bytes()
    ran = cli("extract", *arguments, "--network", "tiny", "-o", "f.h5")
    assert ran.code == 2
    assert "Nothing was changed; --remove-missing takes these rows out, another -o keeps them" in ran.err
    assert (cli.folder / "f.h5").read_bytes() == before
    return ran


def test_another_folder_does_not_drop_the_rows_of_the_first(place: Path) -> None:
    write_pictures(place / "test", 2, start=50)
    ran = refused(CommandLine(place), "test")
    assert "f.h5 holds 15 rows, and 15 of them are of images that are not among those given" in ran.err
    assert "it was made from imgs, and this run was given test" in ran.err
    assert extract("test", remove_missing=True).removed == 15
    assert len(features()) == 6


def test_an_input_in_which_nothing_is_found_drops_nothing(place: Path) -> None:
    (place / "mounted").mkdir()
    write_pictures(place / "more", 40)
    shutil.copytree(place / "imgs" / "red", place / "mounted" / "red")
    extract("more", "mounted", remove_missing=True)
    shutil.rmtree(place / "mounted" / "red")
    assert len(features()) == 125
    assert "nothing was found in mounted" in refused(CommandLine(place), "more", "mounted").err


def test_more_than_a_tenth_asks_and_a_tenth_goes(place: Path) -> None:
    write_pictures(place / "imgs", 10)
    extract("imgs")
    for i in range(3):
        (place / f"imgs/red/00{i}.png").unlink()
    assert extract("imgs").removed == 3
    for i in range(3, 6):
        (place / f"imgs/red/00{i}.png").unlink()
    assert "that is more than a tenth of them" in refused(CommandLine(place), "imgs").err
    ran = CommandLine(place).good(
        "extract", "imgs", "--network", "tiny", "-o", "f.h5", "--remove-missing", "--json"
    )
    assert read_json(ran.out)["removed"] == 3


def test_what_is_found_again_under_other_names_is_not_missing(place: Path) -> None:
    before = features()
    (place / "imgs").rename(place / "pictures")
    (place / "pictures" / "red").rename(place / "pictures" / "scarlet")
    summary = extract("pictures")
    assert (summary.moved, summary.removed, summary.extracted) == (5, 0, 0)
    assert sorted(map(tuple, features().values())) == sorted(map(tuple, before.values()))


def test_a_copied_folder_is_not_computed_again(place: Path) -> None:
    shutil.copytree(place / "imgs", place / "copy", copy_function=shutil.copy)
    shutil.rmtree(place / "imgs")
    (place / "copy").rename(place / "imgs")
    summary = extract("imgs")
    assert (summary.reused, summary.moved, summary.extracted, summary.engine) == (15, 0, 0, None)
    assert extract("imgs").written is False


def same_size_and_time(place: Path) -> list[Path]:
    """All pictures with one size and one time, as unpacked pictures of one size are."""
    files = sorted((place / "imgs").rglob("*.png"))
    longest = max(path.stat().st_size for path in files)
    for path in files:  # what follows a PNG's end is not read
        path.write_bytes(path.read_bytes().ljust(longest, b"\0"))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return files


@pytest.mark.parametrize("how", ["swapped", "renumbered"])
def test_files_of_one_size_and_time_that_change_places_take_their_features_along(
    place: Path, how: str
) -> None:
    files = same_size_and_time(place)
    extract("imgs")
    before = features()
    content = {path.relative_to(place / "imgs").as_posix(): path.read_bytes() for path in files}
    ring = files[:2] if how == "swapped" else files
    for path in ring:
        path.rename(path.with_suffix(".aside"))
    for path, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        path.with_suffix(".aside").rename(other)
    summary = extract("imgs")
    assert (summary.rows, summary.extracted, summary.moved) == (15, 0, len(ring))
    by_content = {data: before[path] for path, data in content.items()}
    for name, row in features().items():
        np.testing.assert_array_equal(row, by_content[(place / "imgs" / name).read_bytes()])


def test_files_of_one_size_and_time_that_stay_are_not_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_size_and_time(place)
    extract("imgs")
    later = (place / "f.h5").stat().st_mtime + 10  # as if the pictures had been there for a while
    os.utime(place / "f.h5", (later, later))

    def read(*_: object) -> bytes:
        raise AssertionError("an unchanged file was read")

    monkeypatch.setattr("fc7.extract.inputs.places.folders.FolderOrigin.read", read)
    assert extract("imgs").reused == 15


def test_cache_info_counts_and_names_stale_rows_until_their_images_are_back(place: Path) -> None:
    (place / "imgs").rename(place / "disk")
    for path in (place / "disk").rglob("*.png"):
        link = place / "imgs" / path.relative_to(place / "disk")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    cli = CommandLine(place)
    run = ("extract", "imgs", "--network", "tiny", "-o", "f.h5", "--json")
    cli.good(*run)
    before = features()
    assert "stale" not in cli.good("cache", "info", "f.h5").out
    (place / "disk/red").rename(place / "away")
    found = read_json(cli.incomplete(*run).out)
    info = read_json(cli.good("cache", "info", "f.h5", "--json").out)
    assert (info["rows"], info["stale"], info["stale_rows"]) == (15, 5, found["stale"])
    text = cli.good("cache", "info", "f.h5").out
    assert "stale       5 of the rows: the last run could not look at" in text
    assert f"            red/000.png: {found['stale'][0]['reason']}\n" in text
    assert cli.good("cache", "verify", "f.h5").out == "f.h5: whole, 15 rows, 0 failures\n"
    assert read_json(cli.incomplete(*run).out)["written"] is False
    (place / "away").rename(place / "disk/red")
    assert read_json(cli.good(*run).out)["stale"] == []
    assert read_json(cli.good("cache", "info", "f.h5", "--json").out)["stale"] == 0
    assert_same_rows(before)
