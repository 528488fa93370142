"""What a cache can keep of an image, checked where a listing enters stage one: once, whatever its source.

A file may be dated 2300, a label may hold a zero byte or a megabyte, an archive may claim 2**64 bytes. Such
an image is a failure by name, and its neighbours go on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from hashlib import sha256

from fc7.extract.inputs.places.folders import escape
from fc7.extract.records import UNSEEN, Failure, ImageRef, Listing

LONGEST_NAME = 4 * 255
"""Bytes of a label, group or split: the longest name of a file (NAME_MAX of Linux and APFS), escaped."""

LONGEST_PATH = 4 * 4096
"""Bytes of a path: the longest that Linux opens (PATH_MAX), escaped."""

LONGEST_REASON = 1000
"""Characters of the reason of a failure."""

# The cache's numbers are int64: nanoseconds from 1677 to 2262.
_LEAST, _MOST = -(2**63), 2**63 - 1
_SHOWN = 40


def storable(listing: Listing) -> Listing:
    """The same listing, with every image that a cache cannot keep among the failures.

    Returns
    -------
    Listing
        `listing` itself if a cache can keep all of it.

    Examples
    --------
    >>> from fc7.extract.inputs.places.folders import FolderOrigin
    >>> late = ImageRef("cat/1.png", "cat", None, None, 70, 2**63, FolderOrigin("imgs", "/imgs"), "cat/1.png")
    >>> [failure.path for failure in storable(Listing([late], (), {}, ("imgs",))).failures]
    ['cat/1.png']
    """
    images = listing.images
    names = {ref.label for ref in images} | {ref.group for ref in images} | {ref.split for ref in images}
    odd = {name for name in names if name is not None and _why_not(name, LONGEST_NAME)}
    wrong: list[ImageRef] = []
    if odd or not _are_usual(images):
        wrong = [ref for ref in images if not _fits(ref) or not odd.isdisjoint(_names(ref))]
    failures = list(map(storable_failure, listing.failures))
    if not wrong and failures == list(listing.failures):
        return listing
    failures += [
        storable_failure(Failure(ref.path, _reason(ref), ref.size, mtime_ns=UNSEEN)) for ref in wrong
    ]
    left_out = set(map(id, wrong))
    images = [ref for ref in images if id(ref) not in left_out]
    return dataclasses.replace(listing, images=images, failures=sorted(failures, key=lambda one: one.path))


def storable_failure(failure: Failure) -> Failure:
    """A failure as a cache can keep it: escaped, of a length that fits, its numbers within int64."""
    path, reason = failure.path, failure.reason
    if _why_not(path, LONGEST_PATH):
        path = _escaped(path)
        if len(path.encode()) > LONGEST_PATH:
            # What tells two long ones apart may stand behind the cut.
            path = f"{path[:200]}...{sha256(path.encode()).hexdigest()[:16]}"
    if _why_not(reason, LONGEST_REASON):
        reason = _escaped(reason[:LONGEST_REASON])
    size, mtime_ns = (min(max(number, _LEAST), _MOST) for number in (failure.size, failure.mtime_ns))
    found = Failure(path, reason, size, mtime_ns=mtime_ns)
    return failure if found == failure else found


def _escaped(text: str) -> str:
    return escape(text).replace("\0", r"\x00")


def _names(ref: ImageRef) -> tuple[str | None, ...]:
    return ref.label, ref.group, ref.split


def _are_usual(images: Sequence[ImageRef]) -> bool:
    """Whether cheap tests find all of them to fit: 0.2 us an image, of which there may be millions."""
    for ref in images:
        path = ref.path
        if not (_LEAST <= ref.mtime_ns <= _MOST and 0 <= ref.size <= _MOST):
            return False
        if len(path) > LONGEST_PATH or not path.isascii() or "\0" in path:
            return False
    return True


def _fits(ref: ImageRef) -> bool:
    numbers = _LEAST <= ref.mtime_ns <= _MOST and 0 <= ref.size <= _MOST
    return numbers and not _why_not(ref.path, LONGEST_PATH)


def _reason(ref: ImageRef) -> str:
    for what, text in zip(("label", "group", "split"), _names(ref), strict=True):
        if text is not None and (why := _why_not(text, LONGEST_NAME)):
            shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
            return f"its {what} {shown} {why}"
    if why := _why_not(ref.path, LONGEST_PATH):
        return f"its path {why}"
    if not 0 <= ref.size <= _MOST:
        return f"claims {ref.size:,} bytes"
    return (
        f"its modification time is {ref.mtime_ns // 10**9:,} s from 1970; a feature cache keeps times from "
        "1677 to 2262, so give it another one (touch)"
    )


def _why_not(text: str, longest: int) -> str:
    """Why a cache cannot keep a text; empty if it can."""
    if "\0" in text:
        return "holds a zero byte, which a feature cache cannot keep"
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode, which a feature cache cannot keep"
    return f"has {length:,} bytes; a feature cache keeps {longest:,} at most" if length > longest else ""
