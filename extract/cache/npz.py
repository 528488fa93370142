"""A cache as an ordinary ``.npz``, for programs that read NumPy and not HDF5."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.reader import CacheReader, RowColumns
from fc7.extract.kinds import NPZ
from fc7.models.common.durable import explained, room_beside
from fc7.models.common.errors import CacheError
from fc7.models.outputs.outputs import CallFiles, Destination

_STEP = 8192


def to_npz(path: str | Path, out: Destination, layer: str | None = None, *, force: bool = False) -> int:
    """Write a layer and all that is known of its rows; memory does not grow with the cache.

    ``numpy.load(out)`` (no pickle needed) then has: ``X`` (n, dim) float32, ``y``, ``paths``,
    ``groups``, ``splits``, ``sha256`` (n,) texts, and ``layer``, ``network``, ``fingerprint``,
    ``preprocessing`` as texts.

    Parameters
    ----------
    path : str or Path
        A cache.
    layer : str or None
        The only or last one if None.
    force : bool
        Replace what stands at `out`, whatever it is.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    UsageError
        If something else stands at `out`, or nothing can be written there.
    UnknownLayerError, CacheError, CacheCorruptError
        As `load_features`; or if `out` cannot be written. `out` is as it was then.
    """
    out = CallFiles([path], force=force).claim(out, NPZ)
    target = out.place.target
    with (
        CacheReader(path) as reader,
        explained(out.path, out.option, CacheError),
        room_beside(target) as room,
    ):
        name = reader.layer(layer)
        with zipfile.ZipFile(room / target.name, "w") as archive:
            _write(archive, reader, name)
        out.put(room / target.name)
        return reader.n_rows


def _write(archive: zipfile.ZipFile, reader: CacheReader, layer: str) -> None:
    identity = reader.identity
    blocks = (rows for _, rows in reader.iter_blocks(layer))
    _member(archive, "X", (reader.n_rows, identity.dims[layer]), dtype=np.dtype("<f4"), blocks=blocks)
    columns: dict[str, Callable[[RowColumns], list[str]]] = {
        "y": lambda some: some.label,
        "paths": lambda some: some.path,
        "groups": lambda some: some.group,
        "splits": lambda some: some.split,
        "sha256": lambda some: some.sha256,
    }
    for name, pick in columns.items():
        width = max([1, *(len(text) for some in _columns(reader) for text in pick(some))])
        dtype = np.dtype(f"<U{width}")
        arrays = (np.array(pick(some), dtype) for some in _columns(reader))
        _member(archive, name, (reader.n_rows,), dtype=dtype, blocks=arrays, compression=zipfile.ZIP_DEFLATED)
    about = {
        "layer": layer,
        "network": identity.network,
        "fingerprint": identity.fingerprints[layer],
        "preprocessing": identity.preprocess.to_json(),
    }
    for name, text in about.items():
        value = np.array(text)
        _member(archive, name, (), dtype=value.dtype, blocks=iter([value]))


def _columns(reader: CacheReader) -> Iterator[RowColumns]:
    return (
        reader.columns(slice(start, min(start + _STEP, reader.n_rows)))
        for start in range(0, reader.n_rows, _STEP)
    )


def _member(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    blocks: Iterator[NDArray[Any]],
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """One array, part by part, in NumPy's format 1.0 (numpy.lib.format)."""
    # A fixed time: equal caches give equal archives.
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    entry.compress_type = compression
    with archive.open(entry, "w", force_zip64=True) as stream:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for block in blocks:
            stream.write(np.ascontiguousarray(block).tobytes())
