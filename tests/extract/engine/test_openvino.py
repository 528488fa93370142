"""OpenVINO's own runtime: the rows of ONNX Runtime's CPU provider, of NumPy, and nobody told."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fc7.extract.engine import session as sessions
from fc7.extract.engine.openvino_session import OpenVinoSession
from fc7.extract.engine.providers import CPU, OPENVINO, AvailableProviders, Candidate, multiplies_bf16
from fc7.extract.engine.session import Session, open_session
from fc7.extract.options import RunOptions
from fc7.models.common.errors import WeightsError
from fc7.models.graph.files import save_graph
from fc7.models.graph.layers import layers_of
from fc7.models.graph.mapped import weights_as_inputs
from fc7.models.graph.prepare import Runnable, runnable
from fc7.models.network.spec import NetworkSpec, PreprocessSpec
from tests.support import ROOT

pytestmark = [
    pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed"),
    pytest.mark.usefixtures("every_device"),
]
SIDE, HIDDEN, DIM = 16, 128, 8
HERE = AvailableProviders(cuda_built=False, nvidia_driver=False, openvino=True, bf16=multiplies_bf16())


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "this_machine", lambda *_: HERE)


def weights() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of two products; the first is large enough to stay outside the graph."""
    rng = np.random.default_rng(7)
    first = rng.normal(0, 0.02, (3 * SIDE * SIDE, HIDDEN)).astype(np.float32)
    return first, rng.normal(0, 0.1, (HIDDEN, DIM)).astype(np.float32)


