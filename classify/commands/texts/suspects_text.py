"""What `suspects` prints and writes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from fc7.classify.fit.suspects import Suspect, Suspects
from fc7.classify.kinds import SUSPECT_COLUMNS, SUSPECTS
from fc7.extract.inputs.tables.corrections import Corrected
from fc7.models.common.names import shortened
from fc7.models.common.terminal import counted
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import Destination, claimed


def suspects_text(found: Suspects, listed: Sequence[Suspect], top: int, notes: Sequence[str] = ()) -> str:
    """The first `top` of those listed, a line each, then what they rest on, and notes, for people."""
    lines = [
        f"{i:4}  {shortened(each.path, 60)}: {shortened(each.label)}, suggested {shortened(each.suggested)} "
        f"({_why(each)})"
        for i, each in enumerate(listed[:top], 1)
    ]
    if len(listed) > len(lines):
        lines.append(f"and {len(listed) - len(lines)} more; --top and --csv give them")
    lines += found.describe()
    if found.others and len(listed) == len(found.named):
        lines.append(
            f"{counted(len(found.others), 'other label is', 'other labels are')} contradicted less surely "
            "and not listed; --all lists them too"
        )
    lines += [f"note: {note}" for note in (found.problem, *notes) if note]
    return "\n".join(lines)


def suspects_json(found: Suspects, listed: Sequence[Suspect], notes: Sequence[str] = ()) -> dict[str, object]:
    """The same for a program, with those of `listed`."""
    return {
        "labelled": found.labelled,
        "unclassified": found.n_unknown,
        "C": found.C,
        "accuracy": _number(found.accuracy),
        "notes": [note for note in (found.problem, *notes) if note],
        "n_suspects": len(found.named),
        "expected_wrong": round(found.expected_wrong, 3),
        "weak": found.is_weak,
        "n_others": len(found.others),
        "corrections": None if found.corrected is None else found.corrected.to_json(),
        "suspects": [
            {
                "path": each.path,
                "label": each.label,
                "suggested": each.suggested,
                "confidence": _number(each.confidence),
                "suggested_confidence": _number(each.suggested_confidence),
                "p_wrong": _number(each.p_wrong),
                "copy": each.twin or None,
            }
            for each in listed
        ],
    }


def write_suspects_csv(
    suspects: Sequence[Suspect], out: Destination, corrected: Corrected | None = None
) -> Path:
    """All of them, best suspects first; `SUSPECT_COLUMNS` are its columns.

    The table is one of corrections that corrects nothing yet. Those that were given come last, so that it
    can take their place.

    Parameters
    ----------
    corrected : Corrected or None
        What was given.

    Raises
    ------
    UsageError
        If something else stands there.
    Fc7Error
        If it cannot be written.
    """
    out = claimed(out, SUSPECTS, "--csv")
    lines = (
        (
            *(s.path, s.sha256, s.label, s.suggested, _six(s.confidence), _six(s.suggested_confidence)),
            *(s.twin, _six(s.p_wrong)),
        )
        for s in suspects
    )
    before = corrected_lines(corrected, {s.path for s in suspects}, len(SUSPECT_COLUMNS))
    return write_table([SUSPECT_COLUMNS, *lines, *before], out)


def corrected_lines(
    corrected: Corrected | None, listed: Collection[str], width: int
) -> Iterator[tuple[str, ...]]:
    """Corrections of images that a table does not list, as lines of it: path, sha256, label, then nothing."""
    for image in () if corrected is None else corrected.images:
        if image.path not in listed:
            yield (image.path, image.sha256, image.label, *[""] * (width - 3))


def _six(p: float) -> str:
    return "" if math.isnan(p) else f"{p:.6f}"


def _why(suspect: Suspect) -> str:
    if suspect.twin:
        return f"looks the same as {shortened(suspect.twin, 60)}"
    return f"{suspect.confidence:.1%} against {suspect.suggested_confidence:.1%}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
