"""The segments of one cache: those that an interrupted run left, and those of this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.index import Entries
from fc7.extract.cache.commit.segments import (
    check_segment,
    next_number,
    open_segment,
    remove_folder,
    remove_partials,
    segment_info,
)
from fc7.extract.cache.format.files import list_segments, remove, write_error
from fc7.extract.cache.format.header import Run
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.models.common.durable import flush_folder
from fc7.models.common.errors import CacheCorruptError
from fc7.models.common.terminal import counted

# Rows that are counted at a time.
_STEP = 1 << 16
_REMEDY = (
    "run that again to finish it, choose another -o, or pass --force to drop those rows and replace the "
    "feature cache"
)


class Pending:
    """What lies in a cache's work folder.

    Parameters
    ----------
    folder : Path
        Need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: list[Path] = []
        self._unused: list[Path] = []
        self._provenance: list[Run] = []
        self._next = 0

    def recover(self, offered: CacheIdentity, layers: Sequence[str], *, forced: bool) -> list[str]:
        """Take stock of the folder, reading every segment whole.

        Parameters
        ----------
        offered : CacheIdentity
            What the network of this run can give.
        layers : sequence of str
            What this run wants; other layers are of no use to it.
        forced : bool
            This run begins anew: only segments of an earlier run that did so are gone on with.

        Returns
        -------
        list of str
            What the user should be told.

        Raises
        ------
        MismatchError
            If there are segments of another network or preprocessing, and `forced` is False.
        """
        notes = []
        self._used, self._unused = [], []
        remove_partials(self.folder)
        for path in list_segments(self.folder):
            try:
                info = check_segment(path)
            except CacheCorruptError as exc:
                notes.append(f"dropped a damaged segment, its images are done again: {exc}")
                remove(path)
                continue
            if not forced:
                what = f"{self.folder} holds {info.rows} finished rows of an interrupted run that"
                offered.require(info.identity, what, _REMEDY)
            elif offered.differences(info.identity) or not info.forced:
                notes.append(
                    f"dropped {counted(info.rows, 'row')} of an interrupted run ({path}), "
                    "as --force begins anew"
                )
                remove(path)
                continue
            if info.rows and not set(info.identity.layers) & set(layers):
                unwanted = ", ".join(info.identity.layers)
                notes.append(
                    f"{path} holds {counted(info.rows, 'row')} of layer {unwanted}, which is not asked for"
                )
                self._unused.append(path)
            else:
                self._used.append(path)
        self._next = next_number(self.folder)
        return notes

    def __len__(self) -> int:
        """How many segments count."""
        return len(self._used)

    def refresh(self) -> None:
        """Take in what was written since `recover`, here or by other processes."""
        have = {*self._used, *self._unused}
        self._used += [path for path in list_segments(self.folder) if path not in have]

    def next_name(self) -> str:
        """A name after all those that were there."""
        self._next += 1
        return f"{self._next - 1:06d}"

    def entries(self, layers: Sequence[str]) -> list[Entries]:
        """Rows and failures of each segment in use."""
        found = []
        self._provenance = []
        for path in self._used:
            with open_segment(path) as file:
                info = segment_info(file)
                wanted = [layer for layer in info.identity.layers if layer in layers]
                found.append(Entries.read(file, wanted, {}))
                self._provenance.append(info.provenance)
        return found

    def openers(self) -> list[Callable[[], SealedReader]]:
        """How to open each segment in use, in the order of `entries`."""
        return [partial(open_segment, path) for path in self._used]

    def runs(self, source: NDArray[np.int32], first: int) -> list[Run]:
        """How the rows that are taken from segments were made: one record each, with their number.

        After `entries`, which reads it.

        Parameters
        ----------
        source : ndarray of shape (n_layers, n_rows), int32
            Number of the file that each layer of each row comes from.
        first : int
            The number of the first segment.
        """
        counts = np.zeros(first + len(self._used), np.int64)
        for start in range(0, source.shape[1], _STEP):
            some = source[:, start : start + _STEP]
            for i, numbers in enumerate(some):
                # A row whose layers come from one segment counts once for it.
                again = (some[:i] == numbers).any(axis=0)
                counts += np.bincount(numbers[~again], minlength=len(counts))
        rows = counts[first:].tolist()
        return [{**about, "rows": n} for about, n in zip(self._provenance, rows, strict=True) if n]

    def clear(self) -> None:
        """Remove the segments that were taken stock of; their rows are committed or not wanted."""
        try:
            for path in [*self._used, *self._unused]:
                path.unlink(missing_ok=True)
            remove_folder(self.folder)
            flush_folder(self.folder.parent)
        except OSError as exc:
            raise write_error(self.folder, exc, "the cache is committed") from exc
        self._used, self._unused = [], []
