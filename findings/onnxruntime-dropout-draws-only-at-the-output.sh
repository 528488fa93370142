#!/usr/bin/env bash
# onnxruntime 1.31.1, CPU provider, no option set: a Dropout whose constant `training_mode` is true drops numbers if its
# output is the graph's output, and does nothing at all in the middle of a graph. With graph optimisations turned off
# it drops in both places.
#
# The good guess is that an operator computes one thing wherever it stands: either the runtime honours `training_mode`, as
# the operator's definition says (ratio 0.5: half of the numbers become 0, the rest are doubled), or it treats every
# Dropout as inference. Which of the two it is depends on the next node: a basic optimisation takes out a Dropout
# that another operator reads. So a network exported in training mode tests as deterministic at its end, and is random
# when it is cut at that very layer, or the other way round.
#
# Seen: "at the end: random", "in the middle: the input itself", "in the middle, not optimised: random".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY' | tee seen.txt
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def answers(read_on, optimise):
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Dropout", ["r", "ratio", "training"], ["d"]),
        helper.make_node("Abs", ["d"], ["a"]),
    ]
    out = "a" if read_on else "d"
    graph = helper.make_graph(
        nodes if read_on else nodes[:2],
        "dropout",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1000])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(0.5, np.float32), "ratio"),
            numpy_helper.from_array(np.array(True), "training"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    ones = np.ones((1, 1000), np.float32)
    found = session.run(None, {"x": ones})[0]
    if np.array_equal(found, ones):
        return "the input itself"
    assert set(np.unique(found)) == {0.0, 2.0}
    return "random" if 300 < np.count_nonzero(found) < 700 else "something else"


print("at the end:", answers(read_on=False, optimise=True))
print("in the middle:", answers(read_on=True, optimise=True))
print("in the middle, not optimised:", answers(read_on=True, optimise=False))
PY
diff seen.txt - <<'SEEN'
at the end: random
in the middle: the input itself
in the middle, not optimised: random
SEEN
