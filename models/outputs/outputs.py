"""The one guard between what a call writes and what stands there.

What stands at the place of an output is replaced only

- if the user gave ``--force``, or it is empty, or `Kind.replaceable`;
- and if it is no file that the call itself reads, under whatever name, and no other output of the call.

A function called from Python, and the demo in its folder, also replace a file of the kind to be written.

Everything else is a `UsageError` that says what stands there and what was to be written. An output is tried
before the work, with a file beside its place, and looked at again when it is finished
(`models.outputs.places`).

    guard = CallFiles([features], force=force)
    model = guard.claim(output, CLASSIFIER)             # before the work
    split = guard.claim(split_csv, SPLIT, "--split-csv")
    ...
    model.write(data)
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fc7.models.common.durable import unwritable
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.outputs.kinds import Kind, describe, size_text
from fc7.models.outputs.places import OutputPlace, place

# The call is not at fault if the disk is full or breaks.
_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
# Deflate takes pool5 of photographs, four fifths of it zeros, to a fifth; a file system may do as well.
_MOST_COMPRESSION = 8

# Of this process, for who ends it: place -> the path as the user gave it, and whether it was written.
_claimed_here: dict[Path, tuple[Path, bool]] = {}


def what_was_written() -> str:
    """Which of the outputs that were claimed in this process were written, for one that is stopped."""
    done = [str(path) for path, written in _claimed_here.values() if written]
    left = [str(path) for path, written in _claimed_here.values() if not written]
    parts = [f"{', '.join(done)} written whole"] if done else []
    parts += [f"{', '.join(left)} not written"] if left else []
    return "; ".join(parts)


class CallFiles:
    """What one call reads and writes.

    Parameters
    ----------
    inputs : iterable of str or Path
        Files that the call reads; what is not there, and folders, count for nothing.
    force : bool
        Replace what stands at an output, whatever it is; never an input.
    again : bool
        Replace a file of the output's kind without `force`.
    listed : callable
        Gives the other files that the call reads, such as the images of its folders. Only asked
        when something stands at an output that fc7 would not have written there. Raises an `Fc7Error` if
        that cannot be told.

    Examples
    --------
    >>> text = Kind("a text", lambda path: path.read_bytes().startswith(b"text"))
    >>> CallFiles().claim("a.txt", text).write(b"text of mine").name
    'a.txt'
    >>> CallFiles(again=True).claim("a.txt", text).write(b"text again").name
    'a.txt'
    >>> CallFiles().claim("a.txt", text)
    Traceback (most recent call last):
    fc7.models.common.errors.UsageError: a.txt: ... stands there, and a text was to be written; ...
    """

    def __init__(
        self,
        inputs: Iterable[str | Path] = (),
        *,
        force: bool = False,
        again: bool = False,
        listed: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.force, self.again = force, again
        self._inputs = list(map(str, inputs))
        self._listed = listed
        self._claimed: dict[str, Output] = {}
        self._tried: set[Path] = set()

    def claim(
        self,
        out: Destination,
        kind: Kind,
        option: str = "-o",
        *,
        makes_folder: bool = False,
        spare: Callable[[Path], str | None] = lambda path: None,
    ) -> Output:
        """Take a place for an output and try whether it can be written.

        Parameters
        ----------
        out : str, Path or Output
            An output that was claimed before is given back as it is.
        option : str
            What the user chose the place with, for messages.
        makes_folder : bool
            Make its folder if there is none, when it is written.
        spare : callable
            Why a file of this kind that stands there is not replaced without `force`, as a clause that
            begins with "which"; None if it is.

        Raises
        ------
        UsageError
            If it may not be written there.
        Fc7Error
            If the disk is full.
        """
        if isinstance(out, Output):
            return out
        output = Output(
            place(Path(out)), kind=kind, option=option, guard=self, makes_folder=makes_folder, spare=spare
        )
        self._check_apart(output)
        output.check()
        if not output.place.stream:
            self._try(output)
            _claimed_here.setdefault(output.place.target, (output.path, False))
        return output

    def folder(self, folder: str | Path | Folder, kinds: Mapping[str, Kind], option: str) -> Folder:
        """Claim files of a folder, which is made when they are written.

        Parameters
        ----------
        folder : str, Path or Folder
            One that was claimed before is given back as it is.
        kinds : mapping of str to Kind
            By name.

        Raises
        ------
        UsageError, Fc7Error
            As `claim`.
        """
        if isinstance(folder, Folder):
            return folder
        path = Path(folder)
        files = {
            name: self.claim(path / name, kind, option, makes_folder=True) for name, kind in kinds.items()
        }
        return Folder(path, files)

    def reads(self, found: os.stat_result) -> bool:
        """Whether a file is one that the call was given by name."""
        return any(map(_is(found), self._inputs))

    def lists(self, found: os.stat_result) -> bool:
        """Whether a file is one of the images that the call was given."""
        return any(map(_is(found), self._listed()))

    def _check_apart(self, output: Output) -> None:
        # Names that differ in case, or in how an accent is written, are one on some disks.
        name = unicodedata.normalize("NFC", str(output.place.target)).casefold()
        other = self._claimed.setdefault(name, output)
        if other is not output and not output.place.stream:
            raise UsageError(
                f"{output.path}: {other.kind.name} ({other.option}) and {output.kind.name} "
                f"({output.option}) were to be written there; give two names that differ in more than case"
            )

    def _try(self, output: Output) -> None:
        folder = output.place.target.parent
        while output.makes_folder and not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
        if folder in self._tried:
            return
        try:
            OutputPlace(output.path, folder / output.place.target.name, stream=False).try_writing()
        except OSError as exc:
            raise output.refusal(exc) from exc
        self._tried.add(folder)


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """A place that something may be written to. Made by `CallFiles.claim`.

    Attributes
    ----------
    kind, option, makes_folder, spare
        As `CallFiles.claim` takes them.
    """

    place: OutputPlace
    kind: Kind
    option: str
    guard: CallFiles
    makes_folder: bool
    spare: Callable[[Path], str | None]

    @property
    def path(self) -> Path:
        """As the user gave it."""
        return self.place.path

    def check(self) -> bool:
        """Whether something stands there, which may be replaced; False if nothing does.

        Raises
        ------
        UsageError
            If what stands there may not be replaced.
        """
        if self.place.stream:
            if not self.kind.streams:
                raise UsageError(
                    f"{self.path}: {self.kind.name} cannot be written to a pipe or a device; "
                    f"give {self.option} the name of a file"
                )
            return False
        try:
            found = self.place.target.stat()
        except (FileNotFoundError, NotADirectoryError):
            # A folder that is missing is told by the trial.
            return False
        except OSError as exc:
            raise self.refusal(exc) from exc
        if stat.S_ISDIR(found.st_mode):
            raise self.refusal(IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(
                f"{self.path}: what stands there is not a file, and {self.kind.name} was to be written; "
                f"give {self.option} the name of a file"
            )
        self._check_file(found)
        return True

    def beside(self, suffix: str, kind: Kind | None = None) -> Output:
        """What lies beside this output, under its name with `suffix`; of the same kind if not of another.

        What a run before left there is replaced: who may write the output may write this.

        Raises
        ------
        UsageError, Fc7Error
            As `CallFiles.claim`.
        """
        target = self.place.target
        kind = dataclasses.replace(kind or self.kind, replaceable=True)
        return self.guard.claim(target.with_name(target.name + suffix), kind, self.option)

    def needs(self, n_bytes: int) -> str | None:
        """What to say where the disk has less than `n_bytes` free; None where it has more.

        Raises
        ------
        Fc7Error
            If it has so little that not even a file system which compresses can hold them.
        """
        folder = self.place.target.parent
        if self.place.stream or not folder.is_dir():
            return None
        free = shutil.disk_usage(folder).free
        if free >= n_bytes:
            return None
        text = f"{self.path}: up to {size_text(n_bytes)} will be written, and {size_text(free)} are free"
        if free < n_bytes // _MOST_COMPRESSION:
            raise Fc7Error(f"{text}; make room or choose another {self.option}")
        return text

    def write(self, data: bytes) -> Path:
        """`OutputPlace.write`, if what stands there by now may be replaced.

        Raises
        ------
        UsageError
            If something appeared there that may not be replaced.
        OSError
        """
        if self.makes_folder:
            self.place.target.parent.mkdir(parents=True, exist_ok=True)
        self.place.write(data, self.check)
        _claimed_here[self.place.target] = self.path, True
        return self.path

    def put(self, finished: Path) -> None:
        """`OutputPlace.put`, if what stands there by now may be replaced.

        Raises
        ------
        UsageError
            If something appeared there that may not be replaced.
        OSError
        """
        self.place.put(finished, self.check)
        _claimed_here[self.place.target] = self.path, True

    def open(self) -> BinaryIO:
        """`OutputPlace.open`."""
        return self.place.open()

    def refusal(self, exc: OSError) -> Fc7Error:
        """The error for what the system says of this place."""
        kind = Fc7Error if exc.errno in _FAILURES else UsageError
        return kind(unwritable(self.path, exc, self.option))

    def _check_file(self, found: os.stat_result) -> None:
        """Whether a file may be replaced."""
        force, which, remedy = self.guard.force, "", f"choose another {self.option}"
        if self.guard.reads(found):
            which = ", which this call reads"
        elif found.st_size and not self._is_ours():
            listed = self._is_listed(found)
            if force and not listed:
                return
            which = ", one of the images that this call reads" if listed else ""
            # What `force` would refuse is not advised.
            remedy += ", or pass --force to replace it" if listed is False else ""
        else:
            reason = None if force else self.spare(self.place.target)
            if reason is None and (force or not found.st_size or self.guard.again or self.kind.replaceable):
                return
            which = f", {reason}" if reason else ""
            remedy += ", or pass --force to replace it"
        raise UsageError(
            f"{self.path}: {describe(self.place.target)} stands there{which}, "
            f"and {self.kind.name} was to be written; {remedy}"
        )

    def _is_listed(self, found: os.stat_result) -> bool | None:
        """Whether it is one of the call's images; None if that cannot be told, which `force` raises."""
        try:
            return self.guard.lists(found)
        except Fc7Error:
            if self.guard.force:
                raise
            return None

    def _is_ours(self) -> bool:
        try:
            return self.kind.recognises(self.place.target)
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that outputs may be written to. Made by `CallFiles.folder`.

    Attributes
    ----------
    files : mapping of str to Output
        By name.
    """

    path: Path
    files: Mapping[str, Output]


Destination = str | Path | Output
"""Where an output goes: a path that is still to be checked, or what `CallFiles.claim` gave."""


def claimed(out: Destination, kind: Kind, option: str = "-o") -> Output:
    """`CallFiles.claim` for a function that reads no files; it replaces one of the kind."""
    return CallFiles(again=True).claim(out, kind, option)


def _is(found: os.stat_result) -> Callable[[str], bool]:
    def same(path: str) -> bool:
        try:
            return os.path.samestat(Path(path).stat(), found)
        except (OSError, ValueError):
            return False

    return same
