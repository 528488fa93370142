"""The cache's border to HDF5: nothing else of it imports h5py, and here its errors become ours.

Two facts about the library, both measured with HDF5 2.0, shape what is here.

- A file whose write has failed cannot be closed properly: HDF5 keeps its buffers, tries again at
  exit, and may bring the process down. So it writes through a file object of ours that never
  fails; the first error of the system is kept, and `NewFile` raises it.
- Variable-length strings lie in a heap that has no checksum. One flipped bit there can change a
  string unseen or send the library into an endless loop. So every string is of fixed length, in
  UTF-8 padded with zero bytes: datasets have Fletcher-32, attributes the header's checksum.

Files are of the format of HDF5 1.8 (2008), which every reader in use knows: superblock and object
headers with checksums, nothing newer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from fc7.extract.cache.format.hdf5_filters import FLETCHER32, missing_filter, only_filters
from fc7.extract.cache.format.raw import FLETCHER_BYTES, ChunkPlaces, RawFile
from fc7.extract.cache.format.target import Part, Target
from fc7.models.common.errors import CacheCorruptError, CacheError
from fc7.models.common.files import refuse_pipe

Attribute = str | int | Sequence[str] | Sequence[int]

# What h5py raises for files that are damaged or not built as expected.
_LIBRARY_ERRORS = (OSError, KeyError, RuntimeError, TypeError, ValueError)


class NewFile:
    """A file that is being written.

    Errors of the file system come out as the plain `OSError` that they are, from the call that
    met them or the next one; after that the file is of no use and is to be closed and removed.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    """

    def __init__(self, path: Path) -> None:
        self._target = Target(path)
        try:
            # Chunks are written whole and once, so the library's own chunk cache only costs a copy.
            self._file = h5py.File(self._target, "w", libver=("v108", "v108"), rdcc_nbytes=0)
        except BaseException:
            self._target.abandon()
            raise
        self._datasets: dict[str, Any] = {}

    def create(
        self, name: str, shape: tuple[int, ...], dtype: DTypeLike, *, chunk_rows: int, deflate: bool
    ) -> None:
        """Make a dataset of chunks with Fletcher-32.

        Parameters
        ----------
        dtype : dtype
            A byte string ``S<n>`` becomes fixed-length UTF-8.
        chunk_rows : int
            Rows of one chunk; a chunk has all columns. 0 for a dataset in one piece, without
            checksum.
        deflate : bool
            Compress (zlib, level 1, numbers by byte planes first).
        """
        stored = _stored(np.dtype(dtype))
        options: dict[str, Any] = {}
        if shape[0] and chunk_rows:
            options = {"chunks": (min(chunk_rows, shape[0]), *shape[1:]), "fletcher32": True}
            if deflate:
                options |= {"compression": "gzip", "compression_opts": 1, "shuffle": stored.kind != "S"}
        self._datasets[name] = self._file.create_dataset(name, shape, stored, **options)
        self._target.check()

    def write(self, name: str, start: int, rows: NDArray[Any]) -> None:
        """Put `rows` at row `start` of a dataset."""
        if len(rows):
            self._datasets[name][start : start + len(rows)] = rows.view(_stored(rows.dtype))
        self._target.check()

    def write_chunk(self, name: str, start: int, parts: Sequence[Part]) -> None:
        """Put a whole chunk, from row `start` on, as it is to lie in the file; the library computes nothing.

        Parameters
        ----------
        parts : sequence of memoryview or Span
            Together all its rows, zeros for those beyond the end of the dataset, and Fletcher-32.
        """
        data = self._datasets[name].id
        size = sum(len(part) if isinstance(part, memoryview) else part.size for part in parts)
        chunk: bytes | bytearray = self._target.stand_in(size)
        if chunk:
            self._target.place(parts)
        else:
            chunk = b"".join(part if isinstance(part, memoryview) else part.read() for part in parts)
        data.write_direct_chunk((start, *(0 for _ in data.shape[1:])), chunk)
        self._target.check_written()

    def settle(self) -> None:
        """Copy what `write_chunk` was given; until then the files of spans must stay."""
        self._target.settle()

    def set_attributes(self, name: str, values: Mapping[str, Attribute]) -> None:
        """Set attributes of a dataset or group (``/`` for the file)."""
        node = self._datasets.get(name)
        held = (self._file[name] if node is None else node).attrs
        for key, value in values.items():
            held.create(key, _encoded(value))
        self._target.check()

    def close(self) -> None:
        """Finish the file and bring it onto the disk (fsync)."""
        # After an error of the system the library may fail in turn; the first cause is what counts.
        with contextlib.suppress(*_LIBRARY_ERRORS) if self._target.error else contextlib.nullcontext():
            self._file.close()
        self._target.close()

    def abandon(self) -> None:
        """Close as it is, without an error; after `close` it does nothing."""
        self._target.error = self._target.error or InterruptedError("abandoned")
        with contextlib.suppress(*_LIBRARY_ERRORS):
            self._file.close()
        self._target.abandon()


class OpenFile:
    """A file that is read; a context manager.

    Parameters
    ----------
    kind : str
        What the file should be, for messages: "a feature cache".

    Attributes
    ----------
    raw : RawFile
        Its bytes.

    Raises
    ------
    CacheError
        If it does not exist, cannot be opened or is no HDF5 file.
    CacheCorruptError
        If it begins as an HDF5 file and cannot be opened as one.
    UsageError
        If it is a pipe, socket or device.
    """

    def __init__(self, path: Path, kind: str = "an HDF5 file") -> None:
        self.path = path
        refuse_pipe(path)
        try:
            with path.open("rb") as stream:
                empty = not stream.read(1)
                status = os.fstat(stream.fileno())
        except FileNotFoundError as exc:
            raise CacheError(f"{path} does not exist; {kind} was expected there") from exc
        except IsADirectoryError as exc:
            raise CacheError(f"{path} is a folder; {kind} was expected there") from exc
        except OSError as exc:
            raise CacheError(f"{path} cannot be opened: {exc.strerror}") from exc
        if empty:
            raise CacheCorruptError(f"{path} is empty (0 bytes); {kind} was expected there")
        if not h5py.is_hdf5(path):
            raise CacheError(f"{path} is not {kind}: its first bytes are not HDF5's")
        with self._border("cannot be opened; it is damaged or cut short"):
            # Our locks are files of our own; HDF5's need flock, which network shares may not have.
            self._file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
        self._nodes: dict[str, Any] = {}
        self.raw = RawFile(path, status)

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; calling it again does nothing."""
        self._nodes.clear()
        self.raw.close()
        with contextlib.suppress(*_LIBRARY_ERRORS):
            self._file.close()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a dataset."""
        with self._border(f"dataset {name}"):
            return tuple(int(extent) for extent in self._node(name).shape)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Type of a dataset; fixed-length strings are ``S<n>``."""
        with self._border(f"dataset {name}"):
            dtype: np.dtype[Any] = self._node(name).dtype
            return np.dtype(f"S{dtype.itemsize}") if dtype.kind == "S" else dtype

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop` of a dataset, as stored."""
        with self._border(f"dataset {name}, rows {start}-{stop - 1}"):
            rows: NDArray[Any] = self._node(name)[start:stop]
            return rows

    def chunks(self, name: str) -> ChunkPlaces | None:
        """Where the chunks of a dataset lie; None unless each is its rows and a Fletcher-32."""
        with self._border(f"dataset {name}"):
            node = self._node(name)
            if node.chunks is None or not only_filters(node, FLETCHER32):
                return None
            rows = int(node.chunks[0])
            row_bytes = node.dtype.itemsize * int(np.prod(node.shape[1:], dtype=np.int64))
            starts = np.full(-(-node.shape[0] // rows), -1, np.int64)
            whole = rows * row_bytes + FLETCHER_BYTES

            def note(chunk: Any) -> None:
                if chunk.size == whole and not chunk.filter_mask:
                    starts[chunk.chunk_offset[0] // rows] = chunk.byte_offset

            node.id.chunk_iter(note)
            return ChunkPlaces(rows, row_bytes, starts) if (starts >= 0).all() else None

    def attributes(self, name: str) -> dict[str, Attribute]:
        """What a dataset, a group or (``/``) the file says in texts, lists of texts and whole numbers."""
        with self._border(f"attributes of {name}"):
            held = self._node(name).attrs
            decoded = {key: _decoded(held[key]) for key in list(held)}
        return {key: value for key, value in decoded.items() if value is not None}

    def _node(self, name: str) -> Any:
        # Looking a name up costs more than reading a small dataset.
        if name not in self._nodes:
            node = self._file[name]
            lacking = missing_filter(node) if isinstance(node, h5py.Dataset) else None
            if lacking is not None:
                raise CacheError(f"{self.path}: {name} is {lacking}")
            self._nodes[name] = node
        return self._nodes[name]

    @contextlib.contextmanager
    def _border(self, what: str) -> Iterator[None]:
        try:
            yield
        except _LIBRARY_ERRORS as exc:
            reason = str(exc.args[0] if exc.args else exc).partition("\n")[0]
            raise CacheCorruptError(f"{self.path}: {what}: {reason}") from exc


def _stored(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind == "S":
        stored: np.dtype[Any] = h5py.string_dtype("utf-8", dtype.itemsize)
        return stored
    return dtype


def _encoded(value: Attribute) -> NDArray[Any]:
    if isinstance(value, int):
        return np.asarray(value, dtype="<i8")
    if not isinstance(value, str) and any(isinstance(item, int) for item in value):
        return np.array(value, dtype="<i8")
    texts = [str(text).encode() for text in ([value] if isinstance(value, str) else value)]
    width = max([1, *map(len, texts)])
    array = np.array(texts, dtype=h5py.string_dtype("utf-8", width))
    return array[0:1].reshape(()) if isinstance(value, str) else array


def _decoded(value: object) -> Attribute | None:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str | int):
        return value
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "SiuO":
        return [item.decode() if isinstance(item, bytes) else item for item in value.tolist()]
    return None
