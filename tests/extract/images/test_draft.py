"""Large JPEGs decoded at a fraction of their size give the features of a full decode."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fc7.extract.engine.session import Session, open_session
from fc7.extract.images.decode import prepare
from fc7.extract.options import RunOptions
from fc7.models.graph.files import save_graph
from fc7.models.network.architectures import architecture
from fc7.models.store.importing import built_network, import_network
from fc7.models.weights.untrained import untrained_weights
from tests.benchmarks.pictures import picture
from tests.support import ROOT, CommandLine, lines_of, read_json

SHARED = ROOT / ".." / "shared"
# 1600x1067 halved is 800x534: as close to twice the 256 of the resize as a common photograph comes.
SIZE = (1600, 1067)


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def cosines(files: list[bytes], session: Session, spec: Any, layer: str) -> NDArray[np.float64]:
    """Of every file's features, decoded fast and in full."""
    fast, full = (
        session.run(np.concatenate([prepare(data, spec, exact=exact) for data in files]))[layer].astype(float)
        for exact in (False, True)
    )
    assert (fast != full).any(), "nothing was decoded at a fraction"
    lengths = np.linalg.norm(fast, axis=1) * np.linalg.norm(full, axis=1)
    found: NDArray[np.float64] = (fast * full).sum(1) / lengths
    return found


@pytest.mark.parametrize("arch", ["alexnet", "alexnet-owt"])
def test_fc7_of_a_fast_decode_is_that_of_a_full_one(arch: str, tmp_path: Path) -> None:
    plan = architecture(arch)
    model, spec = built_network(plan, untrained_weights(plan), arch, plan.preprocess, None)
    save_graph(model, tmp_path)
    session = open_session(tmp_path / "network.onnx", spec, ["fc7"], RunOptions(device="cpu", batch_size=3))
    files = [jpeg(Image.fromarray(picture(SIZE[1], SIZE[0], seed))) for seed in range(3)]
    assert cosines(files, session, spec.preprocess, "fc7").min() >= 0.999


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not here")
def test_features_of_a_trained_network_on_photographs_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    stored = import_network(SHARED / "networks" / "googlenet-bvlc.onnx", "googlenet")
    layer = stored.spec.default_layer
    session = open_session(stored.graph_path, stored.spec, [layer], RunOptions(device="cpu", batch_size=8))
    photographs = sorted((SHARED / "images" / "clothing").rglob("*.jpg"))[::50]
    # The set's own files are too small to be decoded at a fraction.
    files = [
        jpeg(Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)) for path in photographs
    ]
    assert cosines(files, session, stored.spec.preprocess, layer).min() >= 0.999


def test_the_command_line_decodes_fast_unless_told_not_to(tmp_path: Path) -> None:
    fc7 = CommandLine(tmp_path).with_tiny_network()
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "photos" / name / f"{i}.jpg").write_bytes(
                jpeg(Image.fromarray(picture(600, 800, 10 * seed + i)))
            )
    fast = fc7.good("extract", "photos", "--network", "tiny", "-o", "fast.h5", "--resize", "warp:64")
    assert "images/s" in fast.out
    fc7.good(
        "extract", "photos", "--network", "tiny", "-o", "full.h5", "--resize", "warp:64", "--exact-decode"
    )

    def run(cache: str) -> dict[str, Any]:
        runs: list[dict[str, Any]] = read_json(fc7.good("cache", "info", cache, "--json").out)["runs"]
        assert len(runs) == 1
        return runs[0]

    assert (run("fast.h5")["decode"], run("full.h5")["decode"]) == ("draft", "exact")
    fc7.good("fit", "full.h5", "--svm", "-C", "1", "--test-size", "0.34", "-o", "c.onnx")
    scores = {}
    for options in ((), ("--exact-decode",)):
        fc7.good("classify", "photos", "-m", "c.onnx", "-o", "p.csv", "--force", *options)
        scores[options] = json.dumps(lines_of(tmp_path / "p.csv"))
    assert scores[()] != scores["--exact-decode",]
