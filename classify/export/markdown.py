"""Text from elsewhere inside Markdown: whatever it holds, it is shown and does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# CommonMark 0.31, section 2.4: any ASCII punctuation may be escaped by a backslash. These begin something:
# emphasis, code, links, tables, HTML, entities, headings, lists, strikethrough, mathematics, a link's colon.
_ACTIVE = frozenset("\\`*_{}[]()<>#+-!|~&$:@=^\"'")


def plain(text: str) -> str:
    """A text on one line as Markdown that shows exactly it; control characters are shown as escapes.

    Dots in ``www.`` and after digits are left alone where nothing comes of them: a list needs a space
    behind, and the names here never start a line.
    """
    if not text.strip() or text != text.strip():
        # Spaces at the ends would be trimmed, and a name of spaces alone would not be seen.
        return plain(repr(text))
    shown = []
    for c in text:
        if c in _ACTIVE:
            shown.append(f"\\{c}")
        elif c.isprintable() or c == " ":
            shown.append(c)
        else:
            shown.append(f"\\{c.encode('unicode_escape').decode()}")
    return "".join(shown)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> list[str]:
    """Lines of a table (GitHub Flavored Markdown, section 4.10); its cells are Markdown on one line.

    Parameters
    ----------
    align : str
        A letter a column, ``l`` or ``r``; empty aligns the first left and the others, numbers, right.
    """
    rules = {"l": ":--", "r": "--:"}
    line = "| " + " | ".join(header) + " |"
    rule = "| " + " | ".join(rules[letter] for letter in align or "l" + "r" * (len(header) - 1)) + " |"
    return [line, rule, *("| " + " | ".join(row) + " |" for row in rows)]
