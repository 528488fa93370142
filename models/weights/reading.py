"""One door for weight files: tell the format by content, read it, find the architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fc7.models.backbones.known import BACKBONES, built_plan
from fc7.models.backbones.match_backbone import fit_backbone
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.network.canonical import CanonicalWeights, WeightsFile, canonical
from fc7.models.weights.caffe_model import alexnet_weights, read_caffemodel
from fc7.models.weights.match_architecture import fit_architecture, matching_plans
from fc7.models.weights.npy_dict import read_npy_dict
from fc7.models.weights.onnx_file import OtherGraph, read_onnx
from fc7.models.weights.safetensors_file import read_safetensors
from fc7.models.weights.sniffing import Format, sniff
from fc7.models.weights.state_dict import from_state_dict, unwrapped
from fc7.models.weights.torch_file import read_torch


def read_weights(path: Path, arch: str | None = None) -> WeightsFile | None:
    """The weights of a network that we build from a file of any format.

    Parameters
    ----------
    path : Path
        The suffix does not matter, the content does.
    arch : str or None
        What the user says it is, a name of `models.backbones.known.BUILT`. Needed where a file holds
        BVLC shapes and no graph: AlexNet and CaffeNet differ only in their graphs.

    Returns
    -------
    WeightsFile or None
        None for a sound ONNX graph that is none of our architectures, when `arch` is None: it can
        be kept as it is.

    Raises
    ------
    UnsafeFileError
        If the file asks to run code, to leave its folder or to exhaust memory.
    WeightsError
        If it is damaged, of an unknown format, none of our architectures, not of `arch`, or not finite.
    UsageError
        If `arch` is unknown, needed and not given, or one whose weights are not read from this format.

    Examples
    --------
    ``tiles.onnx`` is a graph that is none of ours; ``features.h5`` holds no weights.

    >>> read_weights(Path("tiles.onnx")) is None
    True
    >>> read_weights(Path("features.h5"))
    Traceback (most recent call last):
    fc7.models.common.errors.WeightsError: features.h5: ...
    """
    if arch is not None:
        built_plan(arch)
    try:
        kind = sniff(path)
        if arch in BACKBONES and kind not in _STATE_DICTS:
            raise UsageError(
                f"{path}: weights of {arch} are read from a state dict (.pth or .safetensors); import any "
                "ONNX graph without --arch"
            )
        return _READERS[kind](path, arch)
    except OSError as exc:
        raise WeightsError(
            f"{path}: cannot be read ({exc.strerror or exc}); give the path of a weight file"
        ) from exc


def _torch(path: Path, arch: str | None) -> WeightsFile:
    return _state_dict("PyTorch state dict", read_torch(path), path, arch=arch)


def _safetensors(path: Path, arch: str | None) -> WeightsFile:
    return _state_dict("safetensors", read_safetensors(path), path, arch=arch)


def _state_dict(form: str, arrays: Mapping[str, NDArray[Any]], path: Path, arch: str | None) -> WeightsFile:
    backbone = fit_backbone(unwrapped(arrays), arch, str(path))
    if backbone is not None:
        return WeightsFile(form, *backbone)
    return _fitted(form, from_state_dict(arrays, str(path)), path, arch=arch)


def _npy(path: Path, arch: str | None) -> WeightsFile:
    arrays = canonical(read_npy_dict(path), str(path))
    read = _fitted("NumPy dict", arrays, path, arch=arch, default="alexnet")
    if arch is not None or read.arch != "alexnet":
        return read
    return _noting(read, "taken for BVLC's alexnet; --arch alexnet-tf gives the Udacity lab's graph")


def _caffe(path: Path, arch: str | None) -> WeightsFile:
    arrays, plan = alexnet_weights(read_caffemodel(path), str(path))
    read = _fitted("Caffe model", arrays, path, arch=arch or plan)
    if plan is None or read.arch == plan:
        return read
    return _noting(read, f"the file's layers are {plan}'s, its weights were put into {read.arch}'s")


def _onnx(path: Path, arch: str | None) -> WeightsFile | None:
    found = read_onnx(path)
    if isinstance(found, OtherGraph):
        if arch is None:
            return None
        raise WeightsError(
            f"{path}: the graph is no {arch}: {found.reason}. Leave out --arch to keep the graph as it is"
        )
    plans = matching_plans(found.steps, found.arrays)
    if arch is None and len(plans) != 1:
        return None
    read = _fitted("ONNX graph", found.arrays, path, arch=arch or plans[0])
    if read.arch in plans:
        return read
    theirs = f"that of {' or '.join(plans)}" if plans else "none of ours"
    return _noting(read, f"the file's graph is {theirs}, its weights were put into {read.arch}'s")


def _fitted(
    form: str, arrays: CanonicalWeights, path: Path, arch: str | None, default: str | None = None
) -> WeightsFile:
    fitting, kept, note = fit_architecture(arrays, arch, str(path), default=default)
    return WeightsFile(form, fitting, kept, note=note)


def _noting(read: WeightsFile, note: str) -> WeightsFile:
    return replace(read, note="; ".join(filter(None, (read.note, note))))


_STATE_DICTS = ("torch", "safetensors")
# What else a new format needs is in tests/README.md, "A weight format".
_READERS: dict[Format, Callable[[Path, str | None], WeightsFile | None]] = {
    "torch": _torch,
    "safetensors": _safetensors,
    "npy": _npy,
    "onnx": _onnx,
    "caffe": _caffe,
}
