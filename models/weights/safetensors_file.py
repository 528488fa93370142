"""Hugging Face's `.safetensors`: a JSON header and raw numbers, nothing that could run.

Format: README of huggingface/safetensors, "Format". Eight bytes give the header's length
(little-endian), the header gives every tensor's type, shape and place in what follows.
The package `safetensors` (0.8.0) refuses the same damaged headers, but would be one more dependency, of
1.35 MB on disk, for one of the weight formats.
"""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.floats import BFLOAT16, decode, item_size

# The reference refuses headers above 100 MB; an AlexNet's has 2 KB.
_MAX_HEADER = 1 << 24
_MAX_DIMENSIONS = 16
_CODES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": BFLOAT16,
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "b1",
}


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors by name, copied out of a mapping of the file.

    Returns
    -------
    dict of str to ndarray
        In the order of the data. bfloat16 is widened to float32; other types are the file's.

    Raises
    ------
    UnsafeFileError
        If the header claims more than the file holds.
    WeightsError
        If the header is damaged, or the data has gaps, overlaps or a type that is not read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        header, start = _read_header(stream, size, str(path))
        places = _places(header, size - start, str(path))
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            # Slices are copies, so that nothing refers to the mapping when it closes.
            return {
                key: decode(mapped[start + begin : start + end], code).reshape(shape)
                for key, (code, shape, begin, end) in places.items()
            }


_Place = tuple[str, tuple[int, ...], int, int]


def _read_header(stream: BinaryIO, size: int, name: str) -> tuple[dict[str, Any], int]:
    """The header and where the data starts."""
    stream.seek(0)
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > size - 8:
        raise UnsafeFileError(
            f"{name}: claims a header of {length} bytes in a file of {size}; refused. If it was cut off, "
            "fetch or copy it again"
        )
    if length > _MAX_HEADER:
        raise UnsafeFileError(
            f"{name}: a header of {length} bytes, more than the {_MAX_HEADER} that are read; refused"
        )
    try:
        header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_distinct)
    # RecursionError is what brackets within brackets give.
    except (ValueError, RecursionError) as exc:
        raise WeightsError(
            f"{name}: a damaged safetensors header ({str(exc)[:100]}); fetch the file again"
        ) from exc
    if not isinstance(header, dict):
        raise WeightsError(f"{name}: a safetensors header that is not a JSON object; fetch the file again")
    header.pop("__metadata__", None)
    return header, 8 + length


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one name twice")
    return found


def _places(header: dict[str, Any], data_size: int, name: str) -> dict[str, _Place]:
    """Type, shape, begin and end of every tensor, in the order of the data, which they fill exactly."""
    places = sorted(
        ((key, _place(key, entry, name)) for key, entry in header.items()), key=lambda item: item[1][2:]
    )
    here = 0
    for key, (_, _, begin, end) in places:
        if end > data_size:
            raise WeightsError(
                f"{name}: tensor {listed([key])} ends at byte {end} of {data_size}; the file is cut off or "
                "damaged, fetch or copy it again"
            )
        if begin != here:
            found = "overlaps the one before" if begin < here else f"leaves {begin - here} bytes unexplained"
            raise WeightsError(f"{name}: tensor {listed([key])} {found}; the file is damaged")
        here = end
    if here != data_size:
        raise WeightsError(f"{name}: {data_size - here} bytes after its last tensor; the file is damaged")
    return dict(places)


def _place(key: str, entry: Any, name: str) -> _Place:
    form = {"dtype": str, "shape": list, "data_offsets": list}
    if not isinstance(entry, dict) or any(not isinstance(entry.get(k), kind) for k, kind in form.items()):
        raise WeightsError(
            f"{name}: tensor {listed([key])} lacks its dtype, shape or offsets; fetch it again"
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _CODES:
        raise WeightsError(
            f"{name}: tensor {listed([key])} is of type {listed([dtype])}; needed one of "
            f"{', '.join(_CODES)}. Save it as F32"
        )
    if len(shape) > _MAX_DIMENSIONS or len(offsets) != 2 or not all(map(_is_size, shape + offsets)):
        raise UnsafeFileError(f"{name}: tensor {listed([key])} has an absurd shape or place; refused")
    code, (begin, end) = _CODES[dtype], offsets
    needed = math.prod(shape) * item_size(code)
    if end - begin != needed:
        raise UnsafeFileError(
            f"{name}: tensor {listed([key])} of {dtype} {tuple(shape)} needs {needed} bytes and is given "
            f"{end - begin}; refused"
        )
    return code, tuple(shape), begin, end


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48
