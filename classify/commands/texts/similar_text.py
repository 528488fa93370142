"""What `similar` prints and writes."""

from __future__ import annotations

from pathlib import Path

from fc7.classify.kinds import SIMILAR_COLUMNS
from fc7.classify.similar.similar import SimilarImages
from fc7.models.common.names import shortened
from fc7.models.common.terminal import counted
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import Output


def similar_text(found: SimilarImages) -> str:
    """Each query, and a line for each of the images that are nearest to it."""
    lines = []
    for query in found.queries:
        lines.append(shortened(query.path, 90))
        lines += [
            f"  {each.cosine:6.3f}  {shortened(each.path, 60)}"
            + (f"  {shortened(each.label)}" if each.label else "")
            + ("  (the same file)" if each.same_file else "")
            for each in query.neighbours
        ]
    lines += [f"not read: {shortened(each.path, 60)}: {each.reason}" for each in found.failures]
    lines += [] if found.corrected is None else found.corrected.lines
    how = "" if found.recall is None else f", by {found.recall.describe()}"
    lines.append(
        f"compared with {counted(found.rows, 'image')} by {found.layer} in {found.seconds:.2f} s{how}"
    )
    return "\n".join(lines)


def similar_json(found: SimilarImages) -> dict[str, object]:
    """The same for a program."""
    return {
        "features": str(found.features),
        "layer": found.layer,
        "rows": found.rows,
        "seconds": round(found.seconds, 3),
        **({} if found.recall is None else {"recall": found.recall.share}),
        "queries": [
            {
                "path": query.path,
                "sha256": query.sha256,
                "neighbours": [
                    {
                        "path": each.path,
                        "label": each.label or None,
                        "cosine": round(each.cosine, 6),
                        "same_file": each.same_file,
                        "sha256": each.sha256,
                    }
                    for each in query.neighbours
                ],
            }
            for query in found.queries
        ],
        **({} if found.corrected is None else {"corrections": found.corrected.to_json()}),
        "failures": [{"path": each.path, "reason": each.reason} for each in found.failures],
    }


def write_similar_csv(found: SimilarImages, out: Output) -> Path:
    """All of them; `SIMILAR_COLUMNS` are its columns.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    lines = (
        (query.path, i, each.path, each.label, f"{each.cosine:.6f}", each.same_file, each.sha256)
        for query in found.queries
        for i, each in enumerate(query.neighbours, 1)
    )
    return write_table([SIMILAR_COLUMNS, *lines], out)
