"""Features out of a cache, every byte checked on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.index import read_failures
from fc7.extract.cache.commit.thumbnail_columns import read_thumbnails
from fc7.extract.cache.format.columns import texts
from fc7.extract.cache.format.header import CacheHeader, features_name, open_cache
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.rows import FeatureSet as FeatureSet
from fc7.extract.cache.rows import RowColumns as RowColumns
from fc7.extract.images.thumbnails import Thumbnails
from fc7.extract.inputs.tables.corrections import Corrected, Corrections
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.extract.records import Failure
from fc7.models.common.errors import UnknownLayerError

# `iter_blocks` gives fewer rows than asked for where they would take more than this.
_BLOCK_BYTES = 64 << 20


class CacheReader:
    """An open cache; a context manager.

    Parameters
    ----------
    corrections : Corrections, str, Path or None
        Or their file: labels that go before those of the cache, in all that is read.

    Attributes
    ----------
    corrected : Corrected or None
        What they did.

    Raises
    ------
    CacheError
        If there is no cache, or one of a newer format version.
    CacheCorruptError
        If it is damaged.
    UsageError, SourceError
        If the corrections cannot be read, contradict themselves or name no image of the cache.

    Examples
    --------
    >>> with CacheReader("features.h5") as reader:
    ...     print(reader.n_rows, reader.layers, [block.shape for _, block in reader.iter_blocks(rows=20)])
    32 ('tiles',) [(20, 192), (12, 192)]
    """

    def __init__(self, path: str | Path, corrections: Corrections | str | Path | None = None) -> None:
        self.path = Path(path)
        self.corrected: Corrected | None = None
        self._labels: list[str] | None = None
        corrections = corrections_given(corrections)
        self._file = open_cache(self.path)
        try:
            self.header = CacheHeader.read(self._file)
            if corrections is not None:
                known = self.columns()
                self._labels, self.corrected = corrections.over(known.path, known.sha256, known.label)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> CacheReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; calling it again does nothing."""
        self._file.close()

    @property
    def identity(self) -> CacheIdentity:
        """What made the features."""
        return self.header.identity

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return self.identity.layers

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.header.rows

    def layer(self, name: str | None) -> str:
        """`name` itself; for None the only or the last layer.

        Raises
        ------
        UnknownLayerError
        """
        if name is None:
            return self.layers[-1]
        if name not in self.layers:
            raise UnknownLayerError(
                f"{self.path} has no layer {name!r}; it has {', '.join(self.layers)} "
                "(extract --layer adds one)"
            )
        return name

    def iter_blocks(
        self, layer: str | None = None, rows: int = 1024
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Features in order, a part at a time: memory does not grow with the cache.

        Parameters
        ----------
        layer : str or None
            The only or last one if None.
        rows : int
            At most so many at a time.

        Yields
        ------
        slice
            Which rows.
        ndarray of shape (n, dim), float32

        Raises
        ------
        UnknownLayerError, CacheCorruptError
        """
        layer = self.layer(layer)
        name = features_name(layer)
        step = max(1, min(rows, _BLOCK_BYTES // (4 * self.identity.dims[layer])))
        if step > self._file[name].block:
            step -= step % self._file[name].block  # so that none is read twice
        for start in range(0, self.n_rows, step):
            stop = min(start + step, self.n_rows)
            yield slice(start, stop), self._file.read(name, start, stop).astype(np.float32, copy=False)

    def take(self, rows: NDArray[np.int64], layer: str | None = None) -> NDArray[np.float32]:
        """Features of some rows, in their order.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
        layer : str or None
            The only or last one if None.

        Raises
        ------
        UnknownLayerError, CacheCorruptError
        """
        found = self._file.take(features_name(self.layer(layer)), rows)
        return found.astype(np.float32, copy=found.base is not None)

    def block_rows(self, layer: str | None = None) -> int:
        """How many rows are read together, to check them, where one is asked for."""
        return self._file[features_name(self.layer(layer))].block

    def columns(self, rows: slice = slice(None)) -> RowColumns:
        """What rows are about.

        Parameters
        ----------
        rows : slice
            Of step 1; all rows if left out.

        Raises
        ------
        CacheCorruptError
        """
        start, stop, _ = rows.indices(self.n_rows)
        path, label, group, split, size, mtime_ns, sha256 = (
            self._file.read(name, start, stop)
            for name in ("path", "label", "group", "split", "size", "mtime_ns", "sha256")
        )
        labels = texts(label) if self._labels is None else self._labels[start:stop]
        return RowColumns(
            texts(path),
            label=labels,
            group=texts(group),
            split=texts(split),
            size=size,
            mtime_ns=mtime_ns,
            sha256=texts(sha256),
        )

    def thumbnails(self) -> Thumbnails:
        """Greys and colours of each image, shape (n_rows, 96); zeros where there are none.

        Raises
        ------
        CacheCorruptError
        """
        return read_thumbnails(self._file)

    def failures(self) -> list[Failure]:
        """The images that gave no row, sorted by path.

        Raises
        ------
        CacheCorruptError
        """
        return read_failures(self._file)

    def features(self, layer: str) -> FeatureSet:
        """All rows of a layer that the cache has.

        Raises
        ------
        CacheCorruptError
            If a row or a text fails a checksum.
        """
        X = np.empty((self.n_rows, self.identity.dims[layer]), np.float32)
        for rows, block in self.iter_blocks(layer):
            X[rows] = block
        columns = self.columns()
        return FeatureSet(
            X=X,
            y=np.array(columns.label, np.str_),
            paths=columns.path,
            groups=np.array(columns.group, np.str_),
            splits=np.array(columns.split, np.str_),
            sha256=columns.sha256,
            thumbnails=self.thumbnails(),
            layer=layer,
            identity=self.identity,
            roots=self.header.roots,
            corrected=self.corrected,
        )


def load_features(
    path: str | Path, layer: str | None = None, *, corrections: Corrections | str | Path | None = None
) -> FeatureSet:
    """Read all rows of a layer into memory.

    Parameters
    ----------
    path : str or Path
        A cache that `extract` made.
    layer : str or None
        The only or the last one if None.
    corrections : str, Path, Corrections or None
        A table of path or sha256, and label, whose labels go before those of the cache; an empty one takes
        the image's label away (`extract.inputs.tables.corrections_table`).

    Raises
    ------
    UnknownLayerError
        If the cache does not have the layer.
    CacheError
        If there is no cache, or one of a newer format version.
    CacheCorruptError
        If a row or a text fails a checksum; nothing is returned then.
    UsageError, SourceError
        If the corrections cannot be read, contradict themselves or name no image of the cache.

    Examples
    --------
    >>> import fc7
    >>> X, y, paths = fc7.load_features("features.h5")
    >>> X.shape, str(y[0]), paths[0]
    ((32, 192), 'circle', 'circle/0000.jpg')
    """
    with CacheReader(path, corrections) as reader:
        return reader.features(reader.layer(layer))
