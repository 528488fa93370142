"""Copies of images, sorted into the folders of a new folder: a label each, or a group of duplicates each.

An image is read where it was found before, and copied byte for byte if it is still the same. Nothing is ever
replaced: the folder is new or empty, and no two images get one name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.gallery.names import FreeNames, safe_names
from fc7.classify.report.thumbnails import Originals, find_originals, read_original
from fc7.extract.cache.reader import CacheReader
from fc7.extract.drawn.drawing import png_bytes
from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.records import ImageRef
from fc7.models.common.durable import explained
from fc7.models.common.errors import ImageError, UsageError
from fc7.models.common.progress import Progress
from fc7.models.common.terminal import counted

_AT_AN_ADDRESS = "it lies at an address, and is not downloaded again"


@dataclass(frozen=True, slots=True)
class Sorted:
    """An image and the folder it goes to.

    Attributes
    ----------
    path : str
        As `Originals` has it.
    sha256 : str
        Of the content that it had; empty if that is not known.
    folder : str
        A name that may hold anything.
    """

    path: str
    sha256: str
    folder: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What `copy_images` did.

    Attributes
    ----------
    n, n_linked : int
        Images that are in the folder now; those of them that are hard links.
    skipped : list of (str, str)
        Path and reason of each that is not.
    """

    folder: Path
    n: int
    n_linked: int
    n_folders: int
    skipped: Sequence[tuple[str, str]]

    def describe(self) -> str:
        """For people: how many, where, and what was skipped for which reason."""
        linked = f", {self.n_linked} of them linked" if self.n_linked else ""
        folders = f"{counted(self.n_folders, 'folder')} of {self.folder}"
        text = f"copied {counted(self.n, 'image')} into {folders}{linked}"
        reasons = Counter(reason for _, reason in self.skipped).most_common()
        return "\n".join([text, *(f"skipped {n}, the first {self._first(why)}: {why}" for why, n in reasons)])

    def _first(self, reason: str) -> str:
        return next(path for path, why in self.skipped if why == reason)

    def to_json(self) -> dict[str, object]:
        """The same for a program."""
        skipped = [{"path": path, "reason": reason} for path, reason in self.skipped]
        return {"folder": str(self.folder), "images": self.n, "linked": self.n_linked, "skipped": skipped}


def new_folder(folder: Path, option: str) -> Path:
    """`folder`, if there is none of that name yet or nothing is in it.

    Raises
    ------
    UsageError
        Else.
    """
    try:
        held = next(folder.iterdir(), None)
    except FileNotFoundError:
        return folder
    except OSError as exc:
        raise UsageError(f"{folder}: {exc.strerror}; give {option} a new or an empty folder") from exc
    if held is not None:
        raise UsageError(f"{folder}: holds {held.name}; give {option} a new or an empty folder")
    return folder


def copy_from_cache(
    features: Path, wanted: Sequence[tuple[str, str]], folder: Path, option: str, progress: Progress
) -> Copied:
    """Copy images of a feature cache, which are looked for where they lay.

    Parameters
    ----------
    wanted : sequence of (str, str)
        Path in the cache, and the name of the folder that the image goes to.
    folder, option
        As `copy_images` takes them.

    Raises
    ------
    Fc7Error
        If a copy cannot be written.
    """
    with CacheReader(features) as reader:
        columns, roots = reader.columns(), reader.header.roots
    sha256 = dict(zip(columns.path, columns.sha256, strict=True))
    sorted_images = [Sorted(path, sha256[path], name) for path, name in wanted]
    return copy_images(
        sorted_images, find_originals(roots, (), features), folder, option=option, progress=progress
    )


def copy_images(
    wanted: Sequence[Sorted],
    originals: Originals,
    folder: Path,
    option: str,
    progress: Progress,
    *,
    link: bool = False,
) -> Copied:
    """Copy images into folders.

    Parameters
    ----------
    folder : Path
        As `new_folder` gave it.
    option : str
        What the user chose it with, for messages.
    link : bool
        Make hard links of files where the file system can.

    Raises
    ------
    Fc7Error
        If a copy cannot be written.
    """
    folders = safe_names(each.folder for each in wanted)
    names = {name: FreeNames() for name in folders}
    skipped: list[tuple[str, str]] = []
    used: set[str] = set()
    n_linked = 0
    progress.start(len(wanted), "copying")
    for each in wanted:
        try:
            ref, data, suffix = _read(originals, each)
        except ImageError as exc:
            skipped.append((each.path, str(exc)))
        else:
            name = names[each.folder].take(each.path.rpartition("/")[2] + suffix)
            target = folder / folders[each.folder] / name
            used.add(each.folder)
            with explained(target, option):
                target.parent.mkdir(parents=True, exist_ok=True)
                n_linked += _put(ref, data, target, link=link)
        progress.advance()
    progress.finish()
    return Copied(folder, len(wanted) - len(skipped), n_linked, n_folders=len(used), skipped=skipped)


def _read(originals: Originals, wanted: Sorted) -> tuple[ImageRef, bytes, str]:
    """The image, its bytes, and a suffix to add: of an array, where nothing is encoded, a PNG is made.

    Raises
    ------
    ImageError
        With why there are none.
    """
    ref = originals.refs.get(wanted.path)
    if ref is not None and is_address(ref.origin.name):
        raise ImageError(_AT_AN_ADDRESS)
    ref, data = read_original(originals, wanted.path, wanted.sha256)
    if isinstance(data, bytes):
        return ref, data, ""

    return ref, png_bytes(data), ".png"


def _put(ref: ImageRef, data: bytes, target: Path, link: bool) -> bool:
    """Write or link a file that is not there yet; whether it was linked."""
    if link and isinstance(ref.origin, FolderOrigin):
        try:
            os.link(os.path.realpath(ref.origin.path(str(ref.locator))), target)
        except FileExistsError:
            raise
        except OSError:
            pass  # another disk, or one that has no links
        else:
            return True
    with target.open("xb") as stream:
        try:
            stream.write(data)
            stream.flush()
        except BaseException:  # a full disk, or Ctrl-C: half an image would pass for one
            target.unlink(missing_ok=True)
            raise
    return False
