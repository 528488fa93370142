"""Which architecture a set of arrays is: by names, by shapes, by plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.network.architectures import ARCHITECTURES, Conv, Dense, Step
from fc7.models.network.canonical import KEYS, canonical
from fc7.models.weights.match_architecture import fit_architecture, matching_plans
from fc7.models.weights.state_dict import from_state_dict
from tests.support.models import weights_files as wf


def claimed(arch: str, **changed: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Arrays of an architecture's shapes that take no memory; `changed` has ``_`` for the dot."""
    shapes = ARCHITECTURES[arch].weight_shapes()
    shapes.update({key.replace("_", "."): shape for key, shape in changed.items()})
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


def first(arrays: dict[str, NDArray[Any]], last: str) -> dict[str, NDArray[Any]]:
    keys = list(arrays)
    return {key: arrays[key] for key in keys[: keys.index(f"{last}.bias") + 1]}


def test_our_keys_are_the_architectures_own() -> None:
    for arch in ARCHITECTURES.values():
        assert tuple(arch.weight_shapes()) == KEYS


def test_torchvisions_shapes_are_unmistakable() -> None:
    arrays = claimed("alexnet-owt")
    assert fit_architecture(arrays, None, "f") == ("alexnet-owt", arrays, "")
    trunk = first(arrays, "conv1")
    assert fit_architecture(trunk, None, "f") == ("alexnet-owt", trunk, "")


@pytest.mark.parametrize("last", ["conv1", "conv5", "fc8"])
def test_bvlc_shapes_need_a_word_from_the_user(last: str) -> None:
    arrays = first(claimed("alexnet"), last)
    with pytest.raises(
        UsageError, match=r"fit alexnet, caffenet, alexnet-tf.*--arch alexnet\|caffenet\|alexnet-tf"
    ):
        fit_architecture(arrays, None, "f")
    assert fit_architecture(arrays, None, "f", default="alexnet")[0] == "alexnet"
    for arch in ("alexnet", "caffenet", "alexnet-tf"):
        assert fit_architecture(arrays, arch, "f", default="alexnet")[0] == arch


def test_the_first_layer_that_differs_is_named_with_both_shapes() -> None:
    with pytest.raises(
        WeightsError, match=r"f: conv1\.weight is \(64, 3, 11, 11\), alexnet needs \(96, 3, 11, 11\)"
    ):
        fit_architecture(claimed("alexnet-owt"), "alexnet", "f")
    ungrouped = claimed("caffenet", conv2_weight=(256, 96, 5, 5))
    with pytest.raises(
        WeightsError, match=r"conv2\.weight is \(256, 96, 5, 5\), alexnet needs \(256, 48, 5, 5\)"
    ):
        fit_architecture(ungrouped, None, "f")
    with pytest.raises(
        WeightsError, match=r"fc8\.weight is \(1000, 4000\), alexnet-owt needs \(1000, 4096\)"
    ):
        fit_architecture(claimed("alexnet-owt", fc8_weight=(1000, 4000)), None, "f")
    with pytest.raises(WeightsError, match=r"fc8\.bias is \(999,\), alexnet-owt needs \(1000,\)"):
        fit_architecture(claimed("alexnet-owt", fc8_bias=(999,)), None, "f")


@pytest.mark.parametrize("arch", [None, "alexnet-owt"])
def test_a_fine_tuned_network_keeps_its_features_and_says_what_was_left_out(arch: str | None) -> None:
    arrays = claimed("alexnet-owt", fc8_weight=(10, 4096), fc8_bias=(10,))
    chosen, kept, note = fit_architecture(arrays, arch, "f")
    assert chosen == "alexnet-owt"
    assert list(kept) == list(KEYS[:-2])
    assert note == "fc8 has 10 classes instead of ImageNet's 1000 and was left out"


def test_an_unknown_architecture_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown architecture 'vgg'; we build alexnet"):
        fit_architecture(claimed("alexnet"), "vgg", "f")


