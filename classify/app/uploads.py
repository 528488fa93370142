"""Images that are dropped on the page: read by our own reader first, then put into their class folder.

A name that comes from a browser is anybody's. Of a path only the last part counts, and a name that a system
would not take, or that means something to it, is changed or refused. What stands there is never replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fc7.extract.images.codecs.formats import SUFFIXES
from fc7.extract.images.decode import shrink
from fc7.models.common.errors import Fc7Error, ImageError, UsageError
from fc7.models.common.unicode_forms import normal

MAX_BYTES = 64 << 20
"""Of one image; a photograph of 100 megapixels has about 50 MB."""

_PART = re.compile(r"\.[0-9a-f]{16}\.part")
# Seconds after which what nobody has finished is what a kill has left; another app may be at work here.
_ABANDONED = 3600
_MOST_NAMES = 1000
# Of a name; its bytes are at most 255 on most file systems, a number and a suffix included.
_LONGEST, _MOST_NAME_BYTES = 120, 200
# Names that Windows takes for devices, with any suffix: learn.microsoft.com, "Naming Files, Paths, and
# Namespaces".
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')


@dataclass(frozen=True, slots=True)
class Upload:
    """What became of a dropped image; `reason` says why it was not saved."""

    saved: bool
    reason: str = ""


def class_name(text: str) -> str:
    """The name of a class as a folder can have it.

    Raises
    ------
    UsageError
        If no folder can have it.

    Examples
    --------
    >>> class_name(" red wine ")
    'red wine'
    >>> class_name("../x")
    Traceback (most recent call last):
    fc7.models.common.errors.UsageError: '../x' was found as a class; its name is that of a folder: ...
    """
    name = normal(text.strip())
    bad = _FORBIDDEN.search(name) or name.startswith(".") or name.endswith(".") or _DEVICE.fullmatch(name)
    if not name or bad or len(name) > _LONGEST or not _is_text(name):
        raise UsageError(
            f"{text[:60]!r} was found as a class; its name is that of a folder: 1 to {_LONGEST} letters, "
            'none of <>:"/\\|?*, no full stop at either end, and no name of a device'
        )
    return name


def save_image(folder: Path, label: str, name: str, data: bytes) -> Upload:
    """Put an image into its class folder, under a name that is free there.

    Parameters
    ----------
    label : str
        Empty for an image without one.
    name : str
        As the browser has it.

    Raises
    ------
    UsageError
        If no folder can have the class's name.
    Fc7Error
        If it cannot be written.
    """
    target = folder / class_name(label) if label else folder
    plain = file_name(name)
    if PurePosixPath(plain).suffix.lower() not in SUFFIXES:
        return Upload(False, "no image by its name; fc7 reads " + ", ".join(SUFFIXES))
    try:
        shrink(data, 64)
    except ImageError as exc:
        return Upload(False, str(exc))
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _put(target, plain, data)
    except OSError as exc:
        raise Fc7Error(f"{target}: {plain} cannot be written there: {exc.strerror or exc}") from exc


def file_name(name: str) -> str:
    r"""A name that every system takes, from one that a browser gives.

    Examples
    --------
    >>> file_name("C:\\photos\\a?b.jpg"), file_name("../../.hidden.png"), file_name("con.jpg")
    ('a_b.jpg', 'hidden.png', '_con.jpg')
    """
    last = re.split(r"[\\/]", normal(name))[-1].strip()
    plain = _FORBIDDEN.sub("_", last).strip(". ") or "image"
    if f".{plain.lower()}" in SUFFIXES:
        plain = f"image.{plain}"
    plain = plain.encode("utf-8", "replace").decode("utf-8")
    suffix = PurePosixPath(plain).suffix
    stem = plain.removesuffix(suffix)[:_LONGEST].encode("utf-8")[:_MOST_NAME_BYTES].decode("utf-8", "ignore")
    plain = stem + suffix[:10]
    return f"_{plain}" if _DEVICE.fullmatch(plain) else plain


def clear_parts(folder: Path) -> None:
    """Remove what kills have left of images in the folder of images and its class folders.

    What cannot be read or goes away meanwhile is passed over.
    """
    for place in (str(folder), *_folders_in(folder)):
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if _PART.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _ABANDONED:
                        os.unlink(entry.path)  # noqa: PTH108


def _folders_in(folder: Path) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_dir()]
    return []


def _put(folder: Path, name: str, data: bytes) -> Upload:
    # Hidden, so that an extraction at this moment does not see it.
    part = folder / f".{secrets.token_hex(8)}.part"
    digest = hashlib.sha256(data).digest()
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        for number in range(1, _MOST_NAMES):
            place = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
            try:
                _give_name(part, place)
            except FileExistsError:
                if place.is_file() and place.stat().st_size == len(data):
                    with contextlib.suppress(OSError):
                        if hashlib.sha256(place.read_bytes()).digest() == digest:
                            return Upload(False, "it is there already")
                continue
            return Upload(True)
    finally:
        part.unlink(missing_ok=True)
    return Upload(False, f"{_MOST_NAMES} images have that name; rename it")


def _give_name(part: Path, place: Path) -> None:
    """Name a file that is complete; FileExistsError if something has that name."""
    try:
        # Of two that come at once one fails, where a rename would replace.
        place.hardlink_to(part)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        # A file system without links: the name is taken first, and a kill leaves no part of an image.
        place.open("xb").close()
        part.replace(place)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
