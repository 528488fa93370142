"""Where every row's features lie, and what the row was made from; about 130 bytes a row.

`extract.cache.commit.join` makes one of the committed file and the segments of work that came after it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.extract.cache.format.sources import Ints
from fc7.extract.records import Failure
from fc7.models.common.errors import CacheCorruptError


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What a row was made from, and the layers it has.

    Attributes
    ----------
    sha256 : str
        Hex digest of the image file's bytes.
    """

    size: int
    mtime_ns: int
    sha256: str
    layers: frozenset[str]


class PackedPaths:
    """Many UTF-8 paths in one piece of memory.

    Parameters
    ----------
    blob : bytes
        The paths, one after the other.
    lengths : ndarray of shape (n,), int64
    """

    def __init__(self, blob: bytes, lengths: Ints) -> None:
        self.blob = blob
        self.lengths = lengths
        # Items of a memoryview are plain ints, and fetched faster than those of an array.
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64).data
        self._guess = 0

    @classmethod
    def of(cls, pieces: Iterable[NDArray[np.bytes_]]) -> PackedPaths:
        """From arrays of padded strings."""
        blobs, lengths = [b""], [np.empty(0, np.int64)]
        for piece in pieces:
            width = piece.dtype.itemsize
            used = np.strings.str_len(piece).astype(np.int64)
            letters = np.ascontiguousarray(piece).view(np.uint8).reshape(len(piece), width)
            blobs.append(letters[np.arange(width) < used[:, None]].tobytes())
            lengths.append(used)
        return cls(b"".join(blobs), np.concatenate(lengths))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, i: int) -> bytes:
        return self.blob[self._starts[i] : self._starts[i + 1]]

    def __iter__(self) -> Iterator[bytes]:
        return (self.blob[start:end] for start, end in pairwise(self._starts))

    def taken(self, positions: Ints) -> PackedPaths:
        """Those at `positions`, in that order."""
        if np.array_equal(positions, np.arange(len(self))):
            return self
        return PackedPaths(b"".join(self[i] for i in positions.tolist()), self.lengths[positions])

    def find(self, path: bytes) -> int:
        """Position of `path`, or -1; the paths must be sorted."""
        # Paths are mostly looked up in their order: the next one is tried first.
        i = self._guess
        if not (i < len(self) and self[i] == path):
            i = bisect_left(self, path)
            if i == len(self) or self[i] != path:
                self._guess = i
                return -1
        self._guess = i + 1
        return i

    def find_all(self, paths: Iterable[bytes]) -> Ints:
        """Position of each of `paths`, or -1."""
        blob, starts, last = self.blob, self._starts, len(self)
        found = array("q")
        i = 0
        for path in paths:
            # Most follow the one before.
            if not (i < last and blob[starts[i] : starts[i + 1]] == path):
                i = self.find(path)
            found.append(i)
            i += 1
        return np.array(found, np.int64)


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What rows were made from.

    Attributes
    ----------
    size, mtime_ns : ndarray of shape (n,), int64
    sha256 : ndarray of shape (n, 32), uint8
    """

    size: Ints
    mtime_ns: Ints
    sha256: NDArray[np.uint8]

    @classmethod
    def of(cls, parts: Sequence[MadeFrom]) -> MadeFrom:
        """One after the other."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(part.size for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.mtime_ns for part in parts)]),
            np.concatenate([np.empty((0, 32), np.uint8), *(part.sha256 for part in parts)]),
        )

    def taken(self, positions: Ints) -> MadeFrom:
        """Those at `positions`, in that order."""
        return MadeFrom(self.size[positions], self.mtime_ns[positions], self.sha256[positions])


@dataclass(frozen=True, slots=True)
class Places:
    """Where the layers of rows lie.

    Attributes
    ----------
    source, row : ndarray of shape (n_layers, n), int32 and int64
        Number of the file that holds a layer's features (-1: none does), and the row there.
    """

    source: NDArray[np.int32]
    row: Ints

    def taken(self, positions: Ints) -> Places:
        """Those of the rows at `positions`, in that order."""
        return Places(self.source[:, positions], self.row[:, positions])


