#!/usr/bin/env bash
# onnx 1.23.2: `onnx.save_model(model, "/elsewhere/net.onnx", save_as_external_data=True, location="net.weights")` raises
# FileExistsError if the *current* folder holds anything called net.weights, though the arrays are to be written to
# /elsewhere, where nothing is; and it does not object to a net.weights in /elsewhere, to whose end it appends.
#
# The good guess follows the documentation: `location` is "relative to the model path". It is, when the file is written and
# when it is read; but whether it exists is asked without that path. A program that saves its networks with absolute
# paths works for everybody until somebody starts it in a folder with such a file.
#
# Seen: "current folder: FileExistsError", "beside the model: saved, 4096 old bytes kept in front of 4096 new ones".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
mkdir "$folder/here" "$folder/elsewhere"
cd "$folder/here"
"$folder/venv/bin/python" - <<'PY' | tee seen.txt
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

elsewhere = pathlib.Path.cwd().parent / "elsewhere"


def save():
    weight = numpy_helper.from_array(np.ones((32, 32), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])],
        [weight],
    )
    onnx.save_model(
        helper.make_model(graph), str(elsewhere / "net.onnx"), save_as_external_data=True, location="net.weights"
    )


here = pathlib.Path("net.weights")
here.write_bytes(b"mine")
try:
    save()
    print("current folder: saved")
except FileExistsError:
    print("current folder: FileExistsError")
here.unlink()
(elsewhere / "net.weights").write_bytes(bytes(4096))
save()
size = (elsewhere / "net.weights").stat().st_size
print(f"beside the model: saved, 4096 old bytes kept in front of {size - 4096} new ones")
PY
diff seen.txt - <<'SEEN'
current folder: FileExistsError
beside the model: saved, 4096 old bytes kept in front of 4096 new ones
SEEN
