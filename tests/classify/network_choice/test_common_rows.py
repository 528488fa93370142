"""The images of which every network has a row, and the split that all networks share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fc7
from fc7.classify.data.load import table_of
from fc7.classify.data.prepare import prepare_split
from fc7.classify.network_choice.common_rows import CommonRows, common_rows, common_split
from fc7.extract.cache.reader import load_features
from fc7.models.common.errors import DataError
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import coloured_picture, tiny_network, write_pictures


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Caches of two networks; the second has not the first image, and has one more."""
    here = tmp_path_factory.mktemp("common")
    write_pictures(here / "imgs", per_class=8)
    # An image that is there twice but for one pixel.
    altered = coloured_picture("red", 3)
    altered[0, 0] ^= 64
    Image.fromarray(altered).save(here / "imgs/red/009.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC7_HOME", str(here / "store"))
        for seed, name in enumerate(("one", "two")):
            file = tiny_network(here / f"{name}.onnx", seed)
            import_network(file, name, ImportOptions(preprocess=caffe_preprocess(), layer="embedding"))
            fc7.extract_features([here / "imgs"], here / f"{name}.h5", fc7.ExtractOptions(network=name))
            (here / "imgs/blue/000.png").unlink(missing_ok=True)
            write_pictures(here / "imgs/more", per_class=1, start=50)
            for colour in ("red", "green"):
                (here / f"imgs/more/{colour}/050.png").unlink()
    return here


def both(place: Path) -> CommonRows:
    return common_rows([place / "one.h5", place / "two.h5"])


def test_each_image_has_its_own_features_in_every_cache(place: Path) -> None:
    rows = both(place)
    paths = rows.table.paths
    assert paths is not None
    assert "blue/000.png" not in paths
    assert len(paths) == 24
    assert rows.n_left_out == 2
    assert rows.notes == ["left out: 2 images of which not every network has a row"]
    for name in ("one", "two"):
        found = load_features(place / f"{name}.h5")
        X = rows.with_features(place / f"{name}.h5", "embedding").X
        assert np.array_equal(X, found.X[[found.paths.index(path) for path in paths]])


def test_the_split_of_one_network_is_that_of_fit(place: Path) -> None:
    options = fc7.FitOptions(duplicates="0.999", seed=3)
    prepared = prepare_split(table_of(load_features(place / "two.h5")), options)
    assert prepared.duplicates is not None
    near = prepared.duplicates.group_names
    assert any(near)
    rows = common_rows([place / "two.h5"])
    found = common_split(rows, [near], options)
    assert found.paths == [prepared.table.name(i).strip("'") for i in prepared.split.test]
    assert found.n_train == len(prepared.split.train)


def test_what_any_network_takes_for_one_picture_stays_on_one_side(place: Path) -> None:
    rows = both(place)
    # The first network ties the first two images, the second one the next; then all three are one.
    near = [["a", "a", *[""] * 22], ["", "b", "b", *[""] * 21]]
    for seed in range(10):
        options = fc7.FitOptions(seed=seed)
        found, turned = (common_split(rows, order, options) for order in (near, near[::-1]))
        assert found.rows.table.splits is not None
        assert len(set(found.rows.table.splits[:3])) == 1
        assert found.paths == turned.paths
        assert found.rows.table.content == turned.rows.table.content


def test_images_that_balance_leaves_out_are_in_neither_set(place: Path) -> None:
    found = common_split(both(place), [], fc7.FitOptions(balance=True, duplicates="exact"))
    trained = [
        label
        for label, part in zip(found.rows.table.labels, found.rows.table.splits or [], strict=True)
        if part == "train"
    ]
    assert len({trained.count(colour) for colour in set(trained)}) == 1
    assert len(found.rows.table.labels) < 24


def test_caches_of_other_images_have_nothing_in_common(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(place / "store"))
    write_pictures(place / "others", per_class=2, start=90)
    fc7.extract_features([place / "others"], place / "others.h5", fc7.ExtractOptions(network="two"))
    with pytest.raises(DataError, match=r"have no image in common; remove these files"):
        common_rows([place / "one.h5", place / "others.h5"])
