"""The names that state dicts give the layers of an AlexNet, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import CONVS, DENSES, KEYS, CanonicalWeights, canonical, listed

# torchvision/models/alexnet.py: positions in its two Sequential containers.
_POSITIONS = (*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6)))
_TORCHVISION = dict(zip(_POSITIONS, CONVS + DENSES, strict=True))
_SCHEMES = (
    {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in _TORCHVISION.items()
        for kind in ("weight", "bias")
    },
    {key: key for key in KEYS},
)
# DataParallel, torch.compile and the usual name of a network inside a larger module.
_WRAPPERS = ("module.", "_orig_mod.", "model.")


def from_state_dict(arrays: Mapping[str, NDArray[Any]], name: str) -> CanonicalWeights:
    """Canonical weights from torchvision's names or from ours (``conv1.weight`` to ``fc8.bias``).

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Layouts as PyTorch's: convolutions (out, in / group, height, width), dense (out, in).
    name : str
        The file, for messages.

    Raises
    ------
    WeightsError
        With the names found and needed, if they are not an AlexNet's; as
        `models.network.canonical.canonical` otherwise.
    """
    bare = unwrapped(arrays)
    for scheme in _SCHEMES:
        if bare and all(key in scheme for key in bare):
            return canonical({scheme[key]: array for key, array in bare.items()}, name)
    strangers = [key for key in bare if not any(key in scheme for scheme in _SCHEMES)]
    raise WeightsError(
        f"{name}: not the weights of an AlexNet. It holds {listed(strangers or bare)} in place of "
        f"{', '.join(f'{key}.*' for key in _POSITIONS)} (torchvision) or conv1.* to conv5.*, fc6.* to fc8.*. "
        "Another network is imported by way of ONNX"
    )


def unwrapped(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays under the names that their network gave them, whatever wrapped it."""
    bare = dict(arrays)
    while bare:
        wrapper = next((w for w in _WRAPPERS if all(key.startswith(w) for key in bare)), None)
        if wrapper is None:
            break
        bare = {key.removeprefix(wrapper): array for key, array in bare.items()}
    return bare
