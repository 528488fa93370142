"""One door for weight files: tell the format by content, read it, find the architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from models.architectures import architecture
from models.errors import WeightsError
from models.weights.caffe_model import alexnet_weights, read_caffemodel
from models.weights.canonical import CanonicalWeights, WeightsFile, canonical
from models.weights.fitting import fit_architecture, matching_plans
from models.weights.npy_dict import read_npy_dict
from models.weights.safetensors_file import read_safetensors
from models.weights.sniffing import Format, sniff
from models.weights.state_dict import from_state_dict
from models.weights.torch_file import read_torch


def read_weights(path: Path, arch: str | None = None) -> WeightsFile | None:
    """The weights of an AlexNet from a file of any format.

    Parameters
    ----------
    path : Path
        The suffix does not matter, the content does.
    arch : str or None
        What the user says it is, a name of `models.architectures.ARCHITECTURES`. Needed where a
        file holds BVLC shapes and no graph: AlexNet and CaffeNet differ only in their graphs.

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
        If it is damaged, of an unknown format, not an AlexNet, not of `arch`, or not finite.
    UsageError
        If `arch` is unknown, or needed and not given.
    """
    if arch is not None:
        architecture(arch)
    try:
        kind = sniff(path)
        return _READERS[kind](path, arch)
    except OSError as exc:
        raise WeightsError(
            f"{path}: cannot be read ({exc.strerror or exc}); give the path of a weight file"
        ) from exc


def _torch(path: Path, arch: str | None) -> WeightsFile:
    return _fitted("PyTorch state dict", from_state_dict(read_torch(path), str(path)), path, arch)


def _safetensors(path: Path, arch: str | None) -> WeightsFile:
    return _fitted("safetensors", from_state_dict(read_safetensors(path), str(path)), path, arch)


def _npy(path: Path, arch: str | None) -> WeightsFile:
    arrays = canonical(read_npy_dict(path), str(path))
    read = _fitted("NumPy dict", arrays, path, arch, default="alexnet")
    if arch is not None or read.arch != "alexnet":
        return read
    return _noting(read, "taken for BVLC's alexnet; --arch alexnet-tf gives the Udacity lab's graph")


def _caffe(path: Path, arch: str | None) -> WeightsFile:
    arrays, plan = alexnet_weights(read_caffemodel(path), str(path))
    read = _fitted("Caffe model", arrays, path, arch or plan)
    if plan is None or read.arch == plan:
        return read
    return _noting(read, f"the file's layers are {plan}'s, its weights were put into {read.arch}'s")


def _onnx(path: Path, arch: str | None) -> WeightsFile | None:
    from models.weights.onnx_file import OtherGraph, read_onnx

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
    read = _fitted("ONNX graph", found.arrays, path, arch or plans[0])
    if read.arch in plans:
        return read
    theirs = f"that of {' or '.join(plans)}" if plans else "none of ours"
    return _noting(read, f"the file's graph is {theirs}, its weights were put into {read.arch}'s")


def _fitted(
    form: str, arrays: CanonicalWeights, path: Path, arch: str | None, default: str | None = None
) -> WeightsFile:
    fitting, kept, note = fit_architecture(arrays, arch, str(path), default)
    return WeightsFile(form, fitting, kept, note)


def _noting(read: WeightsFile, note: str) -> WeightsFile:
    return replace(read, note="; ".join(filter(None, (read.note, note))))


# A new format is one reader here and one rule in `models.weights.sniffing`.
_READERS: dict[Format, Callable[[Path, str | None], WeightsFile | None]] = {
    "torch": _torch,
    "safetensors": _safetensors,
    "npy": _npy,
    "onnx": _onnx,
    "caffe": _caffe,
}
