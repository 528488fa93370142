"""NumPy's part of a pickle: arrays, scalars and simple dtypes, every claim checked first.

NumPy's own ``dtype.__setstate__`` and ``_reconstruct`` believe what they are told, so a file
could build a dtype with fields outside its item, or reserve any amount of memory.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIMPLE_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9][0-9]{0,5}|O[48]?")
_MAX_DIMENSIONS = 32
_NDARRAY = "numpy.ndarray"


class RefusedError(Exception):
    """A claim that no honest file makes; `models.weights.pickles` adds the file's name."""


class PickledDtype:
    """A dtype while its pickle is read: the code first, the byte order by a second opcode."""

    def __init__(self, code: object, _align: object = False, _copy: object = True) -> None:
        if not isinstance(code, str) or not _SIMPLE_DTYPE.fullmatch(code):
            shown = code[:40] if isinstance(code, str) else type(code).__name__
            raise RefusedError(
                f"an array of dtype {shown!a}, where numbers, truth values, text or objects were needed"
            )
        self.value: np.dtype[Any] = np.dtype(code[0] if code[0] == "O" else code)

    def set_state(self, state: object) -> None:
        """Take the byte order of ``dtype.__reduce__``'s state; everything else must be plain."""
        if not isinstance(state, tuple) or len(state) not in (8, 9) or state[1] not in ("<", ">", "|", "="):
            raise ValueError("a dtype state of unknown form")
        if any(part is not None for part in state[2:5]):
            raise RefusedError("an array with fields, where a plain one was needed")
        self.value = self.value.newbyteorder(state[1])


def set_array_state(array: NDArray[Any], state: object) -> None:
    """``ndarray.__setstate__`` with its arguments checked: version, shape, dtype, order, data."""
    if not isinstance(state, tuple) or len(state) != 5 or array.shape != (0,):
        raise ValueError("an array state of unknown form")
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, PickledDtype) or not isinstance(fortran, bool | int):
        raise ValueError("an array state of unknown form")
    if dtype.value.hasobject:
        if not isinstance(data, list):
            raise ValueError("an array of objects without its list")
        _check_claim(shape, 1, len(data), what="objects")
    else:
        # Python 2's array data is a str, which the encoding "latin1" keeps byte for byte.
        data = data.encode("latin-1") if isinstance(data, str) else data
        if not isinstance(data, bytes):
            raise ValueError("an array without its bytes")
        _check_claim(shape, dtype.value.itemsize, len(data))
    state = (1, shape, dtype.value, bool(fortran), data)
    array.__setstate__(state)  # type: ignore[arg-type]  # the stubs want numpy.bool; NumPy writes bool


def _empty_array(kind: object, shape: object, _code: object) -> NDArray[Any]:
    """``numpy._core.multiarray._reconstruct``; NumPy itself always writes the shape (0,)."""
    if kind != _NDARRAY:
        raise ValueError("an array of another class")
    if shape != (0,):
        raise RefusedError("an array claims memory before its data")
    return np.empty(0, np.uint8)


def _array_from_buffer(data: object, dtype: object, shape: object, order: object) -> NDArray[Any]:
    """``numpy._core.numeric._frombuffer``: arrays of protocol 5."""
    if (
        not isinstance(dtype, PickledDtype)
        or dtype.value.hasobject
        or not isinstance(data, bytes | bytearray)
    ):
        raise ValueError("an array buffer of unknown form")
    sizes = _check_claim(shape, dtype.value.itemsize, len(data))
    return np.frombuffer(data, dtype.value).reshape(sizes, order="F" if order == "F" else "C")


def _scalar(dtype: object, data: object) -> Any:
    """``numpy._core.multiarray.scalar``: one number."""
    data = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(dtype, PickledDtype) or dtype.value.hasobject or not isinstance(data, bytes):
        raise ValueError("a scalar of unknown form")
    _check_claim((), dtype.value.itemsize, len(data))
    return np.frombuffer(data, dtype.value)[0]


def _check_claim(shape: object, item_size: int, held: int, what: str = "bytes") -> tuple[int, ...]:
    """The shape, if it claims exactly what is there."""
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError("a shape of unknown form")
    if not all(type(size) is int and 0 <= size < 1 << 48 for size in shape):
        raise RefusedError("an array with a negative or absurd size")
    claimed = math.prod(shape) * item_size
    if claimed != held:
        raise RefusedError(f"an array claims {claimed} {what} and brings {held}")
    return shape


# NumPy 2 renamed its modules; files of both generations are about.
ARRAY_GLOBALS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): PickledDtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _array_from_buffer for core in ("core", "_core")},
}
