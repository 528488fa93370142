"""Features out: all at once, in blocks, described, and as an npz."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fc7.extract.cache.info import describe
from fc7.extract.cache.npz import to_npz
from fc7.extract.cache.reader import CacheReader, load_features
from fc7.models.common.errors import CacheCorruptError, UnknownLayerError, UsageError
from tests.extract.cache.test_cache_damage import chunks, flip
from tests.support import ROOT
from tests.support.extract.cache_support import (
    DIMS,
    PETS,
    CrashError,
    Image,
    block,
    failure,
    features_of,
    identity,
    left,
    run,
    write,
    writer,
)

MANY = {f"{i:05}.jpg": Image(f"content {i % 97}", f"class {i % 7}" if i % 3 else None) for i in range(3000)}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "features.h5"
    write(path, MANY, [failure("broken")], ("fc6", "fc7"))
    return path


def test_blocks_put_together_are_the_whole(many: Path) -> None:
    whole = load_features(many, "fc6")
    assert whole.X.dtype == np.float32
    with CacheReader(many) as reader:
        assert (reader.n_rows, reader.layers) == (3000, ("fc6", "fc7"))
        for rows in (64, 700, 1024, 5000):
            blocks = list(reader.iter_blocks("fc6", rows))
            assert all(len(X) <= rows for _, X in blocks)
            assert sum(len(X) for _, X in blocks) == 3000
            for where, X in blocks:
                np.testing.assert_array_equal(X, whole.X[where])


def test_columns_belong_to_their_rows(many: Path) -> None:
    names = sorted(MANY)
    with CacheReader(many) as reader:
        some = reader.columns(slice(1000, 1003))
        assert some.path == names[1000:1003]
        assert some.label == [MANY[name].label or "" for name in names[1000:1003]]
        assert reader.columns().path == names
        assert reader.columns(slice(2999, 9999)).path == names[2999:]
        assert reader.columns(slice(5, 5)).path == []
        assert reader.failures() == [failure("broken")]


def test_the_last_layer_is_taken_unasked_and_an_unknown_one_is_refused(many: Path) -> None:
    assert load_features(many).layer == "fc7"
    assert load_features(many).fingerprint == identity().fingerprints["fc7"]
    np.testing.assert_array_equal(load_features(many).X[5], features_of("content 5", "fc7", DIMS["fc7"]))
    with pytest.raises(UnknownLayerError, match="no layer 'fc8'; it has fc6, fc7"):
        load_features(many, "fc8")


def test_unlabelled_rows_have_empty_labels(many: Path) -> None:
    features = load_features(many)
    assert features.y[0] == ""
    assert features.y.dtype.kind == "U"
    assert (features.y == "").sum() == 1000


def test_a_description_names_everything_and_reads_no_row(many: Path, tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    path.write_bytes(many.read_bytes())
    for parts in chunks(path).values():
        flip(path, parts[0].start, 0)
    with pytest.raises(CacheCorruptError):
        load_features(path)
    text = describe(path).text()
    for part in (
        "rows        3,000, 2,000 labelled, 7 classes",
        "failures    1",
        "images      3,001",
        "network     alexnet",
        "layer       fc6, 4 x float32",
        "warp 256x256 bilinear",
        "root        imgs",
        "3,000 rows: provider test",
        identity(("fc6", "fc7")).fingerprint,
    ):
        assert part in text
    assert len(text.splitlines()) < 24
    assert json.loads(json.dumps(describe(path).to_dict()))["layers"][1]["name"] == "fc7"


def test_a_description_of_random_weights_says_so(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x"}, identity=dataclasses.replace(identity(), trained=False))
    assert "random weights" in describe(path).text()


def test_unfinished_work_and_a_writer_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    run(path, PETS)
    with pytest.raises(CrashError):
        run(path, {**PETS, "new": Image("new")}, crash_after=1)
    assert "unfinished  1 segment; run the same extract again" in describe(path).text()
    with writer(path):
        assert "locked by   process" in describe(path).text()


def test_a_description_is_quick(many: Path) -> None:
    describe(many)
    started = time.process_time()
    describe(many)
    assert time.process_time() - started < 0.3


def test_an_npz_holds_the_same_and_needs_no_pickle(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    assert to_npz(many, out, "fc6") == 3000
    features = load_features(many, "fc6")
    with np.load(out, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["X"], features.X)
        assert found["X"].dtype == np.float32
        assert found["y"].tolist() == features.y.tolist()
        assert found["paths"].tolist() == features.paths
        assert found["groups"].tolist() == features.groups.tolist()
        assert found["splits"].tolist() == features.splits.tolist()
        assert found["sha256"].tolist() == features.sha256
        assert str(found["layer"]) == "fc6"
        assert str(found["network"]) == "alexnet"
        assert str(found["fingerprint"]) == features.fingerprint
        assert json.loads(str(found["preprocessing"]))["resize"] == "warp"
    assert left(out) == ["features.npz"]
    again = tmp_path / "again.npz"
    to_npz(many, again, "fc6")
    assert again.read_bytes() == out.read_bytes()


def test_an_npz_of_no_rows_can_be_loaded(tmp_path: Path) -> None:
    with writer(tmp_path / "features.h5") as cache:
        cache.write_segment(replace(block({}, ()), failures=[failure("a")]))
        cache.commit([], [failure("a")], roots=[])
    assert to_npz(tmp_path / "features.h5", tmp_path / "x.npz") == 0
    with np.load(tmp_path / "x.npz") as found:
        assert found["X"].shape == (0, 3)
        assert found["y"].shape == (0,)


def test_an_npz_never_replaces_the_cache_itself(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    run(path, PETS)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="which this call reads"):
        to_npz(path, path)
    with pytest.raises(UsageError, match="is a folder"):
        to_npz(path, tmp_path)
    assert path.read_bytes() == before


def test_what_the_command_line_loads_early_is_light() -> None:
    code = (
        "import sys; import fc7.extract.cache.format.identity; "
        "sys.exit(any(name in sys.modules for name in ('h5py', 'numpy')))"
    )
    root = ROOT
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
