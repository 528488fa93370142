"""Operators on 8-bit integers between conversions: the same numbers, and every layer to be had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fc7.extract.engine.importing import import_network
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.graph.intake import take_in
from fc7.models.graph.qdq_form import qdq_form
from fc7.models.store.importing import ImportOptions
from tests.support.models.small_graphs import NODE, PLAIN, SIZE, head, model, trunk

FED = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])


def graph(
    nodes: Sequence[NodeProto], output: str, arrays: dict[str, Any], kind: int = TensorProto.FLOAT
) -> ModelProto:
    """A graph of the image with ONNX Runtime's own operators."""
    made = helper.make_graph(
        list(nodes),
        "integers",
        [FED],
        [helper.make_tensor_value_info(output, kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def images(n: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(0, 255, (n, 3, SIZE, SIZE)).astype(np.float32)


def quantised(folder: Path, form: str, plain: ModelProto) -> Path:
    """What ONNX Runtime's quantiser makes of a graph."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [{"data": images()}]

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return self.left.pop() if self.left else None

    path = folder / f"{form}.onnx"
    how = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    quantize_static(plain, str(path), Reader(), quant_format=getattr(QuantFormat, form), **how)
    return path


def run(file: Path | bytes, feeds: NDArray[np.float32]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        str(file) if isinstance(file, Path) else file, options, providers=["CPUExecutionProvider"]
    )
    found: NDArray[np.float32] = session.run(None, {"data": feeds})[0]
    return found


@pytest.mark.parametrize(("form", "opset"), [("QOperator", 12), ("QOperator", 17), ("QDQ", 17)])
def test_a_file_of_the_quantiser_gives_what_onnx_runtime_makes_of_it(
    tmp_path: Path, form: str, opset: int
) -> None:
    path = quantised(tmp_path, form, model([*trunk(), *head()], outputs=["scores"], opset=opset))
    ours = take_in(onnx.load(path), "file")
    assert not any(node.op_type.startswith(("QLinear", "QGemm")) for node in ours.graph.node)
    theirs, found = run(path, images()), run(ours.SerializeToString(), images())
    # Both round to the same 256 steps; a sum may fall on the other side of one.
    step = np.ptp(theirs) / 255
    assert np.ptp(theirs) > 10
    assert np.abs(theirs - found).max() <= 1.01 * step
    assert np.mean(theirs == found) > 0.5


@pytest.mark.parametrize("form", ["QOperator", "QDQ"])
def test_its_layers_are_floating_point_and_under_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    path = quantised(tmp_path, form, model([*trunk(), *head()], outputs=["prob"]))
    for layer in ("pool", "scores", "prob"):
        spec = import_network(path, "mine", ImportOptions(preprocess=PLAIN, layer=layer, replace=True)).spec
        assert spec.default_layer == layer
    assert spec.layer("pool").shape == (4, 4, 4)
    integers = "pool_quantized" if form == "QOperator" else "pool_QuantizeLinear_Output"
    with pytest.raises(UsageError, match="not a row of floating-point numbers"):
        import_network(path, "other", ImportOptions(preprocess=PLAIN, layer=integers))


def test_a_convolution_is_the_one_that_its_definition_says() -> None:
    """By NumPy, from the definition of QLinearConv, with a scale for each channel and a bias."""
    rng = np.random.default_rng(3)
    w = rng.integers(-127, 128, (5, 3, 1, 1)).astype(np.int8)
    ws = np.linspace(0.001, 0.02, 5).astype(np.float32)
    bias = rng.integers(-2000, 2000, 5).astype(np.int32)
    arrays: dict[str, Any] = {
        "xs": np.float32(0.5),
        "xz": np.uint8(3),
        "w": w,
        "ws": ws,
        "wz": np.zeros(5, np.int8),
        "ys": np.float32(2.0),
        "yz": np.uint8(100),
        "b": bias,
    }
    nodes = [
        NODE("QuantizeLinear", ["data", "xs", "xz"], ["x"]),
        NODE("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y_quantized"]),
        NODE("DequantizeLinear", ["y_quantized", "ys", "yz"], ["out"]),
    ]
    fed = images() / np.float32(4)
    found = run(qdq_form(graph(nodes, "out", arrays), "file").SerializeToString(), fed)
    x = np.clip(np.round(fed / 0.5) + 3, 0, 255) - 3
    sums = np.einsum("oc,nchw->nohw", w[:, :, 0, 0].astype(np.int64), x) + bias[:, None, None]
    exact = sums * (0.5 * ws.astype(np.float64))[:, None, None]
    wanted = (np.clip(np.round(exact / 2) + 100, 0, 255) - 100) * 2
    assert np.ptp(wanted) > 100
    assert np.abs(found - wanted).max() <= 2
    assert np.mean(found == wanted) > 0.99


def test_sums_products_and_concatenations_of_integers() -> None:
    """Operators of ONNX Runtime alone: judged by ONNX Runtime on the file as it was."""
    arrays: dict[str, Any] = {
        "s": np.float32(1.0),
        "z": np.uint8(0),
        "t": np.float32(2.0),
        "u": np.uint8(9),
        "m": np.float32(300.0),
    }
    nodes = [
        NODE("QuantizeLinear", ["data", "s", "z"], ["a"]),
        NODE("QLinearAdd", ["a", "s", "z", "a", "s", "z", "t", "u"], ["sum"], domain="com.microsoft"),
        NODE("QLinearMul", ["a", "s", "z", "sum", "t", "u", "m", "z"], ["product"], domain="com.microsoft"),
        NODE(
            "QLinearConcat",
            ["t", "u", "sum", "t", "u", "product", "m", "z"],
            ["both_quantized"],
            axis=1,
            domain="com.microsoft",
        ),
        NODE(
            "QLinearGlobalAveragePool",
            ["both_quantized", "t", "u", "t", "u"],
            ["mean_quantized"],
            channels_last=0,
            domain="com.microsoft",
        ),
        NODE("DequantizeLinear", ["mean_quantized", "t", "u"], ["out"]),
    ]
    file = graph(nodes, "out", arrays)
    ours = qdq_form(file, "file")
    assert {node.domain for node in ours.graph.node} == {""}
    theirs = run(file.SerializeToString(), images())
    assert theirs.shape == (4, 6, 1, 1)
    assert np.abs(run(ours.SerializeToString(), images()) - theirs).max() <= 2
    # onnx's own reference implementation knows no operator of another domain.
    by_onnx: list[Any] = list(ReferenceEvaluator(ours).run(None, {"data": images()}))
    assert np.abs(by_onnx[0] - theirs).max() <= 2


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (
            NODE("QLinearReduceMean", ["x", "s", "z", "s", "z"], ["y"], domain="com.microsoft"),
            "QLinearReduceMean",
        ),
        (
            NODE(
                "QLinearGlobalAveragePool",
                ["x", "s", "z", "s", "z"],
                ["y"],
                channels_last=1,
                domain="com.microsoft",
            ),
            "channels last",
        ),
    ],
)
def test_what_is_not_known_is_refused_by_name(node: NodeProto, said: str) -> None:
    arrays: dict[str, Any] = {"s": np.float32(1.0), "z": np.uint8(0)}
    file = graph([NODE("QuantizeLinear", ["data", "s", "z"], ["x"]), node], "y", arrays, TensorProto.UINT8)
    with pytest.raises(WeightsError, match=f"net.onnx: .*{said}.*QDQ form"):
        qdq_form(file, "net.onnx")


def test_a_graph_without_integers_comes_back_as_it_is() -> None:
    plain = model()
    assert qdq_form(plain, "file") is plain
