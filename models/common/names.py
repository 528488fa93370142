"""Names of classes and files, which may hold anything, on one line of bounded width; and mistyped ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from unicodedata import combining, east_asian_width

LONGEST_LABEL = 24


def shortened(text: str, longest: int = LONGEST_LABEL) -> str:
    """`text` with what cannot be printed (line breaks, escape codes) as question marks, cut at `longest`."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def label_text(label: str) -> str:
    """A label beside numbers: `shortened`, in quotes if it is a number itself.

    Examples
    --------
    >>> f"19 {label_text('7')}, 2 {label_text('stop')}"
    "19 '7', 2 stop"
    """
    text = shortened(label)
    return repr(text) if text.strip().replace(".", "").isdecimal() else text


def columns(text: str) -> int:
    """Terminal columns: ideographs take two, combining marks none."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def width_of(labels: Sequence[str]) -> int:
    """Columns of the widest label, and of the heading."""
    return max(columns(text) for text in ("class", *map(shortened, labels)))


def padded(label: str, width: int) -> str:
    """A label on `width` columns."""
    text = shortened(label)
    return text + " " * (width - columns(text))


def guess(name: str, names: Iterable[str]) -> str:
    """A question at the end of a message, with a space in front: which of `names` was meant; or nothing."""
    close = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
