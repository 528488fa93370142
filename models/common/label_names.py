"""Names of classes: the form they are compared in, the order they stand in, and which of them look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_SHOWN = 3
# Unicode calls these marks, though they only choose between drawings of the character before them.
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)


def natural_key(text: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts ``frame2`` before ``frame10``, and ``2`` before ``10``; else by code point.

    Examples
    --------
    >>> sorted(["10", "2", "b", "a10", "a9"], key=natural_key)
    ['2', '10', 'a9', 'a10', 'b']
    """
    parts = re.split(r"([0-9]+)", text)
    # Of two numbers without leading zeros the longer is the larger: Python reads no more than 4,300 digits.
    numbers = [part.lstrip("0") if i % 2 else "" for i, part in enumerate(parts)]
    key = [
        (len(number), number) if i % 2 else (0, part)
        for i, (part, number) in enumerate(zip(parts, numbers, strict=True))
    ]
    return key, text


def in_order(labels: Iterable[str]) -> list[str]:
    """Each label once, numbers in them sorted as numbers: the order of classes everywhere."""
    return sorted(set(labels), key=natural_key)


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def lookalikes(classes: Sequence[str]) -> list[str]:
    """A sentence for each set of class names that people cannot, or hardly, tell apart."""
    same: dict[str, list[str]] = {}
    for name in classes:
        same.setdefault(folded_name(name), []).append(name)
    return [
        f"classes {', '.join(repr(name) for name in names)} differ only in case, spaces, Unicode form or "
        "characters that cannot be seen; they were kept apart: if one class is meant, give them one name"
        for names in same.values()
        if len(names) > 1
    ]


def folded_name(name: str) -> str:
    """A name without case, spacing and what is not drawn, as most of Unicode's category Cf."""
    drawn = (
        c
        for c in unicodedata.normalize("NFKC", name).casefold()
        if unicodedata.category(c) != "Cf" and ord(c) not in _VARIATION_SELECTORS
    )
    return " ".join("".join(drawn).split())
