"""ONNX files made to hurt: refused by name, nothing read outside their folder, memory bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.models.common.errors import Fc7Error, UnsafeFileError, WeightsError
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.store import StoredNetwork
from tests.support import ROOT
from tests.support.models.small_graphs import NODE, PLAIN, head, images, model, trunk, write

WEIGHT = 4 * 3 * 3 * 3 * 4  # bytes of conv_w


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def bring(path: Path) -> StoredNetwork:
    """With a trial that every graph passes, so that what is bound to a batch is freed."""
    return import_network(
        path,
        "net",
        ImportOptions(preprocess=PLAIN, layer="pool", replace=True),
        trial=lambda path, spec, notify: None,
    )


def pointing(folder: Path, location: str, **entries: int) -> Path:
    """A network whose first weights are said to lie at `location`."""
    made = model()
    tensor = next(t for t in made.graph.initializer if t.name == "conv_w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    folder.mkdir(exist_ok=True)
    return write(made, folder)


@pytest.mark.parametrize(
    "location",
    [
        "../../etc/passwd",
        "../secret",
        "/etc/passwd",
        "sub/../../secret",
        "..",
        ".",
        "",
        "..\\secret",
        "C:\\x",
        "a\0b",
    ],
)
def test_data_outside_the_folder_is_refused_by_name(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(WEIGHT))
    with pytest.raises(UnsafeFileError, match=r"net\.onnx.*inside its own folder; refused"):
        bring(pointing(tmp_path / "export", location))
    assert store.names() == []


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a right on Windows")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "w.bin").write_bytes(bytes(WEIGHT))
    path = pointing(tmp_path / "export", "w.bin" if kind == "file" else "sub/w.bin")
    if kind == "file":
        (path.parent / "w.bin").symlink_to(secret / "w.bin")
    else:
        (path.parent / "sub").symlink_to(secret, target_is_directory=True)
    with pytest.raises(UnsafeFileError, match="refused"):
        bring(path)


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ({}, None),
        ({}, WEIGHT - 1),
        ({"offset": -4}, WEIGHT),
        ({"offset": 1}, WEIGHT),
        ({"length": 1 << 40}, WEIGHT),
    ],
    ids=["missing", "short", "before", "behind", "long"],
)
def test_data_that_is_not_there_is_a_message(
    tmp_path: Path, entries: dict[str, int], size: int | None
) -> None:
    path = pointing(tmp_path / "export", "w.bin", **entries)
    if size is not None:
        (path.parent / "w.bin").write_bytes(bytes(size))
    with pytest.raises(WeightsError, match=r"w\.bin"):
        bring(path)


def test_many_arrays_may_not_claim_the_same_bytes(tmp_path: Path) -> None:
    """Each one alone is sound; together they would ask for a thousand times the file."""
    path = pointing(tmp_path / "export", "w.bin")
    made = onnx.load_model(str(path), load_external_data=False)
    shared = next(t for t in made.graph.initializer if t.name == "conv_w")
    for i in range(1000):
        copy = made.graph.initializer.add()
        copy.CopyFrom(shared)
        copy.name = f"copy{i}"
    write(made, path.parent)
    (path.parent / "w.bin").write_bytes(bytes(WEIGHT))
    with pytest.raises(UnsafeFileError, match="ask for"):
        bring(path)


@pytest.mark.parametrize("dims", [[1 << 60], [1 << 31, 1 << 31], [-1, 4], [1] * 40])
@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_absurd_shapes_are_refused_before_memory_is_asked_for(
    tmp_path: Path, dims: list[int], where: str
) -> None:
    bomb = TensorProto(name="bomb", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"1234")
    nodes = [*trunk(), *head()]
    if where == "constant":
        nodes.insert(0, NODE("Constant", [], ["bomb"], value=bomb))
    if where == "branch":
        inner = helper.make_graph([], "g", [], [helper.make_tensor_value_info("bomb", 1, None)], [bomb])
        nodes.append(NODE("If", ["flag"], ["never"], then_branch=inner, else_branch=inner))
    made = model(nodes, arrays={"flag": np.array(True)})
    if where == "initializer":
        made.graph.initializer.append(bomb)
    with pytest.raises(UnsafeFileError, match="absurd shape"):
        bring(write(made, tmp_path))


@pytest.mark.parametrize(
    "node",
    [
        NODE("ConstantOfShape", ["huge"], ["bomb"]),
        NODE("Expand", ["pool", "wide"], ["bomb"]),
        NODE("Tile", ["pool", "times"], ["bomb"]),
        NODE("Pad", ["pool", "pads"], ["bomb"]),
    ],
    ids=lambda node: str(node.op_type),
)
def test_a_small_file_that_makes_huge_tensors_is_refused(tmp_path: Path, node: onnx.NodeProto) -> None:
    arrays = {
        "huge": np.array([1 << 20, 1 << 20], np.int64),
        "wide": np.array([1 << 20, 1 << 12, 4, 4, 4], np.int64),
        "times": np.array([1, 1, 1 << 20, 1 << 20], np.int64),
        "pads": np.array([0, 0, 1 << 20, 1 << 20, 0, 0, 0, 0], np.int64),
    }
    made = model([*trunk(), node], outputs=["bomb"], arrays={n: arrays[n] for n in node.input if n in arrays})
    with pytest.raises(UnsafeFileError, match=r"'bomb' would have \d+ numbers"):
        bring(write(made, tmp_path))


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("me", 1)]
    functions = [
        helper.make_function("me", "Again", ["x"], ["y"], [NODE("More", ["x"], ["y"], domain="me")], opsets),
        helper.make_function("me", "More", ["x"], ["y"], [NODE("Again", ["x"], ["y"], domain="me")], opsets),
    ]
    made = model([*trunk(), NODE("Again", ["pool"], ["out"], domain="me")], outputs=["out"])
    made.opset_import.add(domain="me", version=1)
    made.functions.extend(functions)
    with pytest.raises(UnsafeFileError, match="calls itself"):
        bring(write(made, tmp_path))


def test_a_circle_of_nodes_is_a_message(tmp_path: Path) -> None:
    nodes = [NODE("Add", ["data", "b"], ["a"]), NODE("Relu", ["a"], ["b"])]
    with pytest.raises(WeightsError, match="circle"):
        bring(write(model(nodes, outputs=["b"]), tmp_path))


@pytest.mark.parametrize("opset", [13, onnx.defs.onnx_opset_version()])
def test_an_operator_that_does_not_exist_is_a_message(tmp_path: Path, opset: int) -> None:
    nodes = [*trunk(), NODE("NoSuchOperator", ["pool"], ["out"])]
    with pytest.raises(WeightsError, match="NoSuchOperator"):
        bring(write(model(nodes, outputs=["out"], opset=opset), tmp_path))


def test_nodes_without_inputs_or_outputs_are_a_message(tmp_path: Path) -> None:
    for node in (
        NODE("Constant", [], [], value_int=1),
        NODE("Identity", [], ["x"]),
        NODE("Relu", ["pool"], []),
    ):
        with pytest.raises(WeightsError, match="damaged"):
            bring(write(model([*trunk(), node], outputs=["pool"]), tmp_path))


@pytest.mark.parametrize("seventh", range(8))
def test_a_truncated_file_is_a_message(tmp_path: Path, seventh: int) -> None:
    whole = model().SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(whole[: (len(whole) - 1) * seventh // 7])
    with pytest.raises(WeightsError, match=r"net\.onnx"):
        bring(path)
    assert store.names() == []


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bytes_give_a_network_or_a_message(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(SKELETON)
    for place, mask in flips:
        content[place % len(content)] ^= mask
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    said = "a network"
    try:
        stored = bring(path)
        session = open_session(
            stored.graph_path, stored.spec, ["pool"], RunOptions(device="cpu", batch_size=1, threads=1)
        )
        crop = stored.spec.preprocess
        if crop.crop_height * crop.crop_width <= 1 << 20:
            session.run(np.zeros((1, crop.crop_height, crop.crop_width, 3), np.uint8))
    except Fc7Error as exc:
        said = str(exc)
    assert said


def _skeleton() -> bytes:
    """A network that is nearly all structure, so that a flip seldom lands in a weight."""
    nodes = [NODE("Conv", ["data", "w"], ["conv"], "c"), NODE("Relu", ["conv"], ["relu"], "r")]
    nodes += [NODE("MaxPool", ["relu"], ["pool"], "p", kernel_shape=[2, 2], strides=[2, 2])]
    nodes += [NODE("Reshape", ["pool", "to"], ["flat"]), NODE("Softmax", ["flat"], ["prob"], axis=1)]
    arrays: dict[str, Any] = {"w": np.ones((1, 3, 1, 1), np.float32), "to": np.array([1, -1], np.int64)}
    return bytes(model(nodes, arrays=arrays, shape=(1, 3, 8, 8)).SerializeToString())


SKELETON = _skeleton()

MEASURED = """
import resource, sys
from pathlib import Path
from fc7.models.common.errors import Fc7Error
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.network.spec import torch_preprocess
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    import_network(Path(sys.argv[1]), "net", ImportOptions(preprocess=torch_preprocess(), layer="pool"))
except Fc7Error as exc:
    print("refused", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_refusing_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer.append(
        TensorProto(name="bomb", data_type=TensorProto.FLOAT, dims=[1 << 29], float_data=[1.0])
    )
    path = write(made, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    word, megabytes = done.stdout.split()
    assert word == "refused"
    assert int(megabytes) < 200


def test_the_skeleton_itself_is_sound(tmp_path: Path) -> None:
    """Else the flips above would test nothing."""
    path = tmp_path / "net.onnx"
    path.write_bytes(SKELETON)
    stored = bring(path)
    session = open_session(
        stored.graph_path, stored.spec, ["pool"], RunOptions(device="cpu", batch_size=3, threads=1)
    )
    assert session.run(images(3))["pool"].shape == (3, 16)
    assert numpy_helper.to_array(onnx.load_model(str(path)).graph.initializer[0]).sum() == 3
