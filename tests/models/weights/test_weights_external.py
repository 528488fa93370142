"""ONNX files whose arrays lie beside them; and must lie there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.weights.onnx_file import OnnxAlexNet, read_onnx
from fc7.models.weights.reading import read_weights
from tests.support.models import weights_files as wf
from tests.support.models.weights_onnx_files import Dialect, alexnet


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def outside(tensor: TensorProto, **entries: Any) -> None:
    """Make a tensor say that its data lies in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


def external(**entries: Any) -> onnx.ModelProto:
    model = alexnet(wf.small_weights())
    outside(model.graph.initializer[0], **entries)
    return model


@pytest.mark.parametrize("location", ["net.weights", "data/net.weights", "a b é.bin"])
def test_arrays_in_files_beside_the_graph_are_read(tmp_path: Path, location: str) -> None:
    weights = wf.small_weights()
    (tmp_path / "data").mkdir()
    onnx.save_model(
        alexnet(weights),
        str(tmp_path / "net.onnx"),
        save_as_external_data=True,
        location=location,
        size_threshold=0,
    )
    assert (tmp_path / location).stat().st_size >= sum(array.nbytes for array in weights.values())
    found = read_onnx(tmp_path / "net.onnx")
    assert isinstance(found, OnnxAlexNet)
    assert {k: a.tobytes() for k, a in found.arrays.items()} == {k: a.tobytes() for k, a in weights.items()}


OUTSIDE = [
    "../../etc/passwd",
    "../secret",
    "/etc/passwd",
    "..\\secret",
    "",
    ".",
    "x/../../secret",
    "\0",
    "C:\\x",
]


@pytest.mark.parametrize("location", OUTSIDE)
def test_arrays_outside_the_files_folder_are_refused_by_name(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x" * 432)
    path = saved(folder, external(location=location, offset=0, length=432))
    for read in (read_onnx, read_weights):
        with pytest.raises(UnsafeFileError, match="which is not inside its own folder; refused"):
            read(path)


def test_a_link_out_of_the_folder_is_followed_and_refused(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x" * 432)
    try:
        (folder / "net.weights").symlink_to(tmp_path / "secret")
    except OSError:
        pytest.skip("no symbolic links here")
    with pytest.raises(UnsafeFileError, match=r"net\.weights, which is not inside"):
        read_onnx(saved(folder, external(location="net.weights")))


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
    except OSError:
        pytest.skip("no symbolic links here")
    with pytest.raises(WeightsError):
        read_onnx(saved(tmp_path, external(location="a")))


def test_places_are_checked_even_where_nothing_is_read(tmp_path: Path) -> None:
    """In a graph that is no AlexNet, in a Constant node, in a branch of an If."""
    model = alexnet(wf.small_weights(), Dialect(hold="constant", front=[("Neg", {})]))
    constant = next(node for node in model.graph.node if node.op_type == "Constant")
    outside(constant.attribute[0].t, location="../x")
    with pytest.raises(UnsafeFileError):
        read_weights(saved(tmp_path, model))
    model = alexnet(wf.small_weights())
    branch = model.graph.node.add(op_type="If", input=["c"], output=["o"]).attribute.add(
        name="then_branch", type=onnx.AttributeProto.GRAPH
    )
    outside(branch.g.initializer.add(name="hidden"), location="../x")
    with pytest.raises(UnsafeFileError):
        read_weights(saved(tmp_path, model))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "missing"}, "its data file missing is missing; copy it beside"),
        ({"location": "held", "offset": 1}, "given 432 at 1 of held, which has 432"),
        ({"location": "held", "length": 400}, "an array of 432 bytes is given 400 at 0"),
        ({"location": "held", "offset": -4}, "given 432 at -4"),
        ({"location": "held", "offset": 1 << 62}, "given 432 at 4611686018427387904"),
        ({"location": "held", "offset": "x"}, "a damaged offset or length in held"),
        ({"location": "folder"}, "its data file folder is missing"),
    ],
)
def test_external_data_that_does_not_fit_is_named(
    tmp_path: Path, entries: dict[str, Any], message: str
) -> None:
    (tmp_path / "held").write_bytes(bytes(432))
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match=message):
        read_onnx(saved(tmp_path, external(**entries)))
