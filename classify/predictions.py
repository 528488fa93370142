"""The file of predictions: CSV or JSON lines, one image a line, complete or not there.

CSV columns: ``path,label,score,label_1,score_1,...,label_k,score_k,error``; ``label`` and ``score`` are
those of the first pair, scores are probabilities. An image that could not be read has only path and error.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import numpy as np

from extract.stages import Failure
from models.errors import Fc7Error

if TYPE_CHECKING:
    from numpy.typing import NDArray

Form = Literal["csv", "jsonl"]


class PredictionWriter:
    """Writes lines in the order of the listing. Use `open_predictions`."""

    def __init__(self, stream: TextIO, form: Form, classes: Sequence[str], top_k: int, root: str) -> None:
        self._stream = stream
        self._form = form
        self._classes = list(classes)
        self._k = min(top_k, len(self._classes))
        self._root = root
        self._csv = csv.writer(stream, lineterminator="\n")
        if form == "csv":
            pairs = [name for i in range(1, self._k + 1) for name in (f"label_{i}", f"score_{i}")]
            self._csv.writerow(["path", "label", "score", *pairs, "error"])

    def write(
        self, paths: Sequence[str], probabilities: NDArray[np.float32], failures: Sequence[Failure]
    ) -> list[str]:
        """One line for each image, failures merged in by path; gives the predicted labels.

        Parameters
        ----------
        paths : sequence of str
        probabilities : ndarray of shape (n_paths, n_classes)
        failures : sequence of Failure
        """
        # A stable sort by -p: of equal scores the class that comes first wins.
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._k]
        lines: list[tuple[str, list[tuple[str, float]] | str]] = [
            (path, [(self._classes[c], float(row[c])) for c in best])
            for path, row, best in zip(paths, probabilities, order, strict=True)
        ]
        labels = [pairs[0][0] for _, pairs in lines if not isinstance(pairs, str)]
        lines += [(failure.path, failure.reason) for failure in failures]
        for path, content in sorted(lines, key=lambda line: line[0]):
            if self._form == "csv":
                self._csv_line(self._root + path, content)
            else:
                self._json_line(self._root + path, content)
        return labels

    def _csv_line(self, path: str, content: list[tuple[str, float]] | str) -> None:
        if isinstance(content, str):
            self._csv.writerow([path, "", "", *[""] * (2 * self._k), content])
            return
        pairs = [value for label, score in content for value in (label, f"{score:.6f}")]
        self._csv.writerow([path, *pairs[:2], *pairs, ""])

    def _json_line(self, path: str, content: list[tuple[str, float]] | str) -> None:
        if isinstance(content, str):
            line: dict[str, object] = {"path": path, "error": content}
        else:
            top = [{"label": label, "score": round(score, 6)} for label, score in content]
            line = {"path": path, **top[0], "top": top}
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")


@contextmanager
def open_predictions(
    out: str | Path, form: Form | None, classes: Sequence[str], top_k: int, root: str = ""
) -> Iterator[PredictionWriter]:
    """A writer to `out`, which appears when the block ends well; ``-`` is stdout.

    Parameters
    ----------
    out : str or Path
    form : {"csv", "jsonl"} or None
        None goes by the suffix.
    classes : sequence of str
    top_k : int
    root : str
        Put before every path.

    Raises
    ------
    Fc7Error
        If the file cannot be written. After an error or Ctrl-C the lines so far stay in ``OUT.part``.
    """
    if str(out) == "-":
        yield PredictionWriter(sys.stdout, form or "csv", classes, top_k, root)
        return
    path = Path(out)
    form = form or ("jsonl" if path.suffix.lower() == ".jsonl" else "csv")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield PredictionWriter(stream, form, classes, top_k, root)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as exc:
        raise Fc7Error(
            f"{path}: cannot be written ({exc.strerror or exc}); choose another -o or free the disk"
        ) from exc
