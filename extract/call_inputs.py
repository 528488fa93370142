"""What a call reads, for the guard of what it writes."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fc7.extract.cache.reader import CacheReader
from fc7.extract.images.codecs.formats import SUFFIXES
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.inputs.tables.list_lines import STDIN
from fc7.extract.kinds import FEATURE_CACHE
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.common.files import Inputs, each_of
from fc7.models.outputs.outputs import CallFiles

if TYPE_CHECKING:
    from fc7.extract.records import Listing

_ON_DISK = "file://"


def guard_for(
    images: Inputs | Listing,
    *files: str | Path | None,
    labels: Path | None = None,
    cache: Path | None = None,
    force: bool = False,
    again: bool = False,
) -> CallFiles:
    """The guard of a call that reads images, and files beside them.

    Parameters
    ----------
    images : sequence of str or Path, or Listing
        As `extract.inputs.listing.list_inputs` takes them; a pattern stands for what it names.
    *files : str, Path or None
        What else the call reads.
    labels : Path or None
        A manifest, which is read as well, and whose images are.
    cache : Path or None
        A feature cache, which is read, and whose images are if `images` has none.
    force, again : bool
        As `CallFiles` takes them.
    """
    if isinstance(images, str | Path | Sequence):
        images = each_of(images)
    given = list(_on_disk(images)) if isinstance(images, Sequence) else []
    return CallFiles(
        [*given, *(file for file in (*files, labels, cache) if file is not None)],
        force=force,
        again=again,
        listed=lambda: _listed(images, given or _roots(cache), labels),
    )


def are_images(inputs: Sequence[str]) -> bool:
    """Whether every input is an image by its name, and no folder, list or archive of them."""
    return all(
        PurePosixPath(typed.partition("?")[0]).suffix.lower() in SUFFIXES
        if is_address(typed)
        else Path(typed).suffix.lower() in SUFFIXES and Path(typed).is_file()
        for typed in inputs
    )


def _on_disk(images: Sequence[str | Path]) -> Iterator[str]:
    for typed in map(str, images):
        if typed.startswith(_ON_DISK):
            yield typed.removeprefix(_ON_DISK)
        elif typed != STDIN and not is_address(typed):
            # Not every shell expands a pattern.
            is_name = not glob.has_magic(typed) or os.path.lexists(typed)
            yield from [typed] if is_name else glob.glob(typed, recursive=True)  # noqa: PTH207


def _listed(images: Sequence[str | Path] | Listing, given: list[str], labels: Path | None) -> Iterator[str]:

    if not isinstance(images, Sequence):
        listing = images
    elif STDIN in map(str, images):
        raise UsageError("--force cannot replace a file while a list is read from stdin, which may name it")
    else:
        pictures = [name for name in given if not _is_cache(Path(name))]
        if not pictures and labels is None:
            return
        listing = list_inputs(pictures, labels=labels)
    for ref in listing.images:
        origin = getattr(ref.origin, "inner", ref.origin)
        if isinstance(origin, FolderOrigin):
            yield origin.path(str(ref.locator))


def _roots(cache: Path | None) -> list[str]:
    """Where the images of a cache were, if they are there still."""
    if cache is None or not _is_cache(cache):
        return []
    with contextlib.suppress(Fc7Error), CacheReader(cache) as reader:
        return [root for root in _on_disk(reader.header.roots) if os.path.lexists(root)]
    return []


def _is_cache(path: Path) -> bool:
    return path.is_file() and FEATURE_CACHE.recognises(path)
