"""The file of predictions: CSV or JSON lines, one image a line, complete or not there.

CSV columns: ``path,label,score,label_1,score_1,...,label_k,score_k,rejected,novelty,error``. Scores are
probabilities. ``label`` and ``score`` are those of the first pair, but of an image that the classifier is too
unsure of ``rejected`` is 1 and ``label`` is ``unknown`` (another word if a class has that name); ``label_1``
is the best class all the same. A ``novelty`` above 1 is an image unlike those of training; it is empty where
the classifier knows of none. An image that could not be read has only path and error. What rejects
nothing (`classify.predict.imagenet`) has neither column. Cells are as `models.outputs.csv_rows` says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

import numpy as np

from fc7.classify.kinds import PREDICTIONS
from fc7.classify.predict.prediction_file import prediction_file
from fc7.extract.records import Failure, Listing, start_of
from fc7.models.common.terminal import data_stream
from fc7.models.outputs.csv_rows import CsvRows
from fc7.models.outputs.outputs import Destination, Output, claimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

Form = Literal["csv", "jsonl"]
_MANY_CLASSES = 100


@dataclass(frozen=True, slots=True)
class Line:
    """What is said of one image that could be read.

    Attributes
    ----------
    pairs : list of (str, float)
        Label and probability, the best first.
    novelty : float
        NaN where it is not known.
    """

    pairs: list[tuple[str, float]]
    rejected: bool
    novelty: float


class ListedFailures:
    """Failures that the listing itself met, given out among the images by path.

    Attributes
    ----------
    left : list of Failure
        Those not given out yet, sorted by path.
    """

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.left = sorted(failures, key=lambda failure: failure.path)

    def merged_into(self, paths: Sequence[str], failures: Sequence[Failure]) -> list[Failure]:
        """Those up to the end of a stretch of images, and the stretch's own, sorted by path."""
        last = max([*paths[-1:], *(failure.path for failure in failures)], default="")
        due = [failure for failure in self.left if failure.path <= last]
        del self.left[: len(due)]
        return sorted([*due, *failures], key=lambda failure: failure.path)


def shown_root(listing: Listing) -> str:
    """What turns a path of the listing into one that opens from the current folder."""
    names = {ref.origin.name for ref in listing.images}
    return start_of(names.pop() if len(names) == 1 else "")


