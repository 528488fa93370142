"""What `suspects` prints and writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from fc7.classify.fit.suspects import Suspect
from fc7.classify.fit.suspects_from_cache import FoundSuspects
from fc7.classify.kinds import SUSPECT_COLUMNS, SUSPECTS
from fc7.models.common.names import shortened
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import Destination, claimed


def suspects_text(found: FoundSuspects, top: int) -> str:
    """The first `top` of them, a line each, for people."""
    lines = [
        f"{i:4}  {shortened(each.path, 60)}: labelled {shortened(each.label)}, "
        f"rather {shortened(each.suggested)} ({_why(each)})"
        for i, each in enumerate(found.suspects[:top], 1)
    ]
    more = len(found.suspects) - len(lines)
    if more > 0:
        lines.append(f"{more} more are less suspicious; --top and --csv give them")
    lines.append(
        f"{len(found.suspects)} of {found.labelled} labels are contradicted by copies or by heads that have "
        f"not seen the image (softmax, C = {found.C:g}); an image may also just be hard: look at it"
    )
    if found.n_unknown:
        lines.append(f"{found.n_unknown} images could not be classified: each is the only one of its class")
    if found.problem:
        lines.append(f"note: {found.problem}")
    return "\n".join(lines)


def suspects_json(found: FoundSuspects, top: int) -> dict[str, object]:
    """The same for a program."""
    return {
        "labelled": found.labelled,
        "unjudged": found.n_unknown,
        "C": found.C,
        "notes": [found.problem] if found.problem else [],
        "n_suspects": len(found.suspects),
        "suspects": [
            {
                "path": each.path,
                "label": each.label,
                "suggested": each.suggested,
                "confidence": _number(each.confidence),
                "suggested_confidence": _number(each.suggested_confidence),
                "copy": each.twin or None,
            }
            for each in found.suspects[:top]
        ],
    }


def write_suspects_csv(suspects: Sequence[Suspect], out: Destination) -> Path:
    """All of them, ``path,label,suggested,confidence,suggested_confidence,copy``, best suspects first.

    Raises
    ------
    UsageError
        If something else stands there.
    Fc7Error
        If it cannot be written.
    """
    out = claimed(out, SUSPECTS, "--csv")
    lines = (
        (s.path, s.label, s.suggested, _six(s.confidence), _six(s.suggested_confidence), s.twin)
        for s in suspects
    )
    return write_table([SUSPECT_COLUMNS, *lines], out)


def _six(p: float) -> str:
    return "" if math.isnan(p) else f"{p:.6f}"


def _why(suspect: Suspect) -> str:
    if suspect.twin:
        return f"looks the same as {shortened(suspect.twin, 60)}"
    return f"{suspect.confidence:.1%} against {suspect.suggested_confidence:.1%}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
