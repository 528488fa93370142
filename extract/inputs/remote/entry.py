"""What a store says of a file, and the one number that tells whether it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from math import isfinite
from typing import Any

# s3fs, gcsfs, adlfs, sftp and local, http, memory.
_TIMES = ("LastModified", "mtime", "updated", "last_modified", "Last-Modified", "modified", "created")
_TAGS = ("ETag", "etag", "generation", "md5Hash", "Content-MD5", "content_md5")
# A cache keeps the number in int64, and a hash of up to 10**9 is added.
_LEAST, _MOST = -(2**63), 2**63 - 10**9


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a store.

    Attributes
    ----------
    name : str
        Its last component.
    size : int
        Bytes; 0 if the store does not say.
    token : int
        What changes when the content does (`change_token`).
    """

    name: str
    is_folder: bool
    size: int
    token: int


def entry_of(name: str, found: Mapping[str, Any]) -> Entry:
    """An entry from fsspec's description of a file."""
    return Entry(name, found.get("type") == "directory", _bytes(found.get("size")), token=change_token(found))


def change_token(found: Mapping[str, Any]) -> int:
    """One number that changes when an object does, from whatever its store says of it.

    Parameters
    ----------
    found : mapping
        fsspec's description of a file; its keys are each library's own.

    Returns
    -------
    int
        The modification time in nanoseconds since the epoch. Stores know it to the second: a time
        without a fraction gets a hash of the ETag (or the generation) as its fraction, so that
        an object replaced within one second is seen. An ETag without a time is a number below 2**62 of its
        own hash; neither is 0. A time that is none, or beyond 1677 to 2262, counts as none.
    """
    moment = next((found[key] for key in _TIMES if found.get(key) is not None), None)
    tag = next((str(found[key]) for key in _TAGS if found.get(key)), "")
    mark = int.from_bytes(sha256(tag.encode()).digest()[:8], "big") if tag else 0
    nanoseconds = _nanoseconds(moment)
    if nanoseconds is None or not _LEAST <= nanoseconds <= _MOST:
        return mark >> 2
    return nanoseconds + mark % 10**9 if nanoseconds % 10**9 == 0 else nanoseconds


def _bytes(size: Any) -> int:
    """A size that a store claims; 0 for what is none."""
    try:
        return max(0, int(size or 0))
    except (ValueError, TypeError, OverflowError):
        return 0


def _nanoseconds(moment: object) -> int | None:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            try:
                moment = parsedate_to_datetime(str(moment))  # HTTP's dates: RFC 9110, 5.6.7
            except (ValueError, TypeError, IndexError, OverflowError):
                return None
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    if isinstance(moment, int):
        return moment * 10**9
    return round(moment * 1e9) if isinstance(moment, float) and isfinite(moment * 1e9) else None
