"""How much a file may ask for before it is taken for an attack. Each figure is stated in the message."""

from __future__ import annotations

from fc7.models.common.errors import UnsafeFileError

MAX_MEMBER_BYTES = 256 << 20
"""Largest image in an archive; it is held in memory, once for every image decoded at once."""

MAX_MEMBERS = 2_000_000
"""Most members of one archive: ImageNet's 1.28 million fit. Larger sets are kept in shards."""

FREE_BYTES = 1 << 30
"""Up to this size a file may expand by any factor."""

MOST_EXPANSION = 200
"""Beyond that, by this factor at most. Deflate's own limit is 1032 (zlib.net, "Maximum Compression
Factor"), which only made-up data reaches; bzip2 and xz go further still."""


def check_expansion(name: str, expanded: int, stored: int) -> None:
    """Refuse what unfolds from next to nothing.

    Parameters
    ----------
    name : str
        The file, for the message.
    expanded : int
        Bytes that it claims, or has given so far.
    stored : int
        Bytes that it takes on the disk.

    Raises
    ------
    UnsafeFileError
    """
    if expanded > FREE_BYTES and expanded > MOST_EXPANSION * stored:
        raise UnsafeFileError(
            f"{name}: {stored:,} bytes that expand to {expanded:,} or more; refused. At most "
            f"{MOST_EXPANSION} times is read beyond {FREE_BYTES:,} bytes; unpack it yourself if you trust it"
        )


def check_members(name: str, count: int) -> None:
    """Refuse an archive whose list of members would fill the memory.

    Raises
    ------
    UnsafeFileError
    """
    if count > MAX_MEMBERS:
        raise UnsafeFileError(
            f"{name}: more than {MAX_MEMBERS:,} members; refused. Split it into shards, or unpack it"
        )
