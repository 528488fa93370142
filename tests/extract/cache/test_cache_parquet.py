"""A cache as Parquet: read back by pyarrow, which knows nothing of us."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fc7.extract.cache import parquet
from fc7.extract.cache.parquet import to_parquet
from fc7.extract.cache.reader import load_features
from fc7.models.common.errors import UnknownLayerError, UsageError
from tests.support import CommandLine
from tests.support.extract.cache_support import PETS, Image, block, failure, left, run, write, writer

pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet brings pyarrow")


def test_it_holds_the_same_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROWS", 64)
    images = {f"{i:04}.jpg": Image(f"content {i}", f"class {i % 7}" if i % 3 else None) for i in range(300)}
    images["0001.jpg"] = dataclasses.replace(images["0001.jpg"], group="g", split="test")
    write(tmp_path / "features.h5", images, layers=("fc6", "fc7"))
    out = tmp_path / "features.parquet"
    assert to_parquet(tmp_path / "features.h5", out, "fc6") == 300
    features, found = load_features(tmp_path / "features.h5", "fc6"), pq.read_table(out)
    assert found.column_names == ["path", "label", "group", "split", "sha256", "features"]
    assert (
        str(found.schema.field("features").type)
        == f"fixed_size_list<element: float not null>[{features.X.shape[1]}]"
    )
    X = np.stack(found["features"].to_numpy())
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, features.X)
    assert found["path"].to_pylist() == features.paths
    assert found["sha256"].to_pylist() == features.sha256
    assert found["label"].to_pylist() == [images[path].label for path in features.paths]
    assert found["group"].to_pylist()[:3] == [None, "g", None]
    assert found["split"].to_pylist()[:3] == [None, "test", None]
    about = {key.decode(): value.decode() for key, value in found.schema.metadata.items()}
    assert (about["fc7.layer"], about["fc7.fingerprint"]) == ("fc6", features.fingerprint)
    assert json.loads(about["fc7.preprocessing"])["resize"] == "warp"
    # Written in parts: no more than one is ever in memory.
    groups = pq.ParquetFile(out).metadata
    assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= 64
    assert left(out) == ["features.h5", "features.parquet"]


def test_a_cache_of_no_rows(tmp_path: Path) -> None:
    with writer(tmp_path / "features.h5") as cache:
        cache.write_segment(replace(block({}, ()), failures=[failure("a")]))
        cache.commit([], [failure("a")], roots=[])
    assert to_parquet(tmp_path / "features.h5", tmp_path / "x.parquet") == 0
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 0


def test_what_cannot_be_written_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    run(path, PETS)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="which this call reads"):
        to_parquet(path, path)
    with pytest.raises(UsageError, match="it is a folder"):
        to_parquet(path, tmp_path)
    with pytest.raises(UnknownLayerError):
        to_parquet(path, tmp_path / "x.parquet", "conv1")
    with pytest.raises(UsageError, match="make the folder"):
        to_parquet(path, tmp_path / "none" / "x.parquet")
    assert path.read_bytes() == before
    assert left(path) == ["features.h5"]


def test_the_command_and_the_missing_extra(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    run(tmp_path / "features.h5", PETS)
    assert "wrote features.parquet: 6 rows" in cli.good("cache", "to-parquet").out
    (tmp_path / "without").mkdir()
    (tmp_path / "without/pyarrow.py").write_text("raise ImportError('No module named pyarrow')")
    places = os.pathsep.join([str(tmp_path / "without"), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = cli("cache", "to-parquet", env={"PYTHONPATH": places})
    assert ran.code == 2
    assert "pip install 'fc7[parquet]'" in ran.err
