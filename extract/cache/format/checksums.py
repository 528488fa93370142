"""What makes a file sealed: a checksum for every byte that matters, which says where it belongs.

HDF5's own Fletcher-32 checks a chunk's bytes, but not that they are the chunk that was asked for:
a chunk of zeros passes (its sum is zero), and so does one that a damaged index puts at another
place. So there is one more dataset::

    /checksums   (n_blocks,) uint32: zlib's CRC-32 of each block of rows of each dataset, in the
                 order of its attribute datasets; the last block of a dataset may be shorter
                 attributes: datasets, rows_per_block (a number for each of them),
                 covered (which attributes of / the seal covers), seal

The CRC is taken over the rows as they lie in memory: little-endian, fixed-length strings padded
with zero bytes. The seal is the sha256 of all checksums, shapes, types and covered attributes as
a JSON text (`seal`). So a change anywhere is found, and for rows also where; attributes and
datasets that someone else adds are not in the way.

HDF5's own checksums would do for new files, not for less code. With ``libver="v110"`` and features deflated
at level 0, 28,823 changes of the 9,642 bytes of a cache's metadata gave 0 wrong readings, and a chunk of
zeros an error (HDF5 2.0). But files of version 1 need this seal to be checked, so that all in all some 125
lines would go, and with them MATLAB before R2021b, which reads HDF5 1.8.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.hdf5 import Attribute

NAME = "checksums"
# The attributes of datasets that the seal covers.
DATASET_ATTRIBUTES = ("layer", "fingerprint")
# Large enough that a disk reads it at full speed, small enough that reading one row is cheap.
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the seal says of one dataset.

    Attributes
    ----------
    dtype : dtype
        Strings are ``S<n>``.
    block : int
        Rows of one block.
    attributes : mapping of str to str
        Those that are covered.
    crcs : ndarray of shape (n_blocks,), uint32
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: int
    attributes: Mapping[str, Attribute]
    crcs: NDArray[np.uint32]


def checksums_of_rows(name: str) -> str:
    """Name of the dataset with the checksums of the rows of the dataset ``<group>/<name>``."""
    return "checksums_of_rows/" + name.rpartition("/")[2]


def rows_per_block(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Rows that make about 1 MiB, at least one."""
    row_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    return max(1, BLOCK_BYTES // max(1, row_bytes))


def block_crcs(rows: NDArray[Any], block: int) -> NDArray[np.uint32]:
    """CRC-32 of every `block` rows; `rows` begin at the start of a block."""
    pieces = (np.ascontiguousarray(rows[start : start + block]) for start in range(0, len(rows), block))
    return np.array([zlib.crc32(piece.data) for piece in pieces], "<u4")


def seal(attributes: Mapping[str, Attribute | None], datasets: Mapping[str, Sealed]) -> str:
    """Sha256 (hex) of the JSON text with sorted keys and no spaces, ASCII only."""
    described = {
        name: {
            "shape": list(dataset.shape),
            "dtype": dataset.dtype.str,
            "rows_per_block": dataset.block,
            "attributes": dict(dataset.attributes),
            "crc32": hashlib.sha256(dataset.crcs.astype("<u4").tobytes()).hexdigest(),
        }
        for name, dataset in datasets.items()
    }
    covered = {"attributes": dict(attributes), "datasets": described}
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
