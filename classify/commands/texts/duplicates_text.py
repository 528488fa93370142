"""What `duplicates` prints and writes: label conflicts first, then groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fc7.classify.commands.texts.suspects_text import corrected_lines
from fc7.classify.kinds import DUPLICATE_COLUMNS, DUPLICATES
from fc7.models.common.terminal import counted, one_line
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import Destination, claimed

if TYPE_CHECKING:
    from fc7.classify.duplicates.find import Duplicates, Pair
    from fc7.classify.fit.duplicates_of_cache import NamedDuplicates


def duplicates_line(found: Duplicates, verbose: bool) -> str:
    """How many there are, and with `verbose` by which threshold, in a line."""
    how = f" ({found.describe()})" if verbose else ""
    if not found.pairs:
        return f"none were found{how}"
    grouped = sum(map(len, found.groups))
    left = counted(found.n_left_apart, "other near pair was", "other near pairs were")
    why = ", as chains of pairs join different pictures" if verbose else ""
    apart = f"; {left} left apart{why}" if found.n_left_apart else ""
    if not grouped:
        return f"none were grouped{how}{apart}"
    pictures, exact = len(found.groups), _n_exact(found)
    kinds = [
        counted(n, one, many)
        for n, one, many in (
            (exact, "exact copy", "exact copies"),
            (grouped - pictures - exact, "near-copy", "near-copies"),
        )
        if n
    ]
    # That near-copies are one picture is what a threshold says, and may be wrong.
    are = "show" if exact == grouped - pictures else "look like"
    return f"{grouped} images {are} {counted(pictures, 'picture')} ({', '.join(kinds)}){how}{apart}"


def _n_exact(found: Duplicates) -> int:
    """Exact copies of a grouped image; a pair that is left apart is in no group."""
    return sum(pair.exact and found.group[pair.first] == found.group[pair.second] for pair in found.pairs)


def duplicates_report(named: NamedDuplicates, verbose: bool = False) -> str:
    """All of it, for people; with `verbose` the thresholds too."""
    cache, found = named.cache, named.found
    images = counted(len(cache.paths), "image")
    lines = [
        f"{images} of {cache.identity.network}, {cache.layer}: {duplicates_line(found, verbose)}",
        *(() if cache.corrected is None else cache.corrected.lines),
    ]
    conflicts = named.conflicts
    if conflicts:
        pairs = counted(len(conflicts), "pair")
        lines += ["", f"{pairs} under two labels; where both show one picture, one label is wrong:"]
        lines += [
            f"  {_cosine(pair)}  {_name(named, pair.first)}  {_name(named, pair.second)}"
            for pair in conflicts
        ]
    straddling = named.straddling
    if straddling:
        lines += [
            "",
            f"{counted(len(straddling), 'pair')} of a training and a test image by the cache's own split:",
        ]
        lines += [
            f"  {_cosine(pair)}  {_name(named, pair.first)}  {_name(named, pair.second)}"
            for pair in straddling
        ]
    groups = found.groups
    if groups:
        lines += ["", f"{counted(len(groups), 'picture that is', 'pictures that are')} there more than once:"]
        for rows in groups:
            lines += [f"  {len(rows)} images", *(f"    {_name(named, row)}" for row in rows)]
    return "\n".join(lines)


def duplicates_json(named: NamedDuplicates) -> dict[str, object]:
    """The same for a program."""
    cache = named.cache
    return {
        "network": cache.identity.network,
        "layer": cache.layer,
        "n": len(cache.paths),
        **named.found.to_json(),
        "corrections": None if cache.corrected is None else cache.corrected.to_json(),
        "label_conflicts": [_pair_json(named, pair) for pair in named.conflicts],
        "split_conflicts": [_pair_json(named, pair) for pair in named.straddling],
        "duplicates": [[_row_json(named, row) for row in rows] for rows in named.found.groups],
        "all_pairs": [_pair_json(named, pair) for pair in _ordered(named)],
    }


def folders_of(named: NamedDuplicates) -> list[tuple[str, str]]:
    """Path of each image that is there more than once, and a folder's name for each picture."""
    y = named.cache.y
    folders = []
    for i, rows in enumerate(named.found.groups, 1):
        labels = {str(y[row]) for row in rows if y[row]}
        name = f"{i:04} labels differ" if len(labels) > 1 else " ".join([f"{i:04}", *labels])
        folders += [(named.cache.paths[row], name) for row in rows]
    return folders


def duplicates_csv(named: NamedDuplicates, out: Destination) -> Path:
    """Write a line for each image that is in a pair, those under two labels first.

    Columns: ``path,sha256,label,suggested,group,split`` of the image, ``cosine,exact,thumbnails,
    different_labels`` of its pair, one under two labels if it is in one, else the nearest, and
    ``other_group,other_path,other_label,other_split`` of the other image of that. Rows of one picture have
    the same number as group. `thumbnails`: found by these. `suggested`: the label of more than half of the
    picture's labelled images, where this one's is another.

    The table is one of corrections that corrects nothing yet; those that were given come last.

    Raises
    ------
    UsageError
        If something else stands there.
    Fc7Error
        If it cannot be written.
    """
    out = claimed(out, DUPLICATES, "--csv")
    pair_of: dict[int, Pair] = {}
    for pair in _ordered(named):
        for row in (pair.first, pair.second):
            pair_of.setdefault(row, pair)
    suggested = named.suggested
    lines = [_cells(named, row, pair, suggested=suggested.get(row, "")) for row, pair in pair_of.items()]
    listed = {named.cache.paths[row] for row in pair_of}
    before = corrected_lines(named.cache.corrected, listed, len(DUPLICATE_COLUMNS))
    return write_table([DUPLICATE_COLUMNS, *lines, *before], out)


def _cells(named: NamedDuplicates, row: int, pair: Pair, suggested: str) -> list[object]:
    cache, group = named.cache, named.found.group
    other = pair.second if row == pair.first else pair.first
    flags = [str(flag).lower() for flag in (pair.exact, pair.greys, named.conflicting(pair))]
    image = (cache.paths[row], cache.sha256[row], cache.y[row], suggested, group[row], cache.splits[row])
    beside = (group[other], cache.paths[other], cache.y[other], cache.splits[other])
    return [*image, f"{pair.cosine:.6f}", *flags, *beside]


def _ordered(named: NamedDuplicates) -> list[Pair]:
    return sorted(named.found.pairs, key=lambda pair: not named.conflicting(pair))


def _pair_json(named: NamedDuplicates, pair: Pair) -> dict[str, object]:
    return {
        "cosine": round(pair.cosine, 8),
        "exact": pair.exact,
        "thumbnails": pair.greys,
        "different_labels": named.conflicting(pair),
        "images": [_row_json(named, pair.first), _row_json(named, pair.second)],
    }


def _row_json(named: NamedDuplicates, row: int) -> dict[str, object]:
    cache = named.cache
    return {
        "path": cache.paths[row],
        "label": str(cache.y[row]) or None,
        "group": str(cache.groups[row]) or None,
        "split": str(cache.splits[row]) or None,
    }


def _cosine(pair: Pair) -> str:
    return "exact " if pair.exact else "pixels" if pair.greys else f"{pair.cosine:.4f}"


def _name(named: NamedDuplicates, row: int) -> str:
    """Path and label on one line, whatever is in them."""
    label = str(named.cache.y[row])
    return one_line(named.cache.paths[row] + (f" ({label})" if label else ""))
