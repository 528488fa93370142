"""Images that give no row now: failures, and what cannot be looked at and keeps the row that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from fc7.extract.plan import Known
from fc7.extract.records import UNSEEN, Failure, Listing
from fc7.models.common.errors import Fc7Error
from fc7.models.common.terminal import counted


class Unreadable:
    """What a run learns of them.

    Parameters
    ----------
    known : mapping of str to Known
        Path -> row of the cache.
    missing : collection of str
        Paths of rows that are not listed.

    Attributes
    ----------
    failures : list of Failure
        Images that have no row.
    stale : dict of str to Failure
        Path -> why it cannot be looked at; its row stays as it is.
    """

    def __init__(self, listing: Listing, known: Mapping[str, Known], missing: Collection[str]) -> None:
        self.failures: list[Failure] = []
        self.stale: dict[str, Failure] = {}
        self._known = known
        self.add(dataclasses.replace(failure, mtime_ns=UNSEEN) for failure in listing.failures)
        for failure in listing.failures:
            if failure.path.endswith("/"):  # a folder that cannot be listed
                self.stale |= {
                    path: dataclasses.replace(failure, path=path)
                    for path in missing
                    if path.startswith(failure.path)
                }

    def add(self, failures: Iterable[Failure]) -> None:
        """Take in what gave no row."""
        for failure in failures:
            row = self._known.get(failure.path) if failure.unseen else None
            if row is not None and row.layers:
                self.stale[failure.path] = failure
            else:
                self.failures.append(failure)

    def give_up(self, layers: Sequence[str], *, remove: bool) -> None:
        """See that rows which stay as they are have every layer, as all rows must.

        Parameters
        ----------
        remove : bool
            Count those that lack one among the failures.

        Raises
        ------
        Fc7Error
            If there are some and they must not be removed.
        """
        lacking = sorted(p for p in self.stale if not set(layers).issubset(self._known[p].layers))
        if lacking and not remove:
            raise Fc7Error(
                f"{counted(len(lacking), 'image')} cannot be read now, and their rows lack some of the "
                f"layers {', '.join(layers)} ({lacking[0]}: {self.stale[lacking[0]].reason}). The feature "
                "cache is as it was and finished work is kept: run again when they can be read, or with "
                "--remove-missing"
            )
        self.failures += [self.stale.pop(path) for path in lacking]
