"""What torch.onnx writes of torchvision's AlexNet, in the exporter's both styles."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from fc7.models.network.architectures import ARCHITECTURES, Conv
from fc7.models.weights.onnx_file import OnnxAlexNet, read_onnx
from fc7.models.weights.state_dict import from_state_dict

torch = pytest.importorskip("torch")


def narrow_torchvision() -> Any:
    """torchvision/models/alexnet.py layer for layer, with fewer channels."""
    nn = torch.nn
    torch.manual_seed(0)
    channels = (6, 8, 10, 8, 4)
    kernels = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
    layers: list[Any] = []
    before = 3
    for index, (after, (kernel, stride, pad)) in enumerate(zip(channels, kernels, strict=True)):
        layers += [nn.Conv2d(before, after, kernel, stride, pad), nn.ReLU(inplace=True)]
        if index in (0, 1, 4):
            layers.append(nn.MaxPool2d(3, 2))
        before = after
    model = nn.Sequential()
    model.features = nn.Sequential(*layers)
    model.avgpool = nn.AdaptiveAvgPool2d((6, 6))
    model.flatten = nn.Flatten()
    model.classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(144, 12), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(12, 12),
        nn.ReLU(inplace=True), nn.Linear(12, 5),
    )  # fmt: skip
    return model.eval()


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("free_batch", [False, True])
def test_an_export_gives_the_state_dicts_arrays_and_torchvisions_plan(
    tmp_path: Path, dynamo: bool, free_batch: bool
) -> None:
    options: dict[str, Any] = {"dynamo": dynamo, "input_names": ["x"]}
    if dynamo:
        pytest.importorskip("onnxscript")
        options["dynamic_shapes"] = ({0: torch.export.Dim("n")},) if free_batch else None
    elif free_batch:
        options["dynamic_axes"] = {"x": {0: "n"}}
    model = narrow_torchvision()
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.zeros(2, 3, 224, 224),), str(path), **options)
    found = read_onnx(path)
    assert isinstance(found, OnnxAlexNet), found
    expected = from_state_dict({key: value.numpy() for key, value in model.state_dict().items()}, "x")
    assert {k: a.tobytes() for k, a in found.arrays.items()} == {k: a.tobytes() for k, a in expected.items()}
    plan = ARCHITECTURES["alexnet-owt"].steps
    assert [type(step) for step in found.steps] == [type(step) for step in plan]
    assert [step.name for step in found.steps] == [step.name for step in plan]
    for step, ours in zip(found.steps, plan, strict=True):
        if isinstance(step, Conv):
            assert isinstance(ours, Conv)
            assert (step.kernel, step.stride, step.pad) == (ours.kernel, ours.stride, ours.pad)
