"""What is stored beside the rows, in which type, and what is refused."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract.cache.reader import CacheReader, load_features
from fc7.extract.records import Rows
from fc7.models.common.errors import CacheError, DataError
from fc7.models.network.spec import caffe_preprocess
from tests.support.extract.cache_support import (
    Image,
    block,
    check_plainly,
    identity,
    refs,
    sha,
    write,
    writer,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.h5"


def test_roots_are_kept_and_a_new_root_is_a_change(path: Path) -> None:
    with writer(path) as cache:
        cache.write_segment(block({"a": "x"}))
        cache.commit(refs({"a": "x"}), [], roots=["old place", "ü"])
    assert load_features(path).roots == ("old place", "ü")
    with writer(path) as cache:
        assert cache.commit(refs({"a": "x"}), [], roots=["new place"]).written
    assert load_features(path).roots == ("new place",)


def test_how_rows_were_made_is_recorded_with_their_number(path: Path) -> None:
    with writer(path, provenance={}) as cache:
        cache.provenance = {"provider": "CUDA", "precision": "fp16"}  # known once the engine runs
        cache.write_segment(block({"a": "x", "b": "y"}))
        cache.commit(refs({"a": "x", "b": "y"}), [], roots=[])
    with writer(path, provenance={"provider": "CPU", "precision": "fp32"}) as cache:
        cache.write_segment(block({"c": "z"}))
        cache.commit(refs({"a": "x", "c": "z"}), [], roots=[])
    with CacheReader(path) as reader:
        assert list(reader.header.runs) == [
            {"provider": "CUDA", "precision": "fp16", "rows": 2},
            {"provider": "CPU", "precision": "fp32", "rows": 1},
        ]


def test_halves_take_half_the_room_and_come_back_as_float32(path: Path) -> None:
    write(path, {"a": "x"}, dtype="float16")
    with h5py.File(path) as file:
        assert file["features/fc7"].dtype == np.float16
    features = load_features(path)
    assert features.X.dtype == np.float32
    check_plainly(path, {"a": "x"})
    # Once halves, always halves: the option need not be given again.
    with writer(path) as cache:
        cache.write_segment(block({"b": "y"}))
        cache.commit(refs({"a": "x", "b": "y"}), [], roots=["imgs"])
    with h5py.File(path) as file:
        assert file["features/fc7"].dtype == np.float16


def test_an_existing_cache_is_halved_when_that_is_asked_for(path: Path) -> None:
    write(path, {"a": "x"})
    with writer(path, dtype="float16") as cache:
        assert cache.commit(refs({"a": "x"}), [], roots=["imgs"]).written
    with h5py.File(path) as file:
        assert file["features/fc7"].dtype == np.float16
    check_plainly(path, {"a": "x"})


def test_a_number_too_large_for_a_half_is_refused_before_work_is_lost(path: Path) -> None:
    rows = Rows(refs({"a": "x"}), [sha("x")], {"fc7": np.array([[1, 2, 1e5]], np.float32)})
    with (
        writer(path, dtype="float16") as cache,
        pytest.raises(DataError, match=r"up to 100000.*keep float32"),
    ):
        cache.write_segment(rows)
    with writer(path) as cache:
        cache.write_segment(rows)
        cache.commit(refs({"a": "x"}), [], roots=[])
    with writer(path, dtype="float16") as cache, pytest.raises(DataError, match="keep float32"):
        cache.commit(refs({"a": "x"}), [], roots=[])
    assert load_features(path).X.tolist() == [[1, 2, 1e5]]


def test_a_link_to_a_cache_stays_a_link(path: Path) -> None:
    real = path.with_name("real.h5")
    write(real, {"a": "x"})
    path.symlink_to(real)
    write(path, {"a": "x", "b": "y"})
    assert path.is_symlink()
    check_plainly(real, {"a": "x", "b": "y"})


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_who_may_read_the_old_file_may_read_the_new_one(path: Path) -> None:
    write(path, {"a": "x"})
    path.chmod(0o600)
    write(path, {"a": "x", "b": "y"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_very_long_text_does_not_make_the_file_large(path: Path) -> None:
    images = {f"{i:04}": Image("x", "short" if i else 20_000 * "long") for i in range(100)}
    write(path, images)
    check_plainly(path, images)
    assert path.stat().st_size < 5e5


@pytest.mark.parametrize("text", ["a\0b", "\udc80"])
def test_a_text_that_hdf5_could_not_give_back_is_refused(path: Path, text: str) -> None:
    with writer(path) as cache:
        cache.write_segment(block({"a": "x"}))
        with pytest.raises(CacheError, match=r"label .* a feature cache cannot keep that"):
            cache.commit(refs({"a": Image("x", text)}), [], roots=[])
    assert not path.exists()


def test_rows_that_do_not_fit_the_network_are_refused(path: Path) -> None:
    good = block({"a": "x"})
    with writer(path) as cache:
        for wrong in (
            Rows(good.refs, good.sha256, {"fc7": np.zeros((1, 4), np.float32)}),
            Rows(good.refs, good.sha256, {"fc7": np.zeros((2, 3), np.float32)}),
            Rows(good.refs, [], good.features),
            Rows(good.refs, ["x"], good.features),
        ):
            with pytest.raises(CacheError, match="were given for 1 images"):
                cache.write_segment(wrong)
        assert list(cache.work_folder.iterdir()) == []


def test_a_preprocessing_of_any_kind_comes_back(path: Path) -> None:
    odd = dataclasses.replace(caffe_preprocess(), std=(0.1, 1 / 3, 2.0), scale=1 / 255, crops=10)
    write(path, {"a": "x"}, identity=identity(preprocess=odd))
    assert load_features(path).identity.preprocess == odd
