"""Names of classes and files, which may hold anything, on one line of bounded width."""

from __future__ import annotations

LONGEST_LABEL = 24


def one_line(text: str, longest: int = LONGEST_LABEL) -> str:
    """`text` with what cannot be printed (line breaks, escape codes) as question marks, cut at `longest`."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
