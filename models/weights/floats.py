"""Raw bytes to arrays, bfloat16 included, which NumPy does not have."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ByteOrder = Literal["<", ">"]
BFLOAT16 = "bf16"


def item_size(code: str) -> int:
    """Bytes of one number of type `code`: a NumPy type code such as ``f4``, or `BFLOAT16`."""
    return 2 if code == BFLOAT16 else np.dtype(code).itemsize


def decode(raw: bytes | memoryview, code: str, order: ByteOrder = "<") -> NDArray[Any]:
    """The numbers in `raw`, one-dimensional; a view where NumPy knows the type.

    Parameters
    ----------
    raw : bytes or memoryview
        A whole number of items.
    code : str
        As for `item_size`.
    order : {"<", ">"}
        Little- or big-endian.

    Notes
    -----
    A bfloat16 is the upper half of a float32 (Intel, "BFLOAT16: hardware numerics definition",
    2018), so widening it is a shift and exact.
    """
    if code == BFLOAT16:
        halves = np.frombuffer(raw, f"{order}u2").astype(np.uint32)
        return (halves << np.uint32(16)).view(np.float32)
    return np.frombuffer(raw, np.dtype(code).newbyteorder(order))
