"""The one door through which a cache is written.

::

    with CacheWriter(path, CacheIdentity.of(spec), layers=["fc7"]) as writer:
        ...                                    # what writer.known has and is unchanged is not run
        writer.write_segment(rows)  # every few seconds; durable when it returns
        writer.commit(images, failures, roots=["photos"])

A kill at any instant leaves the last committed file as it was. Segments that were finished are
found by the next `CacheWriter`, which then knows their rows. `commit` writes ``features.h5.tmp``,
brings it onto the disk, renames it, and only then removes the segments. After a kill in between,
rows are in both and equal, and the committed ones are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fc7.extract.cache.commit.committed import Committed
from fc7.extract.cache.commit.features import rounded
from fc7.extract.cache.commit.index import RowIndex
from fc7.extract.cache.commit.join import join
from fc7.extract.cache.commit.locate import locate
from fc7.extract.cache.commit.pending import Pending
from fc7.extract.cache.commit.row_locations import Record
from fc7.extract.cache.commit.segments import SegmentHeader, write_segment
from fc7.extract.cache.commit.write import (
    CommitResult,
    Contents,
    check_records,
    header_of,
    unchanged,
    write_cache,
)
from fc7.extract.cache.format import files
from fc7.extract.cache.format.header import Storage, merged_runs
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.format.lock import Lock
from fc7.extract.cache.format.sources import Sources
from fc7.extract.cache.kept import KeptRow, kept_rows
from fc7.extract.kinds import FEATURE_CACHE
from fc7.extract.records import Failure, Rows
from fc7.models.common.errors import CacheCorruptError
from fc7.models.common.progress import Progress, Silent
from fc7.models.common.terminal import counted
from fc7.models.outputs.outputs import CallFiles, Output

_KEPT = "the feature cache is as it was before, and finished work is kept in {}"


class CacheWriter:
    """The right to write a cache, and what is known of it; a context manager.

    Parameters
    ----------
    path : Path or Output
        The cache; need not exist, its folder must.
    identity : CacheIdentity
        What the network can give: every layer, so that a cache of other layers is recognised.
    layers : sequence of str or None
        What this run wants; all of `identity` if None.
    dtype : {"float32", "float16"}
        How features are kept in a new cache. An existing one of float16 stays so; one of float32
        becomes float16 if that is asked for.
    force : bool
        Begin anew, and replace what is there at the commit.
    repair : bool
        Read all features of the existing cache, and forget those that fail a checksum.

    Attributes
    ----------
    identity : CacheIdentity
        What the cache will hold: the layers wanted, and those it has already.
    provenance : mapping of str to str
        How rows are made from now on (engine, precision, versions); set before `write_segment`. Leave
        times out: runs that differ in nothing else are told apart by them.
    notes : list of str
        What the user should be told: a dead process's lock, a damaged segment.

    Raises
    ------
    UsageError
        If something else stands at `path`, or nothing can be written there.
    CacheLockedError, MismatchError, CacheError, CacheCorruptError
        From ``with``; nothing has been changed then.

    Examples
    --------
    >>> from fc7.extract.cache.reader import load_features
    >>> identity = load_features("features.h5").identity
    >>> with CacheWriter(Path("features.h5"), identity) as writer:
    ...     print(len(writer.known), writer.layers_needed, writer.storage)
    32 ('tiles',) float32
    """

    def __init__(
        self,
        path: Path | Output,
        identity: CacheIdentity,
        *,
        layers: Sequence[str] | None = None,
        dtype: Storage = "float32",
        force: bool = False,
        repair: bool = False,
    ) -> None:
        self._output = CallFiles(force=force).claim(path, FEATURE_CACHE)
        self.path = self._output.path
        self.identity = identity
        self.provenance: Mapping[str, str] = {}
        self.notes: list[str] = []
        # A link to a cache and the cache share one lock.
        self._target = self._output.place.target
        self._offered = identity
        self._wanted = tuple(identity.layers if layers is None else layers)
        self._storage: Storage = dtype
        self._force = force
        self._repair = repair
        self._lock = Lock(files.lock_path(self._target), self.path)
        self._old: Committed | None = None
        self._pending = Pending(files.work_path(self._target))
        self._index: RowIndex | None = None
        self._segments_known = 0

    def __enter__(self) -> CacheWriter:
        try:
            self._lock.acquire()
            if self._lock.taken_from is not None:
                self.notes.append(f"took over the lock of {self._lock.taken_from.describe()}, which is dead")
            self._index = self._find()
        except OSError as exc:
            self._lock.release()
            raise files.write_error(self.path, exc) from exc
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def layers_needed(self) -> tuple[str, ...]:
        """The layers that every row must have at the commit."""
        return self.identity.layers

    @property
    def known(self) -> RowIndex:
        """Path -> row: what is committed, and finished segments as they were found."""
        if self._index is None:
            self._index = self._find()
        return self._index

    @property
    def known_failures(self) -> Mapping[str, Failure]:
        """Path -> failure, likewise."""
        return self.known.failures

    @property
    def roots(self) -> tuple[str, ...]:
        """Where the images of the committed rows lay; empty if nothing is committed."""
        return self._old.header.roots if self._old else ()

    @property
    def committed_ns(self) -> int | None:
        """When the known rows were written, nanoseconds since the epoch; None if that cannot be told."""
        return self._old.written_ns if self._old and not len(self._pending) else None

    def kept_rows(self, paths: Sequence[str]) -> list[KeptRow]:
        """What is known of some rows, to commit them as they are.

        Raises
        ------
        CacheCorruptError
            If a text fails its checksum.
        """
        openers = [self._old.open] if self._old else []
        with Sources([*openers, *self._pending.openers()]) as sources:
            return kept_rows(sources, self.known, paths)

    def rows_with_sha256(self, sha256: str) -> str | None:
        """A known path whose row was made from this content; rather one that has every layer."""
        return self.known.with_content(sha256)

    @property
    def segment_header(self) -> SegmentHeader:
        """What another process needs to write segments (`segments.write_segment`) to `work_folder`."""
        return SegmentHeader(self.identity, self.provenance, self._force)

    @property
    def storage(self) -> Storage:
        """How features will be kept."""
        return self._storage

    def claim_number(self) -> str:
        """What the names of segments begin with that other processes write from now on: newer than all."""
        return self._pending.next_name()

    @property
    def work_folder(self) -> Path:
        """Where segments go; made when the first is written."""
        return self._pending.folder

    def write_segment(self, block: Rows) -> None:
        """Keep finished rows and failures; durable when this returns.

        Parameters
        ----------
        block : Rows
            With some or all of `layers_needed`.

        Raises
        ------
        CacheError
            If it cannot be written; what was kept before is whole.
        DataError
            If a number is too large for float16.
        """
        if not block.refs and not block.failures:
            return
        for layer, rows in block.features.items():
            rounded(rows, np.dtype(self._storage), layer)
        name = self._pending.next_name()
        write_segment(self.work_folder, name, self.segment_header, block=block)

    def commit(
        self,
        images: Sequence[Record],
        failures: Sequence[Failure],
        *,
        roots: Sequence[str],
        moved: Mapping[str, str] | None = None,
        stale: Sequence[Failure] = (),
        progress: Progress | None = None,
    ) -> CommitResult:
        """Make the cache hold just these images and failures.

        Parameters
        ----------
        images : sequence of Record
            `ImageRef` or `KeptRow`, sorted by path. Each takes its features from its own row, which must be
            of the same size and time, and label, group and split from here.
        roots : sequence of str
            Where the images lie.
        moved : mapping of str to str
            Path -> path in `known` whose features serve, because its content is the same; also if
            there is another image under that path by now. A file whose time alone has changed
            stands here with itself.
        stale : sequence of Failure
            Why some of the images, whose rows are kept, cannot be looked at; noted in the file.

        Returns
        -------
        CommitResult
            If nothing changed, nothing was written. A commit of nothing at all does nothing: an
            empty listing is more likely a folder that has gone than a wish.

        Raises
        ------
        CacheError
            If an image has no features yet, or the file cannot be written. The old file is whole
            then, and finished segments are kept.
        CacheCorruptError
            If features that have to be decoded fail a checksum.
        """
        failures = sorted(failures, key=lambda failure: failure.path)
        check_records(images, failures)
        if not images and not failures:
            return CommitResult(0, 0, written=False)
        known = self.known
        self._pending.refresh()
        contents = Contents(images, failures, tuple(roots), stale=stale)
        result = self._write_new_file(contents, known, moved or {}, progress=progress or Silent())
        self._pending.clear()
        self._index = None
        return result

    def _find(self) -> RowIndex:
        """Take stock of the file and the segments."""
        files.remove(files.tmp_path(self._target))
        if not self._force:
            self._old = Committed.find(self._target, repair=self._repair)
        self._settle_identity()
        self.notes += self._pending.recover(self._offered, self.layers_needed, forced=self._force)
        self._segments_known = len(self._pending)
        return self._joined()

    def _joined(self) -> RowIndex:
        """The rows of the file and of all segments."""
        old = [self._old.entries()] if self._old else []
        return join([*old, *self._pending.entries(self.layers_needed)])

    def _settle_identity(self) -> None:
        """Settle what the cache will hold."""
        if self._old is None:
            self.identity = self._offered.only(self._wanted)
            return
        self.identity = self._old.widened(self._offered, self._wanted, str(self.path))
        if self._old.header.storage == "float16":
            self._storage = "float16"
        for layer, rows in self._old.lost.items():
            if rows:
                self.notes.append(
                    f"{counted(sum(map(len, rows)), 'damaged row')} of layer {layer} will be redone"
                )

    def _write_new_file(
        self, contents: Contents, known: RowIndex, moved: Mapping[str, str], progress: Progress
    ) -> CommitResult:
        records, failures = contents.records, contents.failures
        openers = [self._old.open] if self._old else []
        with Sources([*openers, *self._pending.openers()]) as sources:
            temporary = files.tmp_path(self._target)
            try:
                index = known if len(self._pending) == self._segments_known else self._joined()
                locations = locate(index, known, records, moved=moved, layers=self.layers_needed)
                old = self._old.header.runs if self._old else ()
                new = self._pending.runs(locations.source, first=len(openers))
                runs = merged_runs([*old, *new])
                header = header_of(self.identity, self._storage, contents, runs=runs)
                if self._old and unchanged(
                    sources, self._old.header, header, locations=locations, failures=failures
                ):
                    return CommitResult(len(records), len(failures), written=False)
                write_cache(
                    temporary, header, locations, failures=failures, sources=sources, progress=progress
                )
                sources.close()  # Windows replaces no file that is open
                self._output.put(temporary)
            except OSError as exc:
                raise files.write_error(self.path, exc, _KEPT.format(self.work_folder)) from exc
            except CacheCorruptError as exc:
                remedy = "extract --repair redoes just the damaged rows"
                raise CacheCorruptError(f"{exc}; nothing was written: {remedy}") from exc
            finally:
                files.remove(temporary)
        self._force = self._repair = False
        return CommitResult(len(records), len(failures), written=True)
