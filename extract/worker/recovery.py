"""A run that follows one that died: which images may have ended it, and how these are tried.

A process that is killed cannot say why: the kernel does not ask when memory runs out, and a library that
crashes takes all with it. So a run keeps what it is reading and decoding in a small file of a work folder
(`extract.worker.in_flight`), a number for each image, and the next run finds the file of one that died.

1. The images in it are tried one at a time, while no other is read or decoded, and in a decoding process. If
   that ends, it is the image's failure, which is tried again next time, and the run goes on.
2. If the run dies with it nevertheless, as where a container's processes are all ended together, the image
   that was being tried counts as the cause; once it may be another. After `TRIES` such deaths the image is a
   failure by name without another try. A cache keeps that until its file changes or failures are tried again
   (``--retry-failed``).

So one picture that ends whatever decodes it costs one run, and at most three.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fc7.extract.records import Failure, ImageRef
from fc7.extract.worker.in_flight import InFlight, left_in
from fc7.extract.worker.read_ahead import Care
from fc7.models.common.progress import Notify

TRIES = 2
"""How often a run may die of an image that it reads alone before the image is given up."""

# A number is an image's key, and in its last two bits what was done with it: read among others, or waiting to
# be tried, after 0 or 1 deaths; or being tried after as many, which is one more now.
_STATES = 4
_ALONE = 2
_PATTERN = "in-flight-*.run"
_SHOWN = 3


class Recovery:
    """What a run on this machine does about the one before; a context manager.

    Parameters
    ----------
    folder : Path
        A folder for this alone or a cache's work folder; made if there is anything to do. This process has
        a lock on it.
    work : sequence of ImageRef
        What there is to read.
    failed : collection of str
        Paths of images that failed before for a reason that may have gone: they are decoded in a process of
        their own, since memory may be short again.
    notify : callable
        Is told which images are tried alone.
    again : str
        What makes a run try an image that was given up; the end of its reason.

    Attributes
    ----------
    work : list of ImageRef
        Without what is given up.
    given_up : list of Failure
        Images that ended too many runs.
    care : Care
        For `extract.worker.stream.feature_blocks`; without the decoding process.
    """

    def __init__(
        self,
        folder: Path,
        work: Sequence[ImageRef],
        failed: Collection[str],
        notify: Notify,
        *,
        again: str,
    ) -> None:
        left = list(folder.glob(_PATTERN))
        deaths = _deaths(left)
        found = {ref.path: deaths[key] for ref in work if (key := _key(ref)) in deaths} if deaths else {}
        self.work = [ref for ref in work if found.get(ref.path, 0) < TRIES]
        self.given_up = [_failure(ref, again) for ref in work if found.get(ref.path, 0) >= TRIES]
        self._suspects = {path: n for path, n in found.items() if n < TRIES}
        self._waiting: dict[str, ExitStack] = {}
        self._in_flight: InFlight | None = None
        if work:
            self._begin(folder, [ref for ref in work if ref.path in found], found)
        # Not before what they say stands in the new one: this run may die at once.
        for path in left:
            path.unlink(missing_ok=True)
        if self._suspects:
            shown = ", ".join(sorted(self._suspects)[:_SHOWN])
            more = ", ..." if len(self._suspects) > _SHOWN else ""
            notify(
                f"the run before this one ended while it was reading {shown}{more}: each is tried alone now"
            )
        suspects = frozenset(self._suspects)
        self.care = Care(self._watch, alone=suspects, apart=suspects.union(failed))

    def _begin(self, folder: Path, found: Sequence[ImageRef], deaths: dict[str, int]) -> None:
        # Without the file the run is as good; its death would teach nothing.
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            name = _PATTERN.replace("*", f"{os.getpid()}-{secrets.token_hex(4)}")
            self._in_flight = InFlight(folder / name)
            for ref in found:
                # Of one that is given up the next run is to know it too, until that is committed.
                state = deaths[ref.path] if deaths[ref.path] < TRIES else _ALONE + 1
                self._waiting[ref.path] = ExitStack()
                self._waiting[ref.path].enter_context(self._in_flight.holding(_key(ref) * _STATES + state))

    def __enter__(self) -> Recovery:
        return self

    def __exit__(self, *_: object) -> None:
        for failure in self.given_up:
            self._done(failure.path)
        if self._in_flight is not None:
            self._in_flight.close()
            # Finished segments may lie beside it.
            with contextlib.suppress(OSError):
                self._in_flight.path.parent.rmdir()

    @contextmanager
    def _watch(self, ref: ImageRef) -> Iterator[None]:
        if self._in_flight is None:
            yield
            return
        deaths = self._suspects.get(ref.path)
        state = 0 if deaths is None else _ALONE + deaths
        with self._in_flight.holding(_key(ref) * _STATES + state):
            yield
        self._done(ref.path)

    def _done(self, path: str) -> None:
        waiting = self._waiting.pop(path, None)
        if waiting is not None:
            waiting.close()


def forget(folder: Path) -> None:
    """Take away what a run that died has left, where another engine finds for itself what ends a process."""
    for path in folder.glob(_PATTERN):
        path.unlink(missing_ok=True)


def _deaths(files: Sequence[Path]) -> dict[int, int]:
    """Key of an image -> how many runs have died while they tried it alone."""
    found: dict[int, int] = {}
    for path in files:
        for number in left_in(path) or ():
            key, state = divmod(number, _STATES)
            found[key] = max(found.get(key, 0), (state + 1) // 2)
    return found


def _key(ref: ImageRef) -> int:
    """What tells an image, its size and its time from others; 60 bits."""
    about = f"{ref.path}\0{ref.size}\0{ref.mtime_ns}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(about, digest_size=8).digest(), "big") >> 4


def _failure(ref: ImageRef, again: str) -> Failure:
    why = f"it ended {TRIES} runs that read nothing else, as happens when memory runs out"
    return Failure(ref.path, f"{why}; {again}", ref.size, mtime_ns=ref.mtime_ns)
