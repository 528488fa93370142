"""The committed file, as a writer finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.cache.commit.index import Entries
from fc7.extract.cache.commit.soundness import lost_rows
from fc7.extract.cache.format.header import CacheHeader, open_cache
from fc7.extract.cache.format.identity import REMEDY, CacheIdentity
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.models.common.errors import CacheCorruptError, CacheError, MismatchError

# Bringing a written file onto the disk and renaming it takes less.
_COMMIT_NS = 60_000_000_000
_ANEW = "--force makes it anew, and keeps it until the new one is complete"


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed cache.

    Attributes
    ----------
    written_ns : int or None
        When the file was written, nanoseconds since the epoch; None for a copy that kept the time.
    lost : mapping of str to sequence of range
        Layer -> rows to be made anew, see `lost_rows`; only looked for when repairing.
    """

    path: Path
    header: CacheHeader
    seal: str
    written_ns: int | None
    lost: Mapping[str, Sequence[range]]

    @classmethod
    def find(cls, path: Path, *, repair: bool) -> Committed | None:
        """The cache at `path`, if there is one.

        Raises
        ------
        CacheError, CacheCorruptError
            If there is a file and it cannot be gone on with; the message says what to do.
        """
        if not path.exists():
            return None
        try:
            with open_cache(path) as file:
                header = CacheHeader.read(file)
                lost = lost_rows(file, header.identity.layers) if repair else {}
                return cls(path, header, file.seal, _written_ns(path), lost)
        except CacheCorruptError as exc:
            raise CacheCorruptError(f"{exc}; {_ANEW}") from exc
        except CacheError as exc:
            raise CacheError(f"{exc}; choose another -o") from exc

    def widened(self, offered: CacheIdentity, wanted: Sequence[str], shown: str) -> CacheIdentity:
        """What the cache will hold: its own layers, and those wanted that it lacks.

        Parameters
        ----------
        offered : CacheIdentity
            What the network of this run can give.
        shown : str
            The cache's path as the user gave it.

        Raises
        ------
        MismatchError
            If it was made by another network or preprocessing, or has a layer that is not offered.
        UnknownLayerError
            If a layer that is wanted is not offered.
        """
        found = self.header.identity
        offered.require(found, shown, REMEDY)
        strange = [layer for layer in found.layers if layer not in offered.fingerprints]
        if strange:
            raise MismatchError(
                f"{shown} also holds layer {', '.join(strange)}, which this run cannot make; {REMEDY}"
            )
        return found.widened(offered, wanted)

    def open(self) -> SealedReader:
        """Open it again.

        Raises
        ------
        CacheError
            If it is another file by now.
        """
        file = open_cache(self.path)
        if file.seal != self.seal:
            file.close()
            raise CacheError(
                f"{self.path} was replaced by someone else while this run held its lock; "
                "what is finished is kept: run the same command again"
            )
        return file

    def entries(self) -> Entries:
        """Its rows and failures."""
        try:
            with self.open() as file:
                return Entries.read(file, self.header.identity.layers, self.lost)
        except CacheCorruptError as exc:
            raise CacheCorruptError(f"{exc}; {_ANEW}") from exc


def _written_ns(path: Path) -> int | None:
    status = path.stat()
    # A file is renamed into place as soon as it is written. A copy with the times of the original does not
    # say what happened to the images between the two.
    return status.st_mtime_ns if abs(status.st_ctime_ns - status.st_mtime_ns) < _COMMIT_NS else None
