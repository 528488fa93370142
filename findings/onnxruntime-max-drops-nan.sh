#!/usr/bin/env bash
# onnxruntime 1.31.1, CPU provider: MaxPool, GlobalMaxPool, ReduceMax and ReduceMin drop a NaN unless it happens to be
# the first number that they look at: a 2x2 MaxPool keeps it in one place of four, a 3x3 one in one of nine, a ReduceMax
# over 64 numbers in one of 64.
#
# The good guess is that NaN stays NaN: NumPy's max and PyTorch's max_pool2d propagate it wherever it lies, ONNX
# Runtime's own Max does too, and so "the output is finite" is used as the test that a network is sound. What is seen
# fits a running maximum that is replaced when the next number is greater, which no comparison with a NaN is. A
# network that pools 3x3, as AlexNet does, hides a NaN of its convolutions from eight of nine windows that hold it.
#
# Seen: "MaxPool 2x2: NaN kept in 1 of 4 places", "MaxPool 3x3: NaN kept in 1 of 9 places", "ReduceMax 8x8: NaN kept
# in 1 of 64 places", "Max of two: 2 of 2 places".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY' | tee seen.txt
import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def output(op, *inputs, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "one_operator",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in zip(names, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, inputs)))[0]


def kept(op, side, **attributes):
    places = 0
    for place in range(side * side):
        image = np.linspace(0, 1, side * side, dtype=np.float32)
        image[place] = np.nan
        places += bool(np.isnan(output(op, image.reshape(1, 1, side, side), **attributes)).any())
    return f"NaN kept in {places} of {side * side} places"


print("MaxPool 2x2:", kept("MaxPool", 2, kernel_shape=[2, 2]))
print("MaxPool 3x3:", kept("MaxPool", 3, kernel_shape=[3, 3]))
print("GlobalMaxPool 8x8:", kept("GlobalMaxPool", 8))
print("ReduceMax 8x8:", kept("ReduceMax", 8, axes=[2, 3]))
print("ReduceMin 8x8:", kept("ReduceMin", 8, axes=[2, 3]))
pair = np.array([np.nan], np.float32), np.array([1], np.float32)
print("Max of two:", sum(bool(np.isnan(output("Max", *p)).all()) for p in (pair, pair[::-1])), "of 2 places")
PY
diff seen.txt - <<'SEEN'
MaxPool 2x2: NaN kept in 1 of 4 places
MaxPool 3x3: NaN kept in 1 of 9 places
GlobalMaxPool 8x8: NaN kept in 1 of 64 places
ReduceMax 8x8: NaN kept in 1 of 64 places
ReduceMin 8x8: NaN kept in 1 of 64 places
Max of two: 2 of 2 places
SEEN
