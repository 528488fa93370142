"""Which of our architectures a set of weights belongs to: by shapes, and by the plan where there is one."""

from __future__ import annotations

from collections.abc import Sequence

from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.network.architectures import ARCHITECTURES, Architecture, Step, architecture
from fc7.models.network.canonical import DENSES, CanonicalWeights


def fit_architecture(
    arrays: CanonicalWeights, arch: str | None, name: str, default: str | None = None
) -> tuple[str, CanonicalWeights, str]:
    """The architecture that the shapes fit.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Canonical weights.
    arch : str or None
        What the user said it is.
    name : str
        The file, for messages.
    default : str or None
        Which to take where several have these shapes and the user said nothing.

    Returns
    -------
    arch : str
    arrays : dict of str to ndarray
        As given; without the scores' layer where it has other classes than ImageNet's.
    note : str
        One sentence about that, or empty.

    Raises
    ------
    WeightsError
        If the shapes fit none; with the first layer that differs.
    UsageError
        If they fit several and nothing says which, or `arch` is unknown.
    """
    plans = [architecture(arch)] if arch is not None else list(ARCHITECTURES.values())
    fitting = [plan.name for plan in plans if _agreement(arrays, plan) == len(arrays)]
    if fitting:
        if len(fitting) > 1 and default not in fitting:
            raise UsageError(
                f"{name}: its weights fit {', '.join(fitting)}, which differ only in how they are used; "
                f"say which with --arch {'|'.join(fitting)}"
            )
        chosen = default if default in fitting else fitting[0]
        return str(chosen), arrays, ""
    closest = max(plans, key=lambda plan: _agreement(arrays, plan))
    if _other_classes(arrays, closest):
        kept, note = _without_scores(arrays)
        chosen_name, kept, _ = fit_architecture(kept, arch, name, default=default)
        return chosen_name, kept, note
    key = list(arrays)[_agreement(arrays, closest)]
    raise WeightsError(
        f"{name}: {key} is {arrays[key].shape}, {closest.name} needs {closest.weight_shapes()[key]}; "
        "choose another --arch, or import the network by way of ONNX"
    )


def matching_plans(steps: Sequence[Step], arrays: CanonicalWeights) -> list[str]:
    """The architectures that begin with exactly these steps, the number of classes aside.

    A trunk that ends before two of them part is both's.
    """
    return [
        plan.name
        for plan in ARCHITECTURES.values()
        if tuple(steps) == plan.steps[: len(steps)]
        or (_other_classes(arrays, plan) and tuple(steps[:-1]) == plan.steps[:-1])
    ]


def _agreement(arrays: CanonicalWeights, plan: Architecture) -> int:
    """How many arrays, from the first on, have the plan's shapes."""
    shapes = plan.weight_shapes()
    for count, (key, array) in enumerate(arrays.items()):
        if shapes[key] != array.shape:
            return count
    return len(arrays)


def _other_classes(arrays: CanonicalWeights, plan: Architecture) -> bool:
    """Whether everything fits but the number of classes, as after fine-tuning."""
    shapes = plan.weight_shapes()
    weight, bias = list(shapes)[-2:]
    return (
        bias in arrays
        and _agreement(arrays, plan) == len(shapes) - 2
        and arrays[weight].ndim == 2
        and arrays[weight].shape[1] == shapes[weight][1]
        and arrays[bias].shape == arrays[weight].shape[:1]
    )


def _without_scores(arrays: CanonicalWeights) -> tuple[CanonicalWeights, str]:
    scores = DENSES[-1]
    kept = {key: array for key, array in arrays.items() if not key.startswith(f"{scores}.")}
    classes = arrays[f"{scores}.weight"].shape[0]
    return kept, f"{scores} has {classes} classes instead of ImageNet's 1000 and was left out"
