"""Fetch a file: resumed where it stopped, checked before it appears, from the next mirror if need be.

The bytes gather in ``NAME.part`` beside the target. Only when size and hash are right does the file
take its name, by one rename; a stopped or killed download goes on from its part the next time. `pooch`
(1.9) resumes nothing and knows one address a file, and would bring six packages of 2.5 MB.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fc7.models.common.errors import DownloadError
from fc7.models.common.locks import Busy, exclusive
from fc7.models.common.progress import Progress, Silent
from fc7.models.store.web import Answer, RangeRefusedError, WebError, asked

# A server that hangs up again and again is left for the next mirror after this many connections,
# or after so many in a row that brought nothing new.
TRIES, IDLE_TRIES = 8, 3
# No network we know is a fifth as large; what claims more is not one.
LARGEST = 4 << 30
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Pause = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file must be.

    Attributes
    ----------
    size : int or None
        Bytes, where known.
    sha256, sha1 : str or None
        Hex digests that it must have.
    sha256_prefix : str
        How its sha256 must begin, where no more of it is known.
    stated : str
        How the hash came to be known, as a message ends: ``was published``.
    """

    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    sha256_prefix: str = ""
    stated: str = "was published"

    @property
    def hashed(self) -> bool:
        """Whether bytes of two files, or damaged ones, would be noticed."""
        return self.sha256 is not None or self.sha1 is not None or self.sha256_prefix != ""

    def fault(self, path: Path) -> str | None:
        """What is wrong with a file, or None."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes came, {self.size} were published"
        digests = (
            ("sha256", self.sha256, ""),
            ("sha1", self.sha1, ""),
            ("sha256", self.sha256_prefix or None, "one that begins with "),
        )
        for name, digits, beginning in digests:
            if digits is not None:
                with path.open("rb") as stream:
                    found = hashlib.file_digest(stream, name).hexdigest()
                if digits.lower() != (found[: len(digits)] if beginning else found):
                    return f"{name} is {found}, {beginning}{digits.lower()} {self.stated}"
        return None


def fetch(
    urls: Sequence[str],
    dest: Path,
    wanted: Wanted | None = None,
    *,
    progress: Progress | None = None,
    timeout: float = 30.0,
    pause: Pause = time.sleep,
) -> Path:
    """Fetch one file from the first of several addresses that gives it whole and unaltered.

    Parameters
    ----------
    urls : sequence of str
        http or https addresses of the same bytes. A host that cannot be reached is asked once.
    dest : Path
        Appears when the file is complete and checked, or is left as it is. Already there and right:
        nothing is fetched.
    wanted : Wanted or None
        None takes the file as it comes.
    progress : Progress or None
        Counts bytes.
    timeout : float
        Seconds that a server may be silent.
    pause : callable
        Waits that many seconds between two tries that brought nothing.

    Returns
    -------
    Path
        `dest`.

    Raises
    ------
    DownloadError
        If no address gave it (the text and `attempts` list each with its reason), or the disk is
        full or not writable. What was fetched stays in ``NAME.part`` for the next time.
    """
    wanted = wanted or Wanted()
    if dest.is_file() and wanted.hashed and wanted.fault(dest) is None:
        return dest
    part = _PartialFile(dest)
    progress = progress or Silent()
    try:
        with _explained(dest):
            dest.parent.mkdir(parents=True, exist_ok=True)
            _check_space(part, wanted)
            with exclusive(part.lock):
                return _from_mirrors(urls, part, wanted, progress=progress, timeout=timeout, pause=pause)
    finally:
        progress.finish()


@contextmanager
def alone_with(dest: Path) -> Iterator[None]:
    """Keep other processes from fetching `dest` anew until it has been used.

    Raises
    ------
    DownloadError
        If another process is at it, or the folder cannot be written.
    """
    with ExitStack() as held:
        with _explained(dest):
            dest.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(dest.with_name(dest.name + ".use")))
        yield


def _from_mirrors(
    urls: Sequence[str], part: _PartialFile, wanted: Wanted, progress: Progress, timeout: float, pause: Pause
) -> Path:
    attempts: list[tuple[str, str]] = []
    silent: set[str] = set()
    for url in urls:
        host = urlsplit(url).netloc
        if host in silent:
            continue
        try:
            _whole(url, part, wanted, progress=progress, timeout=timeout, pause=pause)
        except WebError as exc:
            attempts.append((url, str(exc)))
            if exc.unreachable:
                silent.add(host)
            continue
        return part.appear()
    lines = "".join(f"\n  {url}: {reason}" for url, reason in attempts)
    raise DownloadError(f"{part.dest.name} could not be fetched. Tried:{lines}", tuple(attempts))


def _whole(
    url: str, part: _PartialFile, wanted: Wanted, progress: Progress, timeout: float, pause: Pause
) -> None:
    """Fill the part from one address until it is the file that is wanted."""
    idle = 0
    for tried in range(TRIES):
        before = part.size
        try:
            if not _complete(part, wanted):
                _more(url, part, wanted, progress=progress, timeout=timeout)
        except RangeRefusedError:
            if before == 0:
                raise
            # Perhaps the part is already all there is. The hash says; without one it starts anew.
            if not wanted.hashed or wanted.fault(part.path) is not None:
                part.discard()
                continue
        except WebError as exc:
            idle = 0 if part.size > before else idle + 1
            if not exc.passing or idle == IDLE_TRIES or tried == TRIES - 1:
                raise
            if idle:
                pause(0.5 * 2 ** (idle - 1))
            continue
        fault = wanted.fault(part.path)
        if fault is None:
            return
        part.discard()
        # A part left by another mirror, or an earlier version of the file, spoils what is added.
        if before == 0:
            raise WebError(fault)
    raise WebError(f"gave up after {TRIES} connections")


def _complete(part: _PartialFile, wanted: Wanted) -> bool:
    return wanted.size is not None and part.size >= wanted.size


def _more(url: str, part: _PartialFile, wanted: Wanted, progress: Progress, timeout: float) -> None:
    """One connection: what is missing, or as much of it as comes.

    Raises
    ------
    WebError
        Passing, if the body ended early; the bytes that came are kept.
    """
    validator = part.validator(url)
    if part.size and not wanted.hashed and validator is None:
        part.discard()  # nothing would show that these bytes and the next are of one file
    with asked(url, part.size, validator, timeout=timeout) as answer:
        total = _expected(answer, wanted)
        part.remember(url, answer.validator)
        progress.start(total or 0, part.dest.name)
        progress.advance(answer.start)
        with part.path.open("r+b" if part.path.exists() else "wb") as stream:
            stream.truncate(answer.start)
            stream.seek(answer.start)
            have = answer.start
            for block in answer.blocks():
                have += len(block)
                if have > (total or LARGEST):
                    raise WebError(f"sends more than the {total or LARGEST} bytes it should")
                stream.write(block)
                progress.advance(len(block))
            stream.flush()
            os.fsync(stream.fileno())
    if total is not None and have < total:
        raise WebError(f"the transfer ended at {have} of {total} bytes", passing=True)


def _expected(answer: Answer, wanted: Wanted) -> int | None:
    """Bytes the whole file has; a file of another size is refused before it is fetched."""
    if wanted.size is not None and answer.total not in (None, wanted.size):
        raise WebError(f"has a file of {answer.total} bytes there, {wanted.size} were published")
    if answer.total is not None and answer.total > LARGEST:
        raise WebError(f"has a file of {answer.total} bytes there; no network is that large")
    return wanted.size or answer.total


class _PartialFile:
    """The unfinished file, and beside it which version of which address it is from."""

    def __init__(self, dest: Path) -> None:
        self.dest = dest
        self.path = dest.with_name(dest.name + ".part")
        self.lock = dest.with_name(dest.name + ".lock")
        self._origin = dest.with_name(dest.name + ".part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, url: str) -> str | None:
        """The ETag under which the part came from `url`, if it did."""
        try:
            origin = json.loads(self._origin.read_text(encoding="utf-8"))
            return origin["etag"] if self.size and origin["url"] == url else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def remember(self, url: str, etag: str | None) -> None:
        """Note where the next bytes come from, before they are written."""
        self._origin.write_text(json.dumps({"url": url, "etag": etag}), encoding="utf-8")

    def discard(self) -> None:
        """Begin again at zero."""
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)

    def appear(self) -> Path:
        """Give the finished file its name."""
        self.path.replace(self.dest)
        self._origin.unlink(missing_ok=True)
        return self.dest


def _check_space(part: _PartialFile, wanted: Wanted) -> None:
    free = shutil.disk_usage(part.dest.parent).free
    missing = (wanted.size or 0) - part.size
    if missing > free:
        raise DownloadError(
            f"{part.dest.name} needs {missing / 1e6:.1f} MB more and {part.dest.parent} has "
            f"{free / 1e6:.1f} MB free; make room or point FC7_HOME to another disk"
        )


@contextmanager
def _explained(dest: Path) -> Iterator[None]:
    """Turn what the disk, or another process at work on `dest`, stands in the way with into our error."""
    try:
        yield
    except Busy as exc:
        raise DownloadError(
            f"another process is fetching {dest.name} into {dest.parent}; wait for it, then run this again"
        ) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise DownloadError(
                f"{dest.parent} is full ({exc.strerror}) while fetching {dest.name}; make room or point "
                "FC7_HOME to another disk, then run this again: it goes on where it stopped"
            ) from exc
        raise DownloadError(
            f"{dest.parent} cannot be written ({exc.strerror or exc}); make it writable or point FC7_HOME "
            "to a folder that is"
        ) from exc
