"""The loop of a run on a cluster: hand out chunks, take in what is finished, do again what was lost.

Workers write finished segments to the cache's folder where they see it; where they do not, they hand
their rows back.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

from fc7.extract.clock import Clock
from fc7.extract.cluster.backend import Backend, Broken, Gone, Outcome, Ticket
from fc7.extract.cluster.chunks import TRIES, Chunk, ChunkQueue
from fc7.extract.cluster.handshake import Handshake
from fc7.extract.cluster.messages import Parcel, Result
from fc7.extract.cluster.workers import Member, WorkerPool
from fc7.extract.options import ClusterOptions
from fc7.extract.records import UNSEEN, Failure, ImageRef, Rows
from fc7.extract.worker.in_flight import left_in
from fc7.extract.worker.worker import Keeping, NetworkRun
from fc7.models.common.errors import Fc7Error
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted

_CHUNK_SECONDS = 4.0
"""Chunks are sized to take about this long, two at a time: what the loss of a worker costs."""
_CHUNK_BYTES = 32 << 20
_CHUNK_IMAGES = 4096
_WAIT_SECONDS = 1.0
_AT_ONCE = 2
# In order, an image waits for those before it; at most so many chunks a worker are finished ahead.
_AHEAD = 8


@dataclass(slots=True)
class NodeWork:
    """What a node has done: `seconds` are from its first chunk's begin to its last one's end."""

    images: int
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """While it worked."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class RunReport:
    """Where a run on a cluster says what it does.

    Attributes
    ----------
    clock : Clock
        Is told where the workers' time went, all of them together.
    notify : callable
        Is told which workers take part, and which are lost.
    nodes : dict of str to NodeWork
        By the node's name; filled as chunks are finished.
    """

    clock: Clock
    notify: Notify
    nodes: dict[str, NodeWork] = field(default_factory=dict)


def on_cluster(
    images: Sequence[ImageRef],
    run: NetworkRun,
    report: RunReport,
    *,
    keeping: Keeping | None = None,
    in_order: bool = False,
) -> Generator[Rows]:
    """Run images on the cluster that the user chose, that of ``run.how``.

    Parameters
    ----------
    images, run, report, keeping, in_order
        As for `Driver`.

    Raises
    ------
    UsageError
        If Ray is not installed or there is no cluster.
    Fc7Error
        As `Driver.finished`.
    """
    from fc7.extract.cluster.ray_backend import connect

    options = run.how.cluster or ClusterOptions()
    with connect(options.address) as backend:
        yield from Driver(backend, images, run, report=report, keeping=keeping, in_order=in_order).finished()


