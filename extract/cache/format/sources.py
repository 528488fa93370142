"""The files that rows come from, opened when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.sealed_reader import SealedReader, distinct

# Rows are asked for in the order of their paths, and so come from few files at a time.
_OPEN_AT_ONCE = 16


Ints = NDArray[np.int64]
"""Positions of rows."""


class Sources:
    """Numbered files, some of them open; a context manager.

    Parameters
    ----------
    openers : sequence of callable
        Each opens one file.
    """

    def __init__(self, openers: Sequence[Callable[[], SealedReader]]) -> None:
        self._openers = openers
        self._open: OrderedDict[int, SealedReader] = OrderedDict()

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all; they open again when they are needed."""
        while self._open:
            self._open.popitem()[1].close()

    def __getitem__(self, number: int) -> SealedReader:
        if number not in self._open:
            if len(self._open) == _OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()
            self._open[number] = self._openers[number]()
        self._open.move_to_end(number)
        return self._open[number]

    def take(self, name: str, source: NDArray[np.int32], row: Ints) -> NDArray[Any]:
        """Rows of one dataset gathered from many files.

        Parameters
        ----------
        source, row : ndarray of shape (n,), n > 0
            For each row of the result, the number of its file and the row there.

        Returns
        -------
        ndarray of shape (n, ...)
            Of the type that the files have, the widest if they differ.

        Raises
        ------
        CacheCorruptError
            If a row fails its checksum.
        """
        numbers = distinct(source)
        if len(numbers) == 1:
            return self[numbers[0]].take(name, row)
        out: NDArray[Any] | None = None
        for number in numbers:
            wanted = source == number
            taken = self[number].take(name, row[wanted])
            if out is None:
                out = np.empty((len(row), *taken.shape[1:]), taken.dtype)
            elif out.dtype != np.result_type(out, taken):
                out = out.astype(np.result_type(out, taken))
            out[wanted] = taken
        assert out is not None
        return out
