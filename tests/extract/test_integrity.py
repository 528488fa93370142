"""A folder of odd and broken files: each does what is documented, and its neighbours do not notice."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract import extract_features, load_features
from fc7.extract.options import ExtractOptions
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import tiny_network
from tests.support.extract.odd_files import make_odd_folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    file = tiny_network(tmp_path / "tiny.onnx")
    import_network(file, "tiny", ImportOptions(preprocess=caffe_preprocess(), layer="embedding"))
    return tmp_path


def test_the_odd_folder(place: Path) -> None:
    odd = make_odd_folder(place / "imgs")
    options = ExtractOptions(network="tiny", batch_size=4)
    summary = extract_features([place / "imgs"], place / "f.h5", options)
    assert summary.rows == len(odd.readable)
    assert {failure.path for failure in summary.failures} == set(odd.unreadable)
    assert all(failure.reason and "\n" not in failure.reason for failure in summary.failures)
    assert summary.images == summary.rows + len(summary.failures)
    with h5py.File(place / "f.h5") as file:
        assert [path.decode() for path in file["failures/path"][:]] == sorted(odd.unreadable)
    found = load_features(place / "f.h5")
    assert set(found.paths) == set(odd.readable)

    for failure in summary.failures:
        (place / "imgs" / failure.path).unlink()
    alone = extract_features([place / "imgs"], place / "alone.h5", options)
    assert alone.failures == []
    without = load_features(place / "alone.h5")
    assert without.paths == found.paths
    np.testing.assert_array_equal(without.X, found.X)


def test_exact_copies_have_equal_rows_each_under_its_own_name(place: Path) -> None:
    odd = make_odd_folder(place / "imgs")
    extract_features([place / "imgs"], place / "f.h5", ExtractOptions(network="tiny"))
    found = load_features(place / "f.h5")
    by_content: dict[str, list[int]] = {}
    for i, digest in enumerate(found.sha256):
        by_content.setdefault(digest, []).append(i)
    copies = max(by_content.values(), key=len)
    assert len(copies) >= 5
    assert len({found.paths[i] for i in copies}) == len(copies)
    for i in copies:
        np.testing.assert_array_equal(found.X[i], found.X[copies[0]])
    assert len(found.paths) == len(odd.readable)
