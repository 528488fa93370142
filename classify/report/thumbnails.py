"""The pictures of a report: found where extract found them, proved to be the same, made small.

A cache says where its images lay and what each file's SHA-256 was. An image that is not there any more, or is
another one now, gets no picture: a wrong picture under a right name would be worse than none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.drawn.drawing import jpeg_bytes
from fc7.extract.images.decode import shrink
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import ImageRef, Pixels
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import Fc7Error, ImageError
from fc7.models.common.progress import Progress, Silent

SIDE = 112
"""Pixels of a thumbnail's longer side; they are shown at about this size."""

# About 3 KB a picture, at which artefacts cannot be seen at this size.
_QUALITY = 80
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture, or why there is none.

    Attributes
    ----------
    jpeg : bytes
        Empty if there is no picture.
    reason : str
        Why there is none.
    """

    jpeg: bytes
    width: int
    height: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Originals:
    """The images of a cache, as far as they can be found; use `find_originals`.

    Attributes
    ----------
    refs : dict of str to ImageRef
        Path in the cache -> the image.
    problem : str
        Why none could be found; empty if some were.
    """

    refs: dict[str, ImageRef]
    problem: str = ""


def find_originals(roots: Sequence[str], given: Sequence[str], cache: Path) -> Originals:
    """List the places that a cache's images came from.

    Parameters
    ----------
    roots : sequence of str
        As the cache has them: relative to the folder that extract ran in.
    given : sequence of str
        Places that the user named in their stead; empty for none.
    cache : Path
        Relative roots are looked for from the current folder, then from the cache's.
    """
    asked = [list(given)] if given else [list(roots), [str(cache.parent / root) for root in roots]]
    problem = ""
    for places in asked:
        try:
            return Originals({ref.path: ref for ref in list_inputs(places).images})
        except Fc7Error as exc:
            problem = problem or str(exc)
    return Originals({}, problem)


def read_original(originals: Originals, path: str, sha256: str) -> tuple[ImageRef, bytes | Pixels]:
    """An image and what it holds, if it is what it was.

    Parameters
    ----------
    sha256 : str
        Of what it held; empty if that is not known.

    Raises
    ------
    ImageError
        If it is not there, cannot be read, or is another one now.
    """
    ref = originals.refs.get(path)
    if ref is None:
        raise ImageError("not found")
    data = ref.origin.read(ref)
    if sha256 and hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest() != sha256:
        raise ImageError("changed since it was read")
    return ref, data


def make_thumbnails(
    originals: Originals,
    wanted: Iterable[tuple[int, str, str]],
    progress: Progress | None = None,
) -> dict[int, Thumbnail]:
    """Read, check and shrink some images.

    Parameters
    ----------
    wanted : iterable of (int, str, str)
        Row, path and SHA-256 of each, as the cache has them.

    Returns
    -------
    dict of int to Thumbnail
        By row.
    """
    progress = progress or Silent()
    work = sorted(set(wanted))
    made: dict[int, Thumbnail] = {}
    progress.start(len(work), "thumbnails")
    with ThreadPoolExecutor(default_jobs()) as pool:
        for start in range(0, len(work), _AT_ONCE):
            some = work[start : start + _AT_ONCE]
            for (row, _, _), thumbnail in zip(
                some, pool.map(lambda w: _make(originals, *w), some), strict=True
            ):
                made[row] = thumbnail
            progress.advance(len(some))
    progress.finish()
    return made


def _make(originals: Originals, _: int, path: str, sha256: str) -> Thumbnail:

    try:
        pixels = shrink(read_original(originals, path, sha256)[1], SIDE)
    except ImageError as exc:
        return Thumbnail(b"", 0, 0, reason=str(exc))
    return Thumbnail(jpeg_bytes(pixels, _QUALITY), pixels.shape[1], pixels.shape[0])
