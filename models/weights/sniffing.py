"""Tell a weight file's format by its first bytes, whatever it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fc7.models.common.errors import WeightsError
from fc7.models.weights.npy_dict import MAGIC as NPY_MAGIC
from fc7.models.weights.torch_file import MAGIC as TORCH_MAGIC
from fc7.models.weights.torch_file import ZIP_START

Format = Literal["torch", "safetensors", "npy", "onnx", "caffe"]

_HEAD = 512
READ_HERE = (
    "a PyTorch state dict (.pth), .safetensors, an .npy dict as bvlc_alexnet.npy, a .caffemodel, "
    "or an ONNX graph (.onnx)"
)
# Files that people mistake for weights: how they begin, and what to do.
_FAMILIAR = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
    (b"<!DOCTYPE", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"\x1f\x8b", "packed with gzip; unpack it first"),
    (b"\x89HDF", "an HDF5 file; export a Keras or MATLAB network to ONNX and import that"),
    (b"MATLAB 5.0", "a MATLAB file; use exportONNXNetwork and import the .onnx"),
    (b"\x80", "a pickle that PyTorch did not save; write its arrays with safetensors or numpy.save"),
)


def sniff(path: Path) -> Format:
    """The format of a file.

    Raises
    ------
    WeightsError
        If it is none that is read; with what it looks like and the formats that are read.
    OSError
        If it cannot be opened.
    """
    if path.exists() and not path.is_file():
        raise WeightsError(f"{path}: no file. Weights are read from {READ_HERE}")
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        size = stream.seek(0, 2)
    if head.startswith(ZIP_START):
        return "torch"
    if head.startswith(NPY_MAGIC):
        return "npy"
    # The legacy format begins with a pickle of its magic number.
    if head.startswith(b"\x80") and TORCH_MAGIC.to_bytes(10, "little") in head[:40]:
        return "torch"
    if head[8:9] == b"{":
        return "safetensors"
    if _begins_as_onnx(head):
        return "onnx"
    if _begins_as_caffe(head):
        return "caffe"
    raise WeightsError(f"{path}: {_likeness(head, size)}. Weights are read from {READ_HERE}")


def _begins_as_onnx(head: bytes) -> bool:
    """Whether these can be the first fields of a ModelProto, in any order up to its graph.

    Source: onnx/onnx.proto, message ModelProto. A caffemodel's first fields have the same numbers
    and other types, so the walk goes on until one decides.
    """
    here = 0
    while True:
        tag, here = _varint(head, here)
        field, wire_type = tag >> 3, tag & 7
        if (field, wire_type) == (_GRAPH, 2):
            return True
        if _MODEL_FIELDS.get(field) != wire_type:
            return False
        length, here = _varint(head, here)
        here += length if wire_type == 2 else 0
        if here >= len(head):
            # Only an ir_version or an opset_import in front is ONNX for certain.
            return head[:1] in (b"\x08", b"\x42")


_GRAPH = 7
# Field number -> wire type (0 a number, 2 bytes of a stated length): ir_version, producer_name,
# producer_version, domain, model_version, doc_string, opset_import, metadata_props, training_info, functions.
_MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 8: 2, 14: 2, 20: 2, 25: 2}


def _begins_as_caffe(head: bytes) -> bool:
    """Whether these can be the first fields of a NetParameter, up to its first layer's own first field.

    Source: BVLC/caffe src/caffe/proto/caffe.proto.
    """
    here = 0
    while here < len(head):
        tag, here = _varint(head, here)
        field, wire_type = tag >> 3, tag & 7
        if wire_type not in _NET_FIELDS.get(field, ()):
            return False
        length, here = _varint(head, here)
        if field in _LAYER_STARTS:
            return head[here : here + 1] in _LAYER_STARTS[field]
        here += length if wire_type == 2 else 0
    return False


# Field number -> wire types: name, layers, input, input_dim, force_backward, state, debug_info,
# input_shape, layer.
_NET_FIELDS = {1: (2,), 2: (2,), 3: (2,), 4: (0, 2), 5: (0,), 6: (2,), 7: (0,), 8: (2,), 100: (2,)}
# Of V1LayerParameter (layers) layer, bottom, top or name come first, of LayerParameter (layer) its name.
_LAYER_STARTS = {2: (b"\x0a", b"\x12", b"\x1a", b"\x22"), 100: (b"\x0a",)}


def _varint(head: bytes, here: int) -> tuple[int, int]:
    """A base-128 number of protobuf and where it ends; zero past the end."""
    value = shift = 0
    for byte in head[here : here + 10]:
        here += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return value, here


def _likeness(head: bytes, size: int) -> str:
    if not head:
        return "an empty file"
    if head[257:262] == b"ustar":
        return "a tar archive, PyTorch's format of before 2017; load it in PyTorch and save it again"
    for start, what in _FAMILIAR:
        if head.lower().startswith(start.lower()):
            return what
    return f"{size} bytes of a format that is not known, beginning with {head[:8].hex(' ')}"
