"""`extract` again and again on a folder that changes: only what changed is done."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from fc7.extract import extract_features, load_features
from fc7.extract.images.decode import prepare
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.options import ExtractOptions
from fc7.extract.records import ImageRef
from fc7.extract.summary import ExtractSummary
from fc7.models.common.errors import Fc7Error
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions, import_network
from tests.extract.images.test_thumbnails import by_loops
from tests.support import CommandLine, read_json, tiny_network, write_pictures


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    import_network(
        tiny_network(tmp_path / "t.onnx"),
        "tiny",
        ImportOptions(preprocess=caffe_preprocess(), layer="embedding"),
    )
    write_pictures(tmp_path / "imgs", per_class=5)
    return tmp_path


def extract(place: Path, layers: tuple[str, ...] = (), *, verify: bool = False) -> ExtractSummary:
    options = ExtractOptions(network="tiny", layers=layers, verify=verify)
    return extract_features([place / "imgs"], place / "f.h5", options)


def fresh(place: Path) -> dict[str, np.ndarray]:
    """Features of the folder as it is now, by a run that knows nothing."""
    extract_features([place / "imgs"], place / "fresh.h5", ExtractOptions(network="tiny", force=True))
    found = load_features(place / "fresh.h5")
    return dict(zip(found.paths, found.X, strict=True))


def assert_right(place: Path) -> None:
    found = load_features(place / "f.h5", "embedding")
    wanted = fresh(place)
    assert found.paths == sorted(wanted)
    for path, row, label in zip(found.paths, found.X, found.y, strict=True):
        np.testing.assert_array_equal(row, wanted[path])
        assert label == path.split("/")[0]


def test_every_row_is_kept_with_the_thumbnail_of_its_image(place: Path) -> None:
    extract(place)
    found = load_features(place / "f.h5")
    spec = store.load("tiny").spec.preprocess
    for path, row in zip(found.paths, found.thumbnails, strict=True):
        pixels = prepare((place / "imgs" / path).read_bytes(), spec, exact=False)
        assert row.any()
        np.testing.assert_array_equal(row, by_loops(pixels[0]))


def test_nothing_changed_touches_neither_file_nor_network(place: Path) -> None:
    extract(place)
    before = (place / "f.h5").stat().st_mtime_ns
    shutil.rmtree(place / "store/networks/tiny/network.weights", ignore_errors=True)
    again = extract(place)
    assert (again.extracted, again.reused, again.written, again.engine) == (0, 15, False, None)
    assert (place / "f.h5").stat().st_mtime_ns == before


def test_touched_edited_new_and_deleted_files(place: Path) -> None:
    extract(place)
    os.utime(place / "imgs/red/000.png")
    shutil.copy(place / "imgs/blue/001.png", place / "imgs/red/001.png")
    shutil.copy(place / "imgs/blue/002.png", place / "imgs/green/new.png")
    (place / "imgs/green/003.png").unlink()
    again = extract(place)
    assert (again.extracted, again.copied, again.moved, again.removed, again.reused) == (0, 2, 0, 1, 13)
    assert_right(place)


def test_a_renamed_folder_is_found_by_content(place: Path) -> None:
    extract(place)
    (place / "imgs/red").rename(place / "imgs/scarlet")
    again = extract(place)
    assert (again.extracted, again.copied, again.moved, again.engine) == (0, 0, 5, None)
    assert_right(place)


def test_a_copy_is_moved_only_if_its_original_is_gone(place: Path) -> None:
    cli = CommandLine(place)
    run = ("extract", "imgs", "--network", "tiny", "-o", "f.h5")
    cli.good(*run)
    shutil.copy(place / "imgs/red/000.png", place / "imgs/red/twin.png")
    (place / "imgs/red/001.png").rename(place / "imgs/red/renamed.png")
    # An original that takes another's place has left its own content.
    for old, new in (("002", "free"), ("003", "002"), ("free", "003")):
        (place / f"imgs/red/{old}.png").rename(place / f"imgs/red/{new}.png")
    assert ", 1 copied, 3 moved, " in cli.good(*run).out
    assert_right(place)
    # Another root, whose paths are new: those of the first one are there still.
    shutil.copytree(place / "imgs/red", place / "again/pictures")
    others = (*run[2:], "--remove-missing", "--json")
    found = read_json(cli.good("extract", "again", *others).out)
    assert (found["copied"], found["moved"], found["extracted"]) == (6, 0, 0)
    (place / "again").rename(place / "elsewhere")
    (place / "elsewhere/pictures").rename(place / "elsewhere/photos")
    found = read_json(cli.good("extract", "elsewhere", *others).out)
    assert (found["copied"], found["moved"], found["extracted"]) == (0, 6, 0)


def test_an_edit_that_keeps_size_and_time_is_found_by_verify(place: Path) -> None:
    path, other = place / "imgs/red/000.png", place / "imgs/blue/000.png"
    pictures = [path.read_bytes(), other.read_bytes()]
    longest = max(map(len, pictures))
    # Bytes after a PNG's end are ignored: both pictures get one length.
    path.write_bytes(pictures[0].ljust(longest, b"\0"))
    extract(place)
    stat = path.stat()
    path.write_bytes(pictures[1].ljust(longest, b"\0"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert extract(place).extracted == 0
    found = extract(place, verify=True)
    assert found.extracted + found.copied == 1
    assert_right(place)


def test_another_layer_computes_only_what_is_missing(place: Path) -> None:
    extract(place)
    both = extract(place, ("c", "embedding"))
    assert both.rows == 15
    assert np.shape(load_features(place / "f.h5", "c").X) == (15, 16 * 8 * 8)
    assert_right(place)
    subset = extract(place, ("embedding",))
    assert (subset.extracted, subset.written) == (0, False)


def test_images_that_were_away_are_read_when_they_are_back(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first = FolderOrigin.read, threading.Lock()

    def away(origin: FolderOrigin, ref: ImageRef) -> bytes:
        # Readers are several threads: whoever comes first removes the folder.
        with first:
            if (place / "imgs").exists():
                (place / "imgs").rename(place / "away")
        return real(origin, ref)

    with monkeypatch.context() as patched:
        patched.setattr(FolderOrigin, "read", away)
        lost = extract(place)
    assert (lost.rows, len(lost.failures)) == (0, 15)
    assert "vanished" in lost.failures[0].reason
    (place / "away").rename(place / "imgs")
    back = extract(place)
    assert (back.rows, back.extracted, back.failures) == (15, 15, [])
    assert_right(place)


def test_a_known_failure_waits_until_it_changes(place: Path) -> None:
    (place / "imgs/red/bad.png").write_bytes(b"not yet")
    assert [failure.path for failure in extract(place).failures] == ["red/bad.png"]
    again = extract(place)
    assert (len(again.failures), again.extracted, again.written) == (1, 0, False)
    shutil.copy(place / "imgs/red/000.png", place / "imgs/red/bad.png")
    mended = extract(place)
    assert (mended.failures, mended.rows) == ([], 16)
    assert_right(place)


def test_a_forced_run_that_ends_early_leaves_the_old_cache(place: Path) -> None:
    extract(place)
    before = (place / "f.h5").read_bytes()
    (place / "imgs/red/bad.png").write_bytes(b"broken")
    options = ExtractOptions(network="tiny", force=True, on_error="fail", batch_size=2)
    with pytest.raises(Fc7Error, match="stays as it was"):
        extract_features([place / "imgs"], place / "f.h5", options)
    assert (place / "f.h5").read_bytes() == before