def network(folder: Path, batch: int | str = "n") -> tuple[Path, NetworkSpec]:
    """``out`` = relu(pixels / 255 @ first) @ second."""
    first, second = weights()
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "first"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["on"]),
        helper.make_node("MatMul", ["on", "second"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    preprocess = PreprocessSpec("warp", SIDE, SIDE, SIDE, SIDE, "RGB", scale=1 / 255)
    spec = NetworkSpec("small", "onnx", preprocess, tuple(layers_of(model)), "out")
    save_graph(model, folder)
    return folder / "network.onnx", spec


def images(n: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def by_numpy(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    first, second = (w.astype(np.float64) for w in weights())
    flat = x.transpose(0, 3, 1, 2).reshape(len(x), -1) / 255
    return np.asarray(np.maximum(flat @ first, 0) @ second)


def opened(folder: Path, precision: Any = "fp32", batch: int = 4, threads: int = 2) -> Session:
    how = RunOptions(precision=precision, batch_size=batch, threads=threads)
    found = open_session(*network(folder), ["hidden", "out"], how)
    assert (found.engine.provider, found.engine.precision) == (OPENVINO, precision)
    return found


def least_cosine(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def test_single_precision_is_single_even_where_bfloat16_is_faster(tmp_path: Path) -> None:
    x = images(7)
    found = opened(tmp_path).run(x)["out"]
    cpu = open_session(*network(tmp_path), ["out"], RunOptions(device="cpu")).run(x)["out"]
    np.testing.assert_allclose(found, by_numpy(x), rtol=1e-4, atol=1e-5)
    assert least_cosine(found.astype(np.float64), cpu) > 0.9999999


@pytest.mark.skipif(not HERE.bf16, reason="this processor does not multiply bfloat16")
def test_bfloat16_is_near_and_not_the_same(tmp_path: Path) -> None:
    x = images(7)
    auto = open_session(*network(tmp_path), ["out"], n_images=5000)
    assert (auto.engine.provider, auto.engine.precision) == (OPENVINO, "bf16")
    found = auto.run(x)["out"]
    # Eight bits of mantissa round by 2^-9.
    assert np.abs(found - by_numpy(x)).max() > 1e-4
    assert least_cosine(found.astype(np.float64), by_numpy(x)) > 0.999


def test_a_batch_that_is_not_full_is_padded(tmp_path: Path) -> None:
    session = opened(tmp_path)
    x = images(6)
    whole = session.run(x)
    assert [len(rows) for rows in whole.values()] == [6, 6]
    for i in range(6):
        np.testing.assert_allclose(session.run(x[i : i + 1])["out"][0], whole["out"][i], rtol=1e-5, atol=1e-6)


def test_a_graph_with_a_fixed_batch_keeps_it(tmp_path: Path) -> None:
    session = open_session(*network(tmp_path, batch=2), ["out"], RunOptions(precision="fp32"))
    assert (session.engine.provider, session.batch_size) == (OPENVINO, 2)
    np.testing.assert_allclose(session.run(images(3))["out"], by_numpy(images(3)), rtol=1e-4, atol=1e-5)


def test_rows_are_not_written_over_by_the_batches_that_follow(tmp_path: Path) -> None:
    session = opened(tmp_path)
    batches = [images(4, seed) for seed in range(40)]
    assert session.calls_at_once == 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: session.run(batch)["out"], batches))
    for rows, batch in zip(found, batches, strict=True):
        np.testing.assert_allclose(rows, by_numpy(batch), rtol=1e-4, atol=1e-5)
    assert not any(np.shares_memory(a, b) for a in found for b in found if a is not b)


def test_large_arrays_are_mapped_and_small_ones_are_in_the_graph(tmp_path: Path) -> None:
    path, spec = network(tmp_path)
    apart = weights_as_inputs(runnable(path, spec, ["out"]))
    first, second = weights()
    assert list(apart.weights) == ["first"]
    assert not apart.weights["first"].flags.owndata
    assert second.tobytes() in apart.graph
    assert first.tobytes() not in apart.graph
    for _ in range(2):
        np.testing.assert_array_equal(apart.weights["first"], first)
        apart.give_back()


def test_what_openvino_refuses_the_cpu_provider_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, *arguments: object, **named: object) -> None:
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(OpenVinoSession, "__init__", refuse)
    session = open_session(*network(tmp_path), ["out"], RunOptions(precision="fp32"))
    assert session.engine.provider == CPU
    bf16 = AvailableProviders(cuda_built=False, nvidia_driver=False, openvino=True, bf16=True)
    monkeypatch.setattr(sessions, "this_machine", lambda *_: bf16)
    with pytest.raises(WeightsError, match="OpenVINO refuses network 'small': no such operator"):
        open_session(*network(tmp_path), ["out"], RunOptions(precision="bf16"))


def test_errors_of_its_readers_are_of_one_kind(tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("NoSuch", ["x"], ["out"])], "odd", [image], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    prepared = Runnable(model.SerializeToString(), tmp_path, "x", {"out": "out"}, None)
    with pytest.raises(RuntimeError, match="NoSuch"):
        OpenVinoSession(prepared, Candidate(OPENVINO, "fp32", "as asked"), 1, calls=1, threads=1)


def run_apart(code: str, folder: Path, **environment: str) -> str:
    """What a fresh process prints."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "XDG_CACHE_HOME")}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT / ".package"), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_its_maker_is_not_told(tmp_path: Path) -> None:
    """Without care, importing openvino 2026.4.1 sends an event and leaves a folder ``intel`` at home."""
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from fc7.extract.engine.openvino_session import is_here; print(is_here(), "
        "any('telemetry' in name for name in sys.modules), 'openvino.tools.ovc' in sys.modules)"
    )
    assert run_apart(code, tmp_path, HOME=str(home)) == "True False False"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("damaged", ["", "raise ImportError('no library')"])
def test_a_package_that_does_not_load_is_none(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino/__init__.py").write_text(damaged)
    code = "from fc7.extract.engine.openvino_session import is_here; print(is_here())"
    places = os.pathsep.join([str(tmp_path), str(ROOT / ".package")])
    assert run_apart(code, tmp_path, PYTHONPATH=places) == "False"