@dataclass(frozen=True, slots=True)
class Entries:
    """The rows of one file, before they are joined with others.

    Attributes
    ----------
    lost : mapping of str to sequence of range
        Layer -> rows whose features are damaged.
    """

    paths: PackedPaths
    made_from: MadeFrom
    layers: tuple[str, ...]
    lost: Mapping[str, Sequence[range]]
    failures: list[Failure]

    @classmethod
    def read(cls, file: SealedReader, layers: Sequence[str], lost: Mapping[str, Sequence[range]]) -> Entries:
        """From an open cache or segment; features are not read."""
        hexes = list(file.pieces("sha256"))
        try:
            digests = bytes.fromhex(b"".join(piece.tobytes() for piece in hexes).decode())
        except ValueError as exc:
            raise CacheCorruptError(f"{file.path}: dataset sha256 holds no hex digits") from exc
        return cls(
            paths=PackedPaths.of(file.pieces("path")),
            made_from=MadeFrom(
                _whole(file, "size"),
                _whole(file, "mtime_ns"),
                np.frombuffer(digests, np.uint8).reshape(-1, 32),
            ),
            layers=tuple(layers),
            lost=lost,
            failures=read_failures(file),
        )


def read_failures(file: SealedReader) -> list[Failure]:
    """The failures of an open cache or segment."""
    columns = [_whole(file, f"failures/{name}").tolist() for name in ("path", "reason", "size", "mtime_ns")]
    return [
        Failure(path.decode(), reason.decode(), size, mtime_ns=mtime)
        for path, reason, size, mtime in zip(*columns, strict=True)
    ]


def _whole(file: SealedReader, name: str) -> NDArray[np.int64]:
    return file.read(name, 0, file[name].shape[0])


class RowIndex(Mapping[str, KnownRow]):
    """Path -> row, sorted by path; and where each layer of the row lies.

    Attributes
    ----------
    size, mtime_ns, sha256 : ndarray
        As in `MadeFrom`.
    source, row : ndarray
        As in `Places`.
    failures : dict of str to Failure
        The images that last gave no row.
    """

    def __init__(
        self,
        paths: PackedPaths,
        made_from: MadeFrom,
        layers: tuple[str, ...],
        places: Places,
        failures: dict[str, Failure],
    ) -> None:
        self.layers = layers
        self.size = made_from.size
        self.mtime_ns = made_from.mtime_ns
        self.sha256 = made_from.sha256
        self.source = places.source
        self.row = places.row
        self.failures = failures
        self._paths = paths
        self._has = np.packbits(places.source >= 0, axis=0)
        self._layer_sets: dict[bytes, frozenset[str]] = {}
        self._by_content: tuple[NDArray[np.uint64], Ints] | None = None

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return (path.decode() for path in self._paths)

    def __getitem__(self, path: str) -> KnownRow:
        i = self.find(path)
        if i < 0:
            raise KeyError(path)
        return KnownRow(
            self.size.item(i),
            self.mtime_ns.item(i),
            self.sha256[i].tobytes().hex(),
            layers=self._layers_of(i),
        )

    def find(self, path: str) -> int:
        """Position of a path, or -1."""
        return self._paths.find(path.encode("utf-8", "surrogatepass"))

    def find_all(self, paths: Iterable[str]) -> Ints:
        """Position of each path, or -1; fast where they are sorted."""
        return self._paths.find_all(path.encode("utf-8", "surrogatepass") for path in paths)

    def path(self, i: int) -> str:
        """The path at a position."""
        return self._paths[i].decode()

    def ambiguous(self) -> frozenset[str]:
        """The paths whose row was made from a file of the same size and time as another row."""
        order = np.lexsort((self.mtime_ns, self.size))
        same = np.flatnonzero((np.diff(self.size[order]) == 0) & (np.diff(self.mtime_ns[order]) == 0))
        return frozenset(self.path(i) for i in {*order[same].tolist(), *order[same + 1].tolist()})

    def with_content(self, sha256: str) -> str | None:
        """A path whose row was made from this content, if there is one; rather one with all layers."""
        keys, order = self._contents()
        wanted = np.frombuffer(bytes.fromhex(sha256), ">u8")[0]
        found: str | None = None
        for position in range(int(np.searchsorted(keys, wanted)), len(keys)):
            if keys[position] != wanted:
                break
            i = int(order[position])
            if self.sha256[i].tobytes().hex() == sha256:
                if len(self._layers_of(i)) == len(self.layers):
                    return self.path(i)
                found = found or self.path(i)
        return found

    def _contents(self) -> tuple[NDArray[np.uint64], Ints]:
        """The first eight bytes of every digest, sorted, and whose they are; made when first needed."""
        if self._by_content is None:
            keys = np.ascontiguousarray(self.sha256[:, :8]).view(">u8").ravel()
            order = np.argsort(keys, kind="stable")
            self._by_content = keys[order], order
        return self._by_content

    def _layers_of(self, i: int) -> frozenset[str]:
        key = self._has[:, i].tobytes()
        if key not in self._layer_sets:
            has = zip(self.layers, self.source[:, i] >= 0, strict=True)
            self._layer_sets[key] = frozenset(layer for layer, there in has if there)
        return self._layer_sets[key]
