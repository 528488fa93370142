"""Two caches become one, or it is said why they cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract.cache.merge import merge
from fc7.extract.cache.reader import CacheReader, load_features
from fc7.extract.cache.verify import verify
from fc7.models.common.errors import CacheCorruptError, CacheLockedError, MismatchError, UsageError
from tests.extract.cache.test_cache_damage import chunks, flip
from tests.support.extract.cache_support import (
    Image,
    check_plainly,
    failure,
    identity,
    left,
    read_plainly,
    run,
    write,
    writer,
)


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "out.h5"


def test_a_merge_holds_the_rows_of_both_sorted_and_once(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"m": "x", "z": "y", "shared": "s"}, [failure("bad in both"), failure("bad in a")])
    write(b, {"a": "p", "n": "q", "shared": "s"}, [failure("bad in both"), failure("z")])
    result = merge(a, b, out)
    assert (result.rows, result.failures) == (5, 2)
    assert verify(out).ok
    found = read_plainly(out)
    assert found["path"] == ["a", "m", "n", "shared", "z"]
    # What one of them could read is a row.
    assert found["failures/path"] == ["bad in a", "bad in both"]
    check_plainly(
        out, {"a": "p", "m": "x", "n": "q", "shared": "s", "z": "y", "bad in a": "bad", "bad in both": "bad"}
    )
    with CacheReader(out) as reader:
        assert reader.header.roots == ("imgs",)
        assert list(reader.header.runs) == [{"provider": "test", "rows": 5}]
    assert left(out) == ["a.h5", "b.h5", "out.h5"]


CUDA, CPU = {"provider": "CUDA", "precision": "fp16"}, {"provider": "CPU", "precision": "fp32"}


def runs_of(path: Path) -> list[dict[str, str | int]]:
    with CacheReader(path) as reader:
        return [dict(run) for run in reader.header.runs]


@pytest.mark.parametrize("turned", [False, True])
def test_a_run_that_both_caches_know_counts_once(paths: tuple[Path, Path, Path], turned: bool) -> None:
    a, b, out = paths
    begun = {name: Image(f"{name}!", "x") for name in "abcd"}
    run(a, begun, provenance=CUDA)
    shutil.copy(a, b)
    run(b, begun | {"e": Image("e!", "x")}, provenance=CPU)
    merge(*((b, a) if turned else (a, b)), out)
    assert runs_of(out) == [{**CUDA, "rows": 4}, {**CPU, "rows": 1}]
    merge(a, a, out, force=True)
    assert runs_of(out) == [{**CUDA, "rows": 4}]


def test_of_a_run_whose_rows_the_first_cache_has_already_only_the_others_count(
    paths: tuple[Path, Path, Path],
) -> None:
    a, b, out = paths
    write(a, {"m": "x", "z": "y"}, provenance=CUDA)
    write(b, {"a": "p", "m": "x", "n": "q"}, provenance=CPU)
    merge(a, b, out)
    # The features of m are the first cache's.
    assert runs_of(out) == [{**CUDA, "rows": 2}, {**CPU, "rows": 2}]


def test_a_merged_cache_is_gone_on_with(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    one, two = {"a/1": Image("x", "a")}, {"b/1": Image("y", "b")}
    run(a, one)
    run(b, two)
    merge(a, b, out)
    result = run(out, one | two)
    assert (result.extracted, result.commit.written) == ([], False)


def test_several_layers_in_another_order_are_matched_by_name(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"a": "x"}, layers=("fc6", "fc7"))
    write(b, {"b": "y"}, layers=("fc7", "fc6"))
    merge(a, b, out)
    check_plainly(out, {"a": "x", "b": "y"}, ("fc6", "fc7"))


def test_a_label_that_one_lacks_is_taken_from_the_other(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"i": Image("x", None, group="g"), "j": Image("y", "from a")})
    write(b, {"i": Image("x", "from b"), "j": Image("y", None, split="test")})
    merge(a, b, out)
    found = read_plainly(out)
    assert found["label"] == ["from b", "from a"]
    assert found["group"] == ["g", ""]
    assert found["split"] == ["", "test"]


def test_different_images_under_one_path_are_refused_by_name(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"cat/1.jpg": "x", "only": "o"})
    write(b, {"cat/1.jpg": "y"})
    with pytest.raises(UsageError, match=r"disagree on cat/1\.jpg \(different images\); extract"):
        merge(a, b, out)
    assert left(out) == ["a.h5", "b.h5"]


def test_different_labels_of_one_image_are_refused(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {str(i): Image("x", "cat") for i in range(5)})
    write(b, {str(i): Image("x", "dog") for i in range(5)})
    with pytest.raises(UsageError, match=r"0 \(label 'cat' and 'dog'\).* and 2 more"):
        merge(a, b, out)


def test_caches_of_two_networks_are_refused(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"a": "x"})
    write(b, {"b": "y"}, identity=identity(network="googlenet", weights="v"))
    with pytest.raises(MismatchError, match=r"b\.h5, unlike .*a\.h5, was made with network 'googlenet'"):
        merge(a, b, out)
    b.unlink()
    write(b, {"b": "y"}, layers=("fc6",))
    with pytest.raises(MismatchError, match=r"holds fc7 and .* fc6; a merge needs the same layers"):
        merge(a, b, out)


def test_what_is_there_is_replaced_only_if_that_is_asked_for(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"a": "x"})
    write(b, {"b": "y"})
    before = a.read_bytes()
    for force in (False, True):
        with pytest.raises(UsageError, match="which this call reads"):
            merge(a, b, a, force=force)
    assert a.read_bytes() == before
    write(out, {"c": "z"})
    with pytest.raises(UsageError, match=r"which a merge would replace, .* or pass --force to replace it"):
        merge(a, b, out)
    with writer(out), pytest.raises(CacheLockedError):
        merge(a, b, out, force=True)
    check_plainly(out, {"c": "z"})
    merge(a, b, out, force=True)
    check_plainly(out, {"a": "x", "b": "y"})
    thesis = a.with_name("thesis.txt")
    thesis.write_text("years of work")
    with pytest.raises(UsageError, match="a text file that begins with 'years of work'"):
        merge(a, b, thesis)
    assert thesis.read_text() == "years of work"
    with pytest.raises(UsageError, match="is a folder"):
        merge(a, b, a.parent, force=True)


def test_halves_and_floats_merge_into_floats(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"a": "x"}, dtype="float16")
    write(b, {"b": "y"})
    merge(a, b, out)
    with h5py.File(out) as file:
        assert file["features/fc7"].dtype == np.float32
    check_plainly(out, {"a": "x", "b": "y"})
    halves = out.with_name("halves.h5")
    merge(a, a, halves)
    with h5py.File(halves) as file:
        assert file["features/fc7"].dtype == np.float16


def test_a_damaged_row_stops_the_merge(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    write(a, {"a": "x"})
    write(b, {"b": "y"})
    flip(b, chunks(b)["features/fc7"][0].start, 5)
    with pytest.raises(CacheCorruptError, match=r"b\.h5: dataset features/fc7"):
        merge(a, b, out)
    assert left(out) == ["a.h5", "b.h5"]


def test_many_rows_merge_block_by_block(paths: tuple[Path, Path, Path]) -> None:
    a, b, out = paths
    even = {f"{i:05}": f"c{i % 13}" for i in range(0, 6000, 2)}
    odd = {f"{i:05}": f"c{i % 13}" for i in range(1, 6000, 2)}
    write(a, even)
    write(b, odd)
    merge(a, b, out)
    assert load_features(out).paths == sorted(even | odd)
    check_plainly(out, even | odd)
