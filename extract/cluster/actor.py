"""The worker's side: it answers what it sees of the driver's files, loads the network, finishes parcels."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from fc7.extract.cache.format.header import tool_version
from fc7.extract.cluster.messages import Greeting, Introduction, Parcel, Result, WorkerReady
from fc7.extract.engine.providers import candidates
from fc7.extract.records import ImageRef, Origin
from fc7.extract.worker.in_flight import InFlight, left_in
from fc7.extract.worker.worker import Keeping, NetworkRun, Worker
from fc7.models.common.errors import Fc7Error, HungError, ImageError

NetworkFiles = Mapping[str, bytes]
"""Name -> content of a network's files, for workers that do not see the driver's store."""


class Actor:
    """One worker process. Every call may be the one in which it dies."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._origins: Sequence[Origin] = ()
        self._in_flight: InFlight | None = None

    def hello(self, greeting: Greeting) -> Introduction:
        """Say what this process sees.

        Raises
        ------
        ProviderError
            If this machine cannot serve the device or precision asked for.
        """
        from fc7.extract.engine.engine import this_machine

        best = candidates(greeting.device, greeting.precision, this_machine(greeting.device))[0]
        return Introduction(
            version=tool_version(),
            sees_folder=_sees_folder(greeting.probe, greeting.word),
            sees_network=all(_has(path, size) for path, size in greeting.network.items()),
            unseen=_unseen(greeting),
            precision=best.precision,
        )

    def open(
        self,
        run: NetworkRun,
        keeping: Keeping | None,
        n_images: int,
        origins: Sequence[Origin],
        files: NetworkFiles | None,
    ) -> WorkerReady:
        """Load the network.

        Parameters
        ----------
        keeping : Keeping or None
            None if rows are to be handed back.
        n_images : int
            In the whole run.
        origins : sequence of Origin
            By number, as in parcels.
        files : mapping of str to bytes, or None
            The network, where this process does not see it.

        Raises
        ------
        Fc7Error
        """
        if files is not None:
            run = dataclasses.replace(run, graph_path=_unpacked(files) / run.graph_path.name)
        self._origins = origins
        # Without it the worker is as good; after a death more images are suspects. Under this suffix what a
        # dead worker leaves is swept away with segments that were not finished.
        if keeping is not None:
            name = f"in-flight-{os.getpid()}-{secrets.token_hex(4)}.partial"
            with contextlib.suppress(OSError):
                self._in_flight = InFlight(keeping.folder / name)
        self._worker = Worker(run, keeping, n_images)
        session = self._worker.session
        reading = self._in_flight.path if self._in_flight else None
        return WorkerReady(session.engine.why, session.batch_size, reading)

    def process(self, parcel: Parcel) -> Result:
        """Finish a parcel.

        Raises
        ------
        Fc7Error
            If the engine or the file system fails.
        MemoryError
        """
        if self._worker is None:
            raise Fc7Error("a worker was given images before it had the network")
        refs = parcel.refs(self._origins)
        positions = {id(ref): i for i, ref in enumerate(refs)}
        reading = self._in_flight

        def watch(ref: ImageRef) -> AbstractContextManager[None]:
            return reading.holding(parcel.start + positions[id(ref)]) if reading else nullcontext()

        try:
            finished, clock = self._worker.process(refs, parcel.name, watch)
        except HungError:
            # An image: the driver sees by that file which, as if the image had ended this process.
            if reading and left_in(reading.path):
                os._exit(1)
            raise
        rows = [positions[id(ref)] for ref in finished.refs]
        return Result(rows, dataclasses.replace(finished, refs=()), clock)


def _sees_folder(probe: Path | None, word: bytes) -> bool:
    """Whether this process reads what the driver wrote there, and may write itself."""
    if probe is None:
        return False
    mine = probe.with_name(f"{probe.name}-{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        if probe.read_bytes() != word:
            return False
        mine.write_bytes(word)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            mine.unlink(missing_ok=True)
    return True


def _has(path: str, size: int) -> bool:
    try:
        return Path(path).stat().st_size == size
    except OSError:
        return False


def _unseen(greeting: Greeting) -> str | None:
    for ref in greeting.samples:
        try:
            ref.origin.read(ref)
        except ImageError as exc:
            return f"{ref.shown} ({exc})"
    return None


def _unpacked(files: NetworkFiles) -> Path:
    """The network's files in a folder of this user's, made once on each machine."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"fc7-network-{user}-{digest.hexdigest()[:32]}"
    if _is_own(folder, user) and all(
        _has(str(folder / name), len(content)) for name, content in files.items()
    ):
        return folder
    fresh = Path(tempfile.mkdtemp(prefix="fc7-network-"))
    for name, content in files.items():
        (fresh / name).write_bytes(content)
    try:
        fresh.rename(folder)
    except OSError:
        # Another worker was first, or the name is taken by somebody else: this copy serves as well.
        if not _is_own(folder, user):
            return fresh
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _is_own(folder: Path, user: int) -> bool:
    """A folder in a place where everybody may write counts only if it is ours and a real one."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and getattr(status, "st_uid", user) == user