class Driver:
    """One run over images on a cluster; iterate `finished` once, and close it.

    Parameters
    ----------
    images : sequence of ImageRef
        Sorted by path.
    run : NetworkRun
        Its threads, and images decoded at once, unless given, are each worker's share of its node.
    keeping : Keeping or None
        None lets all workers hand rows back.
    in_order : bool
        Give images back in the order of `images`.
    """

    def __init__(
        self,
        backend: Backend,
        images: Sequence[ImageRef],
        run: NetworkRun,
        report: RunReport,
        *,
        keeping: Keeping | None = None,
        in_order: bool = False,
    ) -> None:
        options = run.how.cluster or ClusterOptions()
        self._report = report
        self._backend = backend
        self._images = images
        self._spec = run.spec
        self._in_order = in_order
        self._number = "" if keeping is None else keeping.number
        self._about = run.spec.to_json() + repr(run.layers)
        self._bytes_a_row = 4 * sum(run.spec.layer(layer).dim(run.spec.pool) for layer in run.layers)
        self._chunks = ChunkQueue(len(images))
        self._said: set[str] = set()
        self._say(f"running on {backend.described}")
        self._handshake = Handshake(
            backend, images, run, keeping=keeping if options.share_folder else None, say=self._say
        )
        self._pool = WorkerPool(backend, self._handshake, options, say=self._say)

    def finished(self) -> Iterator[Rows]:
        """Do all images.

        Raises
        ------
        Fc7Error
            If no node can take part, or an engine or the file system fails.
        """
        try:
            if self._in_order:
                yield from self._sorted()
            else:
                for _, done in self._unordered():
                    yield done
        finally:
            self._pool.close()
            self._handshake.close()

    def _unordered(self) -> Iterator[tuple[int, Rows]]:
        """(First image, what became of its chunk), as they come."""
        while self._chunks.left or any(member.holds for member in self._pool.members):
            for member in self._pool.look(self._chunks.left):
                self._tell_loss(member, "its machine was lost")
                for chunk, _ in member.holds.values():
                    self._chunks.requeue(chunk)
            self._assign_chunks()
            if not self._pool.asked:
                time.sleep(_WAIT_SECONDS / 4)
                continue
            for member, ticket, outcome in self._pool.answers(_WAIT_SECONDS):
                yield from self._take_answer(member, ticket, outcome)
            for member in [member for member in self._pool.members if member.silent > _allowed(member)]:
                yield from self._gone(member, Gone(f"it has not answered for {member.silent:,.0f} s"))

    def _sorted(self) -> Iterator[Rows]:
        """What is finished early waits for what lies before it."""
        early: dict[int, Rows] = {}
        expected = 0
        for start, done in self._unordered():
            early[start] = done
            while expected in early:
                ready = early.pop(expected)
                expected += len(ready.refs) + len(ready.failures)
                yield ready

    def _take_answer(self, member: Member, ticket: Ticket, outcome: Outcome) -> Iterator[tuple[int, Rows]]:
        if isinstance(outcome, Broken) and isinstance(outcome.error, MemoryError):
            # While images are read and decoded this is a matter of one image, and not raised.
            yield from self._lost(member, Gone("it ran out of memory", memory=True), None)
        elif isinstance(outcome, Gone):
            yield from self._gone(member, outcome)
        elif isinstance(outcome, Result):
            yield self._take(member, ticket, outcome)
        elif member.ready is None:
            self._pool.take_answer(member, outcome)
        else:
            error = outcome.error
            what = f"{member.slot.node.name}: {type(error).__name__}: {' '.join(str(error).split())[:500]}"
            raise error if isinstance(error, Fc7Error) else Fc7Error(f"a worker failed on {what}")

    def _gone(self, member: Member, gone: Gone) -> Iterator[tuple[int, Rows]]:
        """A worker is lost with all that it was doing; what it was reading may tell why."""
        reading = member.ready.in_flight if member.ready is not None else None
        yield from self._lost(member, gone, left_in(reading) if reading is not None else None)

    def _lost(
        self, member: Member, gone: Gone, reading: Collection[int] | None
    ) -> Iterator[tuple[int, Rows]]:
        """A worker has died: its chunks are done again, but for an image that has now had its tries."""
        machine_lives = self._pool.take_death(member, gone.reason)
        self._tell_loss(member, gone.reason if machine_lives else "its machine was lost")
        for chunk, _ in member.holds.values():
            if not machine_lives:
                self._chunks.requeue(chunk)
            elif self._chunks.count_death(chunk, reading, memory=gone.memory):
                ref = self._images[chunk.start]
                why = f"ended the worker that read it, {TRIES} times: {gone.reason}"
                # Where memory is known to be why, another run may have more of it.
                failure = Failure(ref.path, why, ref.size, mtime_ns=UNSEEN if gone.memory else ref.mtime_ns)
                yield chunk.start, Rows([], [], {}, failures=[failure])

    def _tell_loss(self, member: Member, reason: str) -> None:
        if member.holds:
            images = sum(len(chunk) for chunk, _ in member.holds.values())
            self._report.notify(
                f"lost a worker on {member.slot.node.name} ({reason}); "
                f"{counted(images, 'image is', 'images are')} done again"
            )

    def _assign_chunks(self) -> None:
        ready = self._pool.ready
        apart = self._machine_apart(ready)
        if apart and not any(member.holds for member in apart):
            suspect = self._chunks.next_suspect()
            assert suspect is not None
            apart[0].alone = True
            self._send(apart[0], suspect)
        for member in ready:
            if member in apart:
                continue
            while len(member.holds) < _AT_ONCE and self._may_go_on():
                chunk = self._chunks.next(self._size(member, len(ready)))
                if chunk is None:
                    break
                self._send(member, chunk)

    def _machine_apart(self, ready: Sequence[Member]) -> list[Member]:
        """The workers of the machine that is kept for a suspect, so that nothing else can be the cause."""
        machines: dict[str, list[Member]] = {}
        for member in ready:
            machines.setdefault(member.slot.node.id, []).append(member)
        for members in machines.values():
            if any(member.alone for member in members):
                return members
        if not self._chunks.suspects:
            return []
        # The one that has least to finish first.
        return min(machines.values(), key=lambda members: sum(len(m.holds) for m in members), default=[])

    def _send(self, member: Member, chunk: Chunk) -> None:
        refs = self._images[chunk.start : chunk.stop]
        parcel = Parcel.of(refs, chunk.start, self._handshake.numbers, number=self._number, about=self._about)
        member.holds[self._pool.ask(member, "process", parcel)] = chunk, time.monotonic()

    def _may_go_on(self) -> bool:
        """Whether another chunk may be begun; in order, not too far ahead of the oldest."""
        if not self._in_order:
            return True
        members = self._pool.members
        left = self._chunks.first_left
        oldest = min([left, *(chunk.start for member in members for chunk, _ in member.holds.values())])
        return left - oldest < _AHEAD * sum(max(1, member.size) for member in members)

    def _size(self, member: Member, workers: int) -> int:
        """Whole batches that take about `_CHUNK_SECONDS`; less at the end, so that all end together."""
        assert member.ready is not None
        batch = max(1, member.ready.batch_size // self._spec.preprocess.crops)
        member.size = max(member.size, 2 * batch)
        fair = -(-self._chunks.left // (_AT_ONCE * workers))
        size = min(member.size, fair, _CHUNK_IMAGES, _CHUNK_BYTES // self._bytes_a_row)
        return max(1, -(-size // batch)) * batch

    def _take(self, member: Member, ticket: Ticket, result: Result) -> tuple[int, Rows]:
        chunk, since = member.holds.pop(ticket)
        now = time.monotonic()
        member.patience.tell(len(chunk), member.silent)
        if not member.alone:
            wanted = int(len(chunk) / max(now - since, 1e-3) * _CHUNK_SECONDS)
            member.size = min(2 * member.size, wanted)
        member.alone = False
        clock = self._report.clock
        for stage in Clock.__slots__:
            setattr(clock, stage, getattr(clock, stage) + getattr(result.clock, stage))
        work = self._report.nodes.setdefault(member.slot.node.name, NodeWork(0, since, now))
        work.images += len(chunk)
        work.ended = now
        assert member.ready is not None
        refs = [self._images[chunk.start + i] for i in result.rows]
        return chunk.start, replace(result.finished, refs=refs)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._report.notify(text)


def _allowed(member: Member) -> float:
    """Seconds that a worker may be silent; one that is stopped, or whose machine hangs, never answers."""
    images = sum(len(chunk) for chunk, _ in member.holds.values())
    # A deadline of the user's is that of an image or a call, of which a chunk has many; and for reading and
    # decoding an image a worker allows it twice, before it says itself which one hangs.
    return 2 * _CHUNK_SECONDS + 3 * member.patience.allows(images)
