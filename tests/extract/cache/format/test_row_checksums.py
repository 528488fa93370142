"""Checksums of blocks and chunks out of those of rows, against zlib's and HDF5's own."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fc7.extract.cache.format.row_checksums import joined_crcs, joined_fletchers, row_checksums


def fletchers_of_hdf5(rows: NDArray[np.uint16], chunk: int) -> list[int]:
    """What the library writes after each chunk."""
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("rows", data=rows, chunks=(chunk, rows.shape[1]), fletcher32=True)
        raw = [made.id.read_direct_chunk((start, 0))[1] for start in range(0, len(rows), chunk)]
    return [int.from_bytes(data[-4:], "little") for data in raw]


def check(rows: NDArray[np.uint16], chunk: int) -> None:
    sums = row_checksums(rows)
    row_bytes = 2 * rows.shape[1]
    crcs = [zlib.crc32(rows[start : start + chunk].tobytes()) for start in range(0, len(rows), chunk)]
    assert joined_crcs(sums[:, 0], chunk, row_bytes).tolist() == crcs
    assert joined_fletchers(sums[:, 1], chunk, row_bytes).tolist() == fletchers_of_hdf5(rows, chunk)


# 0, 1, 0xFFFE and 0xFFFF are where sums modulo 65535 differ from each other and from none.
@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32))
def test_they_are_those_of_the_libraries(data: st.DataObject, n: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = [np.array([0, 1, 0xFFFE, 0xFFFF], "<u2"), np.array([0], "<u2"), np.arange(1 << 16, dtype="<u2")]
    rows = rng.choice(data.draw(st.sampled_from(kinds)), (n, width)).astype("<u2")
    check(rows, data.draw(st.integers(1, n)))


@pytest.mark.parametrize(("n", "width", "chunk"), [(130, 8192, 64), (3, 300_001, 2), (5, 131_072, 5)])
def test_rows_of_many_numbers(n: int, width: int, chunk: int) -> None:
    rows = np.random.default_rng(0).integers(0, 1 << 16, (n, width)).astype("<u2")
    rows[1] = 0xFFFF
    check(rows, chunk)