class PredictionWriter:
    """Writes lines in the order of the listing. Use `open_predictions`."""

    def __init__(
        self, stream: TextIO, form: Form, classes: Sequence[str], top_k: int, root: str, unknown: str | None
    ) -> None:
        self._stream = stream
        self._form = form
        self._classes = list(classes)
        self._k = min(top_k, len(self._classes))
        self._root = root
        self._unknown = unknown
        self._csv = CsvRows(stream)
        if form == "csv":
            pairs = [name for i in range(1, self._k + 1) for name in (f"label_{i}", f"score_{i}")]
            unknown_cells = [] if unknown is None else ["rejected", "novelty"]
            self._csv.write(["path", "label", "score", *pairs, *unknown_cells, "error"])

    def write(
        self,
        paths: Sequence[str],
        probabilities: NDArray[np.float32],
        failures: Sequence[Failure],
        rejected: NDArray[np.bool_] | None = None,
        novelty: NDArray[np.float32] | None = None,
    ) -> None:
        """One line for each image, failures merged in by path.

        Parameters
        ----------
        probabilities : ndarray of shape (n_paths, n_classes)
        rejected : ndarray of shape (n_paths,), bool, or None
            None rejects none.
        novelty : ndarray of shape (n_paths,), float32, or None
        """
        order = best_first(probabilities, self._k)
        rejected = np.zeros(len(paths), bool) if rejected is None else rejected
        novelty = np.full(len(paths), np.nan, np.float32) if novelty is None else novelty
        lines: list[tuple[str, Line | str]] = [
            (path, Line([(self._classes[c], float(row[c])) for c in best], bool(unsure), float(unlike)))
            for path, row, best, unsure, unlike in zip(
                paths, probabilities, order, rejected, novelty, strict=True
            )
        ]
        lines += [(failure.path, failure.reason) for failure in failures]
        for path, content in sorted(lines, key=lambda line: line[0]):
            if self._form == "csv":
                self._csv_line(self._root + path, content)
            else:
                self._json_line(self._root + path, content)

    def _label(self, line: Line) -> str:
        return self._unknown if line.rejected and self._unknown is not None else line.pairs[0][0]

    def _csv_line(self, path: str, content: Line | str) -> None:
        if isinstance(content, str):
            unknown_cells = [] if self._unknown is None else ["", ""]
            self._csv.write([path, "", "", *[""] * (2 * self._k), *unknown_cells, content])
            return
        pairs = [value for label, score in content.pairs for value in (label, f"{score:.6f}")]
        unknown_cells = []
        if self._unknown is not None:
            unlike = "" if math.isnan(content.novelty) else f"{content.novelty:.4f}"
            unknown_cells = [str(int(content.rejected)), unlike]
        self._csv.write([path, self._label(content), pairs[1], *pairs, *unknown_cells, ""])

    def _json_line(self, path: str, content: Line | str) -> None:
        if isinstance(content, str):
            line: dict[str, object] = {"path": path, "error": content}
        else:
            top = [{"label": label, "score": round(score, 6)} for label, score in content.pairs]
            line = {"path": path, "label": self._label(content), "score": top[0]["score"]}
            if self._unknown is not None:
                unlike = None if math.isnan(content.novelty) else round(content.novelty, 4)
                line |= {"rejected": content.rejected, "novelty": unlike}
            line["top"] = top
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def best_first(probabilities: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """The k most probable classes of each row, of equals the one that comes first.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), float32
    k : int
        At least 1.

    Returns
    -------
    ndarray of shape (n, min(k, n_classes)), int
    """
    falling = -probabilities
    n, n_classes = falling.shape
    if n == 0 or n_classes < max(_MANY_CLASSES, 2 * k):
        return np.argsort(falling, axis=1, kind="stable")[:, :k]
    # To sort 1000 classes takes as long as to write the line; those that can be among the k are few.
    last = np.partition(falling, k - 1, axis=1)[:, k - 1 : k]
    # Put so that it holds for NaN too, which every sort puts last.
    row, column = np.nonzero(~(falling > last))
    order = np.lexsort((falling[row, column], row))
    first = np.searchsorted(row, np.arange(n))
    best: NDArray[np.intp] = column[order[first[:, None] + np.arange(k)]]
    return best


def is_stdout(out: Destination) -> bool:
    """Whether ``-`` was given as the place of an output."""
    return not isinstance(out, Output) and str(out) == "-"


@contextmanager
def open_predictions(
    out: Destination,
    form: Form | None,
    classes: Sequence[str],
    top_k: int,
    root: str = "",
    unknown: str | None = None,
) -> Iterator[PredictionWriter]:
    """A writer to `out`, which appears when the block ends well; ``-`` is stdout.

    Parameters
    ----------
    out : str, Path or Output
        On a terminal control characters of names are written out; into a file or a pipe go the very names.
    form : {"csv", "jsonl"} or None
        None goes by the suffix.
    root : str
        Put before every path.
    unknown : str or None
        What rejected images are called; None leaves out the columns of rejection and novelty.

    Raises
    ------
    StoppedError, Fc7Error
        As `classify.predict.prediction_file`: after an error or Ctrl-C the lines so far stay in ``OUT.part``.
    """
    if is_stdout(out):
        yield PredictionWriter(data_stream(), form or "csv", classes, top_k, root, unknown)
        return
    out = claimed(out, PREDICTIONS)
    form = form or ("jsonl" if out.path.suffix.lower() == ".jsonl" else "csv")
    with prediction_file(out, header_lines=int(form == "csv")) as stream:
        yield PredictionWriter(stream, form, classes, top_k, root, unknown)