def test_plans_match_only_as_they_are() -> None:
    for name, arch in ARCHITECTURES.items():
        arrays = claimed(name)
        assert matching_plans(arch.steps, arrays) == [name]
        for other in (arch.steps[1:], (*arch.steps, arch.steps[0])):
            assert matching_plans(other, arrays) == []
    wide = list(ARCHITECTURES["alexnet"].steps)
    wide[0] = Conv("conv1", 96, kernel=11, stride=4, pad=2)
    assert matching_plans(wide, claimed("alexnet")) == []


def test_a_trunk_before_the_plans_part_is_boths() -> None:
    trunk = ARCHITECTURES["alexnet"].steps[:1]
    assert matching_plans(trunk, first(claimed("alexnet"), "conv1")) == ["alexnet", "caffenet"]


def test_a_plan_with_other_classes_still_matches() -> None:
    steps: list[Step] = [*ARCHITECTURES["caffenet"].steps[:-1], Dense("fc8", 200)]
    arrays = claimed("caffenet", fc8_weight=(200, 4096), fc8_bias=(200,))
    assert matching_plans(steps, arrays) == ["caffenet"]


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module.model."])
@pytest.mark.parametrize("torchvision", [True, False])
def test_torchvisions_names_and_ours_become_canonical(prefix: str, torchvision: bool) -> None:
    weights = wf.small_weights()
    named = wf.torchvision_names(weights) if torchvision else weights
    shuffled = {f"{prefix}{key}": named[key] for key in sorted(named, reverse=True)}
    found = from_state_dict(shuffled, "f")
    assert list(found) == list(weights)
    assert all(found[key].tobytes() == weights[key].tobytes() for key in weights)


def test_names_that_are_no_alexnets_are_listed_with_those_needed() -> None:
    weights = {**wf.torchvision_names(wf.small_weights()), "features.1.weight": np.ones(4, np.float32)}
    with pytest.raises(
        WeightsError,
        match=r"It holds features\.1\.weight in place of features\.0\.\*.*classifier\.6\.\* \(torchvision\)",
    ):
        from_state_dict(weights, "f")
    many = {f"layer{i}.weight": np.ones(1, np.float32) for i in range(200)}
    with pytest.raises(WeightsError, match=r"layer7\.weight and 192 more in place of") as error:
        from_state_dict(many, "f")
    assert len(str(error.value)) < 600
    with pytest.raises(WeightsError, match="It holds nothing in place of"):
        from_state_dict({}, "f")


def test_the_two_schemes_do_not_mix() -> None:
    weights = wf.small_weights()
    mixed = {**wf.torchvision_names(weights), "fc8.weight": weights["fc8.weight"]}
    with pytest.raises(WeightsError, match="not the weights of an AlexNet"):
        from_state_dict(mixed, "f")


# --- completeness and numbers ------------------------------------------------------------------


def test_a_layer_missing_in_the_middle_is_named() -> None:
    weights = wf.small_weights()
    del weights["conv3.weight"]
    with pytest.raises(WeightsError, match=r"conv3\.weight missing, though fc8\.bias is there"):
        canonical(weights, "f")
    half = {"conv1.weight": weights["conv1.weight"]}
    with pytest.raises(WeightsError, match=r"conv1\.bias missing"):
        canonical(half, "f")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_counted_and_refused(bad: float) -> None:
    weights = wf.small_weights()
    weights["conv4.bias"][1:3] = bad
    with pytest.raises(WeightsError, match=r"2 of the 4 numbers of conv4\.bias are NaN or infinite"):
        canonical(weights, "f")


def test_a_double_beyond_float32_is_refused_and_not_rounded_to_infinity() -> None:
    weights: dict[str, NDArray[Any]] = {**wf.small_weights()}
    weights["fc7.bias"] = np.array([1e39] + [0.0] * 6)
    with pytest.raises(WeightsError, match=r"1 of the 7 numbers of fc7\.bias"):
        canonical(weights, "f")


def test_integers_are_no_weights() -> None:
    weights: dict[str, NDArray[Any]] = {**wf.small_weights()}
    weights["conv1.weight"] = weights["conv1.weight"].astype(np.int8)
    with pytest.raises(
        WeightsError, match=r"conv1\.weight is of type int8; floating-point.*before quantisation"
    ):
        canonical(weights, "f")
