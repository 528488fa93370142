"""Tables for people: columns under their headings, as wide as they need or as there is room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_GAP = "  "
# No ellipsis: a console of Windows may not have the sign.
_CUT = ".."


def text_table(columns: Mapping[str, bool], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their headings, two spaces apart; True in `columns` sets one flush right."""
    return _drawn(columns, rows, _widths(columns, rows))


def fitted_table(
    columns: Mapping[str, bool],
    rows: Sequence[Sequence[str]],
    width: int,
    least: Sequence[tuple[str, int]],
) -> str:
    """As `text_table`, in lines of at most `width` characters if that can be.

    Parameters
    ----------
    least : sequence of (str, int)
        Which columns give way, in this order, and down to what width. A cell that is too long then is
        cut; the row's first cell, its name, is not, and has a line of its own.
    """
    widths = _widths(columns, rows)
    names = [next(iter(columns)), *(row[0] for row in rows)]
    for column, minimum in least:
        at = list(columns).index(column)
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        widths[at] = min(widths[at], max(minimum, widths[at] - excess))
        if at == 0:
            widths[0] = max(len(name) for name in names if len(name) <= widths[0])
    fitted: list[Sequence[str]] = []
    for name, *others in rows:
        cells = [_cut(cell, width) for cell, width in zip(others, widths[1:], strict=True)]
        fitted += [(name, *cells)] if len(name) <= widths[0] else [(name,), ("", *cells)]
    return _drawn(columns, fitted, widths)


def _widths(columns: Mapping[str, bool], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]


def _drawn(columns: Mapping[str, bool], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    return "\n".join(
        _GAP.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, columns.values(), strict=False)
        ).rstrip()
        for line in (tuple(columns), *rows)
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - len(_CUT)].rstrip() + _CUT
