"""One writer at a time, on any file system.

The lock is a file beside the cache that names its owner. It relies on one thing: that making a
name which exists already fails, for hard links (`os.link`, atomic also on NFS) or, where a file
system has none, for ``O_CREAT | O_EXCL``. Neither `flock` nor `fcntl` locks are used; network
shares may lack them or pretend.

A lock outlives an owner that was killed, so it tells who the owner was. On the same machine it is
seen whether that very process still runs (number and start, so that a recycled number does not
count). Of another machine or container that cannot be seen; the message then says what to delete.

To take over a dead owner's lock is a race: between reading the lock and removing it, a third
process might have done both, and its new lock would be removed. So the right to remove *that*
lock, known by its random number, is itself a lock, taken in the same way.

`filelock` (4.3.1, `SoftFileLock`) does most of this, but a killed holder that nobody has waited for blocks it
(as in a container without an init), it says neither since when nor whether a holder can be seen, and it is
0.67 MB more to install and 0.1 s of processor time more at the start of `extract`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fc7.extract.cache.format import process
from fc7.extract.cache.format.files import remove, write_error
from fc7.models.common.errors import CacheLockedError
from fc7.models.common.stopping import before_end

_held: list[Path] = []

# Where locks are not linked but created and then filled, one may be seen empty for this long.
_FILLING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lock, as written into it."""

    pid: int
    host: str
    machine: str
    boot: str
    namespace: str
    start: str
    since: str
    nonce: str

    @classmethod
    def this_process(cls) -> Owner:
        """The owner of a new lock."""
        return cls(
            pid=os.getpid(),
            host=process.host(),
            machine=process.machine(),
            boot=process.boot(),
            namespace=process.namespace(),
            start=process.start_of(os.getpid()) or "",
            since=datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
            nonce=secrets.token_hex(8),
        )

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """Whoever holds the lock `path`; None if nobody does or it cannot be made out."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def describe(self) -> str:
        """``process 123 on host (since 2025-01-31 12:00:00+01:00)``."""
        return f"process {self.pid} on {self.host} (since {self.since})"

    def can_be_seen(self) -> bool:
        """Whether this process can tell if the owner still runs."""
        if self.machine != process.machine():
            return False
        return self.boot != process.boot() or self.namespace == process.namespace()

    def is_dead(self) -> bool:
        """Whether the owner is known to run no more."""
        if not self.can_be_seen():
            return False
        return self.boot != process.boot() or not process.is_alive(self.pid, self.start)


def held_locks() -> list[Path]:
    """The locks that this process holds."""
    return list(_held)


class Lock:
    """The right to write one cache.

    Parameters
    ----------
    path : Path
        The lock's own file.
    guarded : Path
        What is locked, for messages.

    Attributes
    ----------
    taken_from : Owner or None
        The dead process whose lock was taken over.
    """

    def __init__(self, path: Path, guarded: Path) -> None:
        self.path = path
        self.guarded = guarded
        self.taken_from: Owner | None = None
        self._owner: Owner | None = None
        self._unregister: Callable[[], None] = lambda: None

    def acquire(self) -> None:
        """Take the lock or raise at once.

        Raises
        ------
        CacheLockedError
            Naming the process that holds it.
        CacheError
            If the lock's file cannot be made.
        """
        mine = Owner.this_process()
        while not self._create(mine):
            holder = self._holder()
            if holder is None:
                continue  # released in between
            if not holder.is_dead():
                raise CacheLockedError(self._told(holder))
            self._take_away(holder)
            self.taken_from = holder
        self._owner = mine
        _held.append(self.path)
        self._unregister = before_end(self.release)
        self._tidy()

    def release(self) -> None:
        """Give the lock back, if it is still ours; calling it again does nothing."""
        self._unregister()
        owner = self._owner
        # A fork of the owner holds a copy of this object, but not the lock.
        if owner is not None and owner.pid == os.getpid() and Owner.read(self.path) == owner:
            remove(self.path)
        if owner is not None and self.path in _held:
            _held.remove(self.path)
        self._owner = None

    def _create(self, mine: Owner) -> bool:
        """Put the lock there with its content, or say that another one is there."""
        draft = self.path.with_name(f"{self.path.name}.{mine.pid}-{mine.nonce}")
        text = json.dumps(asdict(mine), indent=1)
        try:
            try:
                _write(draft, text)
                with contextlib.suppress(OSError):
                    os.link(draft, self.path)
                # NFS may answer a link that worked with an error: its count is what tells (open(2)).
                if draft.stat().st_nlink == 2:
                    return True
                if self.path.exists():
                    return False
                _write(self.path, text)
            except FileExistsError:
                return False
            except FileNotFoundError:
                # Whoever got the lock meanwhile has tidied our draft away, or the folder is gone.
                if not self.path.parent.is_dir():
                    raise
                return False
            finally:
                remove(draft)
        except OSError as exc:
            raise write_error(self.path, exc) from exc
        return True

    def _holder(self) -> Owner | None:
        """Who holds it; None if it has gone."""
        deadline = time.monotonic() + _FILLING_SECONDS
        while True:
            holder = Owner.read(self.path)
            if holder is not None or not self.path.exists():
                return holder
            if time.monotonic() > deadline:
                raise CacheLockedError(
                    f"{self.guarded} is locked by {self.path}, which does not say by whom; "
                    "if no fc7 is writing it, delete that file and run again"
                )
            time.sleep(0.05)

    def _take_away(self, dead: Owner) -> None:
        right = Lock(self.path.with_name(f"{self.path.name}.{dead.nonce}"), self.guarded)
        right.acquire()
        try:
            if Owner.read(self.path) == dead:
                self.path.unlink()
        except OSError as exc:
            raise write_error(self.path, exc) from exc
        finally:
            right.release()

    def _tidy(self) -> None:
        """Remove what processes left that died while they were taking the lock.

        A draft may be a living process's, but that one has lost the race already.
        """
        start = f"{self.path.name}."
        # Names only: a cache may lie among a million images.
        with os.scandir(self.path.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(start)]
        for name in names:
            path = self.path.with_name(name)
            is_draft = "-" in name.removeprefix(start)
            owner = None if is_draft else Owner.read(path)
            if is_draft or (owner is not None and owner.is_dead()):
                remove(path)

    def _told(self, holder: Owner) -> str:
        text = f"{self.guarded} is being written by {holder.describe()}"
        if holder.can_be_seen():
            return f"{text}; wait until it has finished, or choose another -o"
        return (
            f"{text}; whether that process still runs cannot be seen from here ({process.host()}): "
            f"if it does not, delete {self.path} and run again"
        )


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
