"""A mean that the graph subtracts itself is not subtracted again; anything else behind the input is left."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

from fc7.models.common.errors import UsageError
from fc7.models.graph.intake import take_in
from fc7.models.graph.own_normalisation import own_normalisation
from fc7.models.network.spec import PreprocessSpec, caffe_preprocess, torch_preprocess
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.store import StoredNetwork
from tests.support.models.small_graphs import NODE, SIZE, by_itself, close, images, model, run, trunk, write

F4 = np.float32
BYTE_MEAN = np.array([122.68, 116.67, 104.01], F4).reshape(1, 3, 1, 1)
UNIT_MEAN = np.array([0.485, 0.456, 0.406], F4).reshape(1, 3, 1, 1)
UNIT_STD = np.array([0.229, 0.224, 0.225], F4).reshape(1, 3, 1, 1)
IMAGE_MEAN = np.random.default_rng(1).normal(117, 9, (1, 3, SIZE, SIZE)).astype(F4)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def matlab(mean: np.ndarray[Any, Any], folder: Path) -> Path:
    """As exportONNXNetwork writes ``zerocenter``: ``data_Mean``, read by a Sub; weights listed as inputs."""
    nodes = [NODE("Sub", ["data", "data_Mean"], ["data_Sub"], "data_Sub"), *trunk("data_Sub")]
    made = model(
        nodes,
        shape=(1, 3, SIZE, SIZE),
        outputs=["pool"],
        arrays={"data_Mean": mean},
        opset=9,
        ir=4,
        producer="MathWorks Deep Learning Toolbox Converter for ONNX Model Format (MATLAB)",
        listed=True,
    )
    return write(made, folder, "matlab.onnx")


@pytest.mark.parametrize("mean", [BYTE_MEAN, IMAGE_MEAN], ids=["per channel", "whole image"])
def test_a_matlab_export_is_given_plain_rgb_pixels_and_the_user_is_told(
    tmp_path: Path, mean: np.ndarray[Any, Any]
) -> None:
    notes: list[str] = []
    path = matlab(mean, tmp_path)
    stored = import_network(path, "net", ImportOptions(layer="pool"), notify=notes.append)
    assert stored.spec.preprocess == PreprocessSpec("warp", SIZE, SIZE, SIZE, SIZE, "RGB")
    assert "a MATLAB export" in notes[0]
    nodes = [NODE("Sub", ["data", "data_Mean"], ["data_Sub"]), *trunk("data_Sub")]
    alone = model(nodes, outputs=["pool"], arrays={"data_Mean": mean})
    close(run(stored, ["pool"], images())["pool"], by_itself(alone, ["pool"], images())["pool"])


def test_caffes_preset_on_a_matlab_export_keeps_its_geometry_and_loses_its_mean(tmp_path: Path) -> None:
    notes: list[str] = []
    stored = import_network(
        matlab(BYTE_MEAN, tmp_path),
        "net",
        ImportOptions(preprocess=caffe_preprocess(), layer="pool"),
        notify=notes.append,
    )
    assert stored.spec.preprocess == PreprocessSpec("warp", 9, 9, SIZE, SIZE, "RGB")
    said = "\n".join(notes)
    assert "takes RGB" in said
    assert "'data_Sub' normalises the image itself" in said
    assert "no mean is subtracted a second time" in said


def test_a_matlab_export_without_its_normalisation_needs_the_users_word(tmp_path: Path) -> None:
    made = model(trunk(), outputs=["pool"], producer="MATLAB")
    with pytest.raises(UsageError, match="--preprocess"):
        import_network(write(made, tmp_path), "net", ImportOptions(layer="pool"))
    kept = import_network(
        write(made, tmp_path), "net", ImportOptions(preprocess=torch_preprocess(), layer="pool")
    )
    assert kept.spec.preprocess.mean == torch_preprocess().mean


def chain(
    *steps: tuple[str, Any], tail: list[NodeProto] | None = None
) -> tuple[list[NodeProto], dict[str, Any]]:
    nodes, arrays, here = list[NodeProto](), dict[str, Any](), "data"
    for i, (op, value) in enumerate(steps):
        names = [f"c{i}"] if value is not None else []
        if op == "BatchNormalization":
            names = [f"c{i}_{part}" for part in "sbmv"]
            arrays |= dict(zip(names, (np.asarray(part, F4) for part in value), strict=True))
        elif names:
            arrays[names[0]] = np.asarray(value, F4)
        nodes.append(NODE(op, [here, *names], [f"t{i}"], f"n{i}"))
        here = f"t{i}"
    return [*nodes, *trunk(here), *(tail or [])], arrays


FOUND: dict[str, tuple[list[tuple[str, Any]], float]] = {
    "subtract the byte mean": ([("Sub", BYTE_MEAN)], 1.0),
    "add the negative mean": ([("Add", -BYTE_MEAN)], 1.0),
    "subtract one number": ([("Sub", 127.5)], 1.0),
    "divide by 255": ([("Div", 255.0)], 1.0),
    "multiply by 1/127.5, subtract 1": ([("Mul", 1 / 127.5), ("Sub", 1.0)], 1.0),
    "torchvision's, from bytes": ([("Div", 255.0), ("Sub", UNIT_MEAN), ("Div", UNIT_STD)], 1.0),
    "torchvision's, from units": ([("Sub", UNIT_MEAN), ("Div", UNIT_STD)], 1 / 255),
    "behind an identity": ([("Identity", None), ("Sub", BYTE_MEAN)], 1.0),
    "a batch normalisation of bytes": (
        [("BatchNormalization", ([1, 1, 1], [0, 0, 0], [120, 115, 100], [4000, 4000, 4000]))],
        1.0,
    ),
    "a batch normalisation of units": (
        [("BatchNormalization", ([1, 1, 1], [0, 0, 0], [0.48, 0.45, 0.4], [0.05, 0.05, 0.05]))],
        1 / 255,
    ),
}
LEFT: dict[str, list[tuple[str, Any]]] = {
    "nothing": [],
    "a shift of nothing": [("Sub", np.zeros((1, 3, 1, 1), F4))],
    "a small learned shift": [("Add", 0.01)],
    "a batch normalisation of what is normalised": [
        ("BatchNormalization", ([1, 1, 1], [0, 0, 0], [0.1, 0.1, 0.1], [1, 1, 1]))
    ],
    "a gain of two": [("Mul", 2.0)],
    "an activation first": [("Relu", None), ("Sub", BYTE_MEAN)],
    "an array of another shape": [("Sub", np.full((1, 1, 1, SIZE), 120, F4))],
}


@pytest.mark.parametrize("case", FOUND)
def test_normalisation_of_every_form_is_found_with_its_range(case: str) -> None:
    steps, scale = FOUND[case]
    nodes, arrays = chain(*steps)
    found = own_normalisation(take_in(model(nodes, outputs=["pool"], arrays=arrays), case))
    assert found is not None
    assert found.scale == scale


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_normalisation_is_left_alone(case: str) -> None:
    nodes, arrays = chain(*LEFT[case])
    assert own_normalisation(take_in(model(nodes, outputs=["pool"], arrays=arrays), case)) is None


def test_a_mean_that_only_one_of_two_branches_subtracts_is_left_alone() -> None:
    nodes = [
        *chain(("Sub", BYTE_MEAN))[0],
        NODE("GlobalAveragePool", ["data"], ["raw"]),
    ]
    made = model(nodes, outputs=["pool", "raw"], arrays={"c0": BYTE_MEAN})
    assert own_normalisation(take_in(made, "two branches")) is None


@pytest.mark.parametrize("preset", [torch_preprocess(), caffe_preprocess()], ids=["torch", "caffe"])
@pytest.mark.parametrize("case", ["torchvision's, from bytes", "torchvision's, from units"])
def test_the_numbers_are_those_of_the_arithmetic_done_once(
    tmp_path: Path, case: str, preset: PreprocessSpec
) -> None:
    """Whatever the preset says of means, the convolution sees (x/255 - mean) / std."""
    nodes, arrays = chain(*FOUND[case][0])
    preset = dataclasses.replace(preset, channel_order="RGB")
    stored: StoredNetwork = import_network(
        write(model(nodes, outputs=["pool"], arrays=arrays), tmp_path),
        "net",
        ImportOptions(preprocess=preset, layer="pool"),
    )
    once, once_arrays = chain(*FOUND["torchvision's, from bytes"][0])
    wanted = by_itself(model(once, outputs=["pool"], arrays=once_arrays), ["pool"], images())["pool"]
    close(run(stored, ["pool"], images())["pool"], wanted)
