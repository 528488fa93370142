"""Checksums of single rows, from which those of any block or chunk of rows follow without the rows.

A row that is moved from one file to another takes its two checksums along, so that those of the block and
the chunk that it comes to lie in say of its bytes what was said of them when they were made. Both are linear,
which makes that possible:

- CRC-32 of A and then B is ``shift(crc(A), len(B)) ^ crc(B)``, as zlib's ``crc32_combine``; `shift` is linear
  over GF(2), so that the CRCs of 32 single bits say all of it.
- Fletcher-32 of HDF5 (``H5_checksum_fletcher32`` in H5checksum.c) is a = the sum of the big-endian words of
  16 bits and b = the sum of all a on the way, both modulo 65535, where 0 is kept for words that are all zero.
  After B has followed, a = a(A) + a(B) and b = b(A) + words(B) a(A) + b(B).
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 2
"""Numbers that a row has: its CRC-32, and its Fletcher-32 as HDF5 keeps it, ``b << 16 | a``."""

_MODULUS = 65535
# As floating-point numbers they fit into a core's cache.
_WORDS_AT_ONCE = 1 << 17


def row_checksums(rows: NDArray[Any]) -> NDArray[np.uint32]:
    """CRC-32 and Fletcher-32 of every row: shape (n_rows, 2).

    Parameters
    ----------
    rows : ndarray of shape (n_rows, dim)
        Little-endian numbers of an even number of bytes.

    Examples
    --------
    >>> rows = np.array([[1, 2], [0, 0]], "<f4")
    >>> [hex(number) for number in row_checksums(rows).ravel().tolist()]
    ['0x2e3fa576', '0x80fe807f', '0x6522df69', '0x0']
    """
    contiguous = np.ascontiguousarray(rows)
    found = np.empty((len(rows), WIDTH), np.uint32)
    found[:, 0] = [zlib.crc32(row) for row in contiguous.view(np.uint8)]
    words = contiguous.view("<u2")
    step = max(1, _WORDS_AT_ONCE // max(1, words.shape[1]))
    for start in range(0, len(words), step):
        found[start : start + step, 1] = _fletchers(words[start : start + step])
    return found


def joined_crcs(crcs: NDArray[np.uint32], block: int, row_bytes: int) -> NDArray[np.uint32]:
    """CRC-32 of every `block` rows from those of the rows; the last block may be shorter."""
    count = -(-len(crcs) // block)
    width = 1 << max(0, block - 1).bit_length()
    # Nothing before a text leaves its CRC as it is, and 0 is nothing's: blocks are filled up in front.
    level = np.zeros((count, width), np.uint32)
    whole = len(crcs) // block
    level[:whole, width - block :] = crcs[: whole * block].reshape(whole, block)
    if whole < count:
        level[whole, width - (len(crcs) - whole * block) :] = crcs[whole * block :]
    while level.shape[1] > 1:
        level = _shifted(level[:, 0::2], row_bytes) ^ level[:, 1::2]
        row_bytes *= 2
    return level[:, 0]


def joined_fletchers(fletchers: NDArray[np.uint32], chunk: int, row_bytes: int) -> NDArray[np.uint32]:
    """Fletcher-32 of every `chunk` rows from those of the rows; the last chunk is filled up with zeros."""
    count = -(-len(fletchers) // chunk)
    filled = np.zeros(count * chunk, np.uint64)
    filled[: len(fletchers)] = fletchers
    level = filled.reshape(count, chunk)
    a, b = level & 0xFFFF, level >> 16
    words_after = np.arange(chunk - 1, -1, -1, dtype=np.uint64) * np.uint64(row_bytes // 2) % _MODULUS
    return _packed(a.sum(axis=1), (b + a * words_after).sum(axis=1))


def _fletchers(words: NDArray[np.uint16]) -> NDArray[np.uint32]:
    a = b = np.zeros(len(words), np.uint64)
    for start in range(0, words.shape[1], _WORDS_AT_ONCE):
        part = words[:, start : start + _WORDS_AT_ONCE]
        width = part.shape[1]
        weights = np.stack([np.ones(width), np.arange(width, 0, -1)], axis=1)
        # A product of matrices is the fastest that NumPy has, and exact: no sum comes near 2**53.
        sums = (part.astype(np.float64) @ weights).astype(np.uint64)
        # Swapping the bytes of a word multiplies it by 256 modulo 65535.
        sums *= np.uint64(256)
        b = _folded(b + a * np.uint64(width) + sums[:, 1])
        a = _folded(a + sums[:, 0])
    return _packed(a, b)


def _packed(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return (_folded(b) << np.uint64(16) | _folded(a)).astype(np.uint32)


def _folded(sums: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Modulo 65535 as HDF5 has it: from 1 to 65535, and 0 where all is zero."""
    folded: NDArray[np.uint64] = np.where(sums == 0, 0, (sums - 1) % _MODULUS + 1).astype(np.uint64)
    return folded


def _shifted(crcs: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """What `crcs` contribute to the CRC of a text that goes on for `size` bytes."""
    tables = _tables(size)
    parts = (tables[i][crcs >> np.uint32(8 * i) & np.uint32(0xFF)] for i in range(4))
    shifted: NDArray[np.uint32] = np.bitwise_xor.reduce(list(parts))
    return shifted


@cache
def _tables(size: int) -> NDArray[np.uint32]:
    """For each of the four bytes of a CRC, what its 256 values become."""
    zeros = bytes(size)
    nothing = zlib.crc32(zeros)
    bits = [zlib.crc32(zeros, 1 << bit) ^ nothing for bit in range(32)]
    tables = np.zeros((4, 256), np.uint32)
    for i in range(4):
        for bit in range(8):
            with_bit = np.flatnonzero(np.arange(256) >> bit & 1)
            tables[i, with_bit] ^= np.uint32(bits[8 * i + bit])
    return tables
