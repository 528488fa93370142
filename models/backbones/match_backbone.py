"""Which backbone a state dict belongs to, and what is wrong with it if it nearly does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.build import needed_shapes
from fc7.models.backbones.known import BACKBONES
from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import CanonicalWeights, finite_float32, listed

Shapes = Mapping[str, tuple[int, ...]]
Arrays = Mapping[str, NDArray[Any]]

# How many batches a BatchNorm has seen: PyTorch counts it, and no inference reads it.
_COUNTER = ".num_batches_tracked"
_VARIANCE = ".running_var"
_MOST_NAMED = 4


def fit_backbone(arrays: Arrays, arch: str | None, name: str) -> tuple[str, CanonicalWeights, str] | None:
    """The backbone that has these arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        A state dict with the names of its publisher, any floating-point type.
    arch : str or None
        What the user says it is.
    name : str
        The file, for messages.

    Returns
    -------
    arch : str
        A name of `models.backbones.known.BACKBONES`.
    arrays : dict of str to ndarray, float32
        In network order; without the classifier where it has other classes than ImageNet's.
    note : str
        What the user should know, or empty.
    None
        If `arch` is another architecture, or is not given and most names are those of no backbone.

    Raises
    ------
    WeightsError
        With the arrays that are missing, too many or of another shape; or if a number is not finite, or
        a variance negative.
    """
    if arch is not None and arch not in BACKBONES:
        return None
    found = {key: array for key, array in arrays.items() if not key.endswith(_COUNTER)}
    shapes = {plan: needed_shapes(BACKBONES[plan]) for plan in ([arch] if arch else BACKBONES)}
    closest = min(shapes, key=lambda plan: len(_different(found, shapes[plan])))
    needed, plan = shapes[closest], BACKBONES[closest]
    if arch is None and 2 * len(needed.keys() & found.keys()) < len(needed):
        return None
    told = f"taken for {closest} by the names and shapes of its arrays" if arch is None else ""
    classifier = {f"{plan.classifier}.{kind}" for kind in ("weight", "bias")}
    note = _other_classes(found, needed, plan)
    if note:
        found = {key: array for key, array in found.items() if key not in classifier}
    if not classifier & found.keys():
        needed = {key: shape for key, shape in needed.items() if key not in classifier}
    _check(found, needed, closest, name=name)
    kept = {key: finite_float32(found[key], key, name) for key in needed}
    for key in kept:
        if key.endswith(_VARIANCE) and (kept[key] < 0).any():
            raise WeightsError(f"{name}: {key} has negative variances; the file is damaged. Fetch it again")
    return closest, kept, "; ".join(filter(None, (told, note)))


def _different(found: Arrays, needed: Shapes) -> set[str]:
    """The names that only one of them has, and those of other shapes."""
    misshaped = {key for key in needed.keys() & found.keys() if found[key].shape != needed[key]}
    return (needed.keys() ^ found.keys()) | misshaped


def _other_classes(found: Arrays, needed: Shapes, plan: Backbone) -> str:
    """What to say where only the number of classes differs, as after fine-tuning; else empty."""
    weight, bias = f"{plan.classifier}.weight", f"{plan.classifier}.bias"
    if _different(found, needed) != {weight, bias} or not {weight, bias} <= found.keys():
        return ""
    shape = found[weight].shape
    if shape[1:] != needed[weight][1:] or found[bias].shape != shape[:1]:
        return ""
    return f"{plan.classifier} has {shape[0]} classes instead of ImageNet's {plan.classes} and was left out"


def _check(found: Arrays, needed: Shapes, arch: str, name: str) -> None:
    misshaped = [key for key, shape in needed.items() if key in found and found[key].shape != shape]
    faults = {
        "missing are": [key for key in needed if key not in found],
        "of another shape are": misshaped,
        "unknown are": [key for key in found if key not in needed],
    }
    said = "; ".join(f"{kind} {listed(keys, _MOST_NAMED)}" for kind, keys in faults.items() if keys)
    if misshaped:
        said += f" ({misshaped[0]} is {found[misshaped[0]].shape}, needed {needed[misshaped[0]]})"
    if said:
        raise WeightsError(
            f"{name}: not the state dict of {arch}: {said}. Another network is imported by way of ONNX"
        )
