"""Runs a network of `caffe_files` three ways: ours in ONNX Runtime, NumPy's, OpenCV's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, checker, helper

from fc7.models.caffe.graph import build_caffe_graph
from tests.support.models import caffe_numpy
from tests.support.models.caffe_files import Layer, caffemodel, prototxt, tensor_names

Values = dict[str, NDArray[Any]]


def write(
    folder: Path, layers: Sequence[Layer], dims: Sequence[int], *, inputs: str = "input_dim", **model: Any
) -> tuple[Path, Path]:
    """The network's two files: weights, description."""
    weights, text = folder / "net.caffemodel", folder / "deploy.prototxt"
    weights.write_bytes(caffemodel(layers, **model))
    text.write_text(prototxt(layers, dims, version=max(1, model.get("version", 2)), inputs=inputs))
    return weights, text


def built(folder: Path, layers: Sequence[Layer], dims: Sequence[int], **model: Any) -> ModelProto:
    made = build_caffe_graph(*write(folder, layers, dims, **model))
    checker.check_model(made)
    return made


def run_graph(model: ModelProto, image: NDArray[np.float32]) -> Values:
    """Every tensor of a graph, all of which become its outputs."""
    shown = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output]
    model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names if n not in shown)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, {"data": image}), strict=True))


def run_opencv(files: tuple[Path, Path], layers: Sequence[Layer], image: NDArray[np.float32]) -> Values:
    """What each layer makes in OpenCV's own Caffe reader, by the layer's name."""
    weights, text = files
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV reads no Caffe files; opencv-python-headless 4.x does")
    net = cv2.dnn.readNetFromCaffe(str(text), str(weights))
    net.enableFusion(False)
    net.setInput(image)
    names = list(tensor_names(layers))
    return dict(zip(names, net.forward(names), strict=True))


def assert_equal(ours: Values, theirs: Values, layers: Sequence[Layer], tolerance: float = 1e-4) -> None:
    """Every blob, also those overwritten in place, equal relative to the blob's largest number."""
    for layer, tensor in tensor_names(layers).items():
        expected = theirs[layer].reshape(ours[tensor].shape)
        largest = np.abs(expected).max()
        assert largest > 0, layer
        np.testing.assert_allclose(
            ours[tensor], expected, rtol=0, atol=tolerance * largest, err_msg=f"{layer} -> {tensor}"
        )


def pixels(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    """An image as Caffe gets it: pixels minus a mean, about -120 to 130."""
    return np.random.default_rng(seed).uniform(-120, 130, shape).astype(np.float32)


def numpy_values(layers: Sequence[Layer], image: NDArray[np.float32]) -> Values:
    return dict(caffe_numpy.run(layers, image))
