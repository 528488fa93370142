"""Pictures for the page: read where extract read them, proved to be the same, made small, and kept."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from fc7.classify.app.files import AppFiles
from fc7.classify.app.labels import CachedImages
from fc7.classify.report.thumbnails import Originals, find_originals, read_original
from fc7.extract.drawn.drawing import jpeg_bytes
from fc7.extract.images.decode import shrink
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.records import ImageRef, Pixels
from fc7.models.common.errors import ImageError

_QUALITY = 82
# About 8,000 small pictures.
_KEPT_BYTES = 48 << 20


class Photographs:
    """Makes JPEGs of the images of a cache, and remembers the latest."""

    def __init__(self, files: AppFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._originals: tuple[CachedImages, Originals] | None = None
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0

    def jpeg(self, images: CachedImages, row: int, side: int) -> bytes:
        """An image at most `side` pixels high and wide.

        Raises
        ------
        ImageError
            If it is not there, cannot be read, or is another one than the cache's.
        """
        return self._remembered((images.sha256[row], side), lambda: self.original(images, row))

    def unread_jpeg(self, ref: ImageRef, side: int) -> bytes:
        """The same of an image that the cache does not have.

        Raises
        ------
        ImageError
            If it is not there any more, or cannot be read.
        """
        key = f"{ref.path}\n{ref.size} {ref.mtime_ns}", side
        return self._remembered(key, lambda: ref.origin.read(ref))

    def _remembered(self, key: tuple[str, int], read: Callable[[], bytes | Pixels]) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = jpeg_bytes(shrink(read(), key[1]), _QUALITY)
        with self._lock:
            if key not in self._kept:
                self._bytes += len(data)
            self._kept[key] = data
            while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data

    def original(self, images: CachedImages, row: int) -> bytes | Pixels:
        """What an image holds.

        Raises
        ------
        ImageError
            As `jpeg`.
        """
        path, sha256 = images.paths[row], images.sha256[row]
        near = self._beside(path)
        if near is not None:
            return read_original(Originals({path: near}), path, sha256)[1]
        return read_original(self._listed(images), path, sha256)[1]

    def _beside(self, path: str) -> ImageRef | None:
        """The file of that name in the folder of images: to list a large folder takes a while."""
        if ".." in PurePosixPath(path).parts or PurePosixPath(path).is_absolute():
            return None
        folder = os.path.realpath(self._files.images)
        try:
            status = Path(folder, path).stat()
        except (OSError, ValueError):
            return None
        origin = FolderOrigin(str(self._files.images), folder)
        return ImageRef(
            path,
            label=None,
            group=None,
            split=None,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            origin=origin,
            locator=path,
        )

    def _listed(self, images: CachedImages) -> Originals:
        with self._listing:
            if self._originals is None or self._originals[0] is not images:
                self._originals = images, find_originals(images.header.roots, (), self._files.features)
            return self._originals[1]


def picture_of(data: bytes | Pixels, side: int) -> bytes:
    """A JPEG of any image at most `side` pixels high and wide.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if not len(data):
        raise ImageError("the file is empty")
    return jpeg_bytes(shrink(data, side), _QUALITY)
