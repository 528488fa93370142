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
from dataclasses import dataclass, field, replace
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
class Prediction:
    """What is said of one image; of one that could not be read, `error` alone.

    Attributes
    ----------
    path : str
        As it opens from the current folder.
    label : str
        That of the first pair, or what rejected images are called.
    pairs : list of (str, float)
        Label and probability, the best first; empty where there is an error.
    rejected : bool or None
        None where nothing rejects.
    novelty : float
        NaN where it is not known.
    sha256 : str
        Of the content; empty where it is not known.
    probabilities : ndarray of shape (n_classes,), float32
        In the order of the classifier's classes; empty where there is an error.
    """

    path: str
    label: str = ""
    pairs: Sequence[tuple[str, float]] = ()
    rejected: bool | None = None
    novelty: float = math.nan
    sha256: str = ""
    error: str = ""
    probabilities: NDArray[np.float32] = field(
        default_factory=lambda: np.empty(0, np.float32), compare=False, repr=False
    )

    @property
    def score(self) -> float:
        """The highest probability; of an error 0."""
        return self.pairs[0][1] if self.pairs else 0.0

    def to_json(self) -> dict[str, object]:
        """As JSON lines have it."""
        if self.error:
            return {"path": self.path, "error": self.error}
        top = [{"label": label, "score": round(score, 6)} for label, score in self.pairs]
        line: dict[str, object] = {"path": self.path, "label": self.label, "score": top[0]["score"]}
        if self.rejected is not None:
            unlike = None if math.isnan(self.novelty) else round(self.novelty, 4)
            line |= {"rejected": self.rejected, "novelty": unlike}
        return line | {"top": top}

    def cells(self, n_pairs: int, rejects: bool) -> list[str]:
        """As a line of CSV has it.

        Parameters
        ----------
        n_pairs : int
            How many pairs a line holds.
        rejects : bool
            Whether it has the columns of rejection and novelty.
        """
        if self.error:
            return [self.path, "", "", *[""] * (2 * n_pairs + 2 * rejects), self.error]
        pairs = [value for label, score in self.pairs for value in (label, f"{score:.6f}")]
        unlike = "" if math.isnan(self.novelty) else f"{self.novelty:.4f}"
        unknown = [str(int(bool(self.rejected))), unlike] if rejects else []
        return [self.path, self.label, pairs[1], *pairs, *unknown, ""]


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


@dataclass(frozen=True, slots=True)
class PredictionFormat:
    """What a line of predictions holds.

    Attributes
    ----------
    classes : sequence of str
    top_k : int
        Label-score pairs, at most the number of classes.
    root : str
        Put before every path.
    unknown : str or None
        What rejected images are called; None leaves out the columns of rejection and novelty.
    form : {"csv", "jsonl"} or None
        None goes by the suffix of the file, and is CSV where there is none.
    keep : bool
        Keep what was written, for who shows it.
    """

    classes: Sequence[str]
    top_k: int
    root: str = ""
    unknown: str | None = None
    form: Form | None = None
    keep: bool = False


class PredictionWriter:
    """Writes lines in the order of the listing. Use `open_predictions`.

    Attributes
    ----------
    kept : list of Prediction
        What was written so far; empty unless it was asked for.
    """

    def __init__(self, stream: TextIO | None, wanted: PredictionFormat) -> None:
        self.kept: list[Prediction] = []
        self._keep = wanted.keep
        self._stream = stream
        self._classes = list(wanted.classes)
        self._k = min(wanted.top_k, len(self._classes))
        self._root = wanted.root
        self._unknown = wanted.unknown
        self._csv = CsvRows(stream) if stream is not None and wanted.form != "jsonl" else None
        if self._csv is not None:
            pairs = [name for i in range(1, self._k + 1) for name in (f"label_{i}", f"score_{i}")]
            unknown_cells = [] if self._unknown is None else ["rejected", "novelty"]
            self._csv.write(["path", "label", "score", *pairs, *unknown_cells, "error"])

    def write(
        self,
        paths: Sequence[str],
        probabilities: NDArray[np.float32],
        failures: Sequence[Failure],
        rejected: NDArray[np.bool_] | None = None,
        novelty: NDArray[np.float32] | None = None,
        sha256: Sequence[str] = (),
    ) -> list[str]:
        """One line for each image, failures merged in by path; gives the labels that were written.

        Parameters
        ----------
        probabilities : ndarray of shape (n_paths, n_classes)
        rejected : ndarray of shape (n_paths,), bool, or None
            None rejects none.
        novelty : ndarray of shape (n_paths,), float32, or None
        sha256 : sequence of n_paths str, or empty
            Content hashes, for those that are kept.
        """
        order = best_first(probabilities, self._k)
        rejected = np.zeros(len(paths), bool) if rejected is None else rejected
        novelty = np.full(len(paths), np.nan, np.float32) if novelty is None else novelty
        done = [
            self._prediction(path, row, best, rejected=bool(unsure), novelty=float(unlike), sha256=digest)
            for path, row, best, unsure, unlike, digest in zip(
                paths, probabilities, order, rejected, novelty, sha256 or [""] * len(paths), strict=True
            )
        ]
        unread = [Prediction(self._root + failure.path, error=failure.reason) for failure in failures]
        for prediction in sorted([*done, *unread], key=lambda prediction: prediction.path):
            self._put(prediction)
        return [prediction.label for prediction in done]

    def _prediction(
        self,
        path: str,
        row: NDArray[np.float32],
        best: NDArray[np.intp],
        rejected: bool,
        novelty: float,
        sha256: str,
    ) -> Prediction:
        pairs = [(self._classes[c], float(row[c])) for c in best]
        label = self._unknown if rejected and self._unknown is not None else pairs[0][0]
        unsure = None if self._unknown is None else rejected
        return Prediction(
            self._root + path,
            label=label,
            pairs=pairs,
            rejected=unsure,
            novelty=novelty,
            sha256=sha256,
            error="",
            probabilities=row,
        )

    def _put(self, prediction: Prediction) -> None:
        if self._keep:
            self.kept.append(prediction)
        if self._csv is not None:
            self._csv.write(prediction.cells(self._k, self._unknown is not None))
        elif self._stream is not None:
            self._stream.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")


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


def is_stdout(out: Destination | None) -> bool:
    """Whether ``-`` was given as the place of an output."""
    return not isinstance(out, Output) and str(out) == "-"


@contextmanager
def open_predictions(out: Destination | None, wanted: PredictionFormat) -> Iterator[PredictionWriter]:
    """A writer to `out`, which appears when the block ends well; ``-`` is stdout.

    Parameters
    ----------
    out : str, Path, Output or None
        None writes nothing. On a terminal control characters of names are written out; into a file or a pipe
        go the very names.

    Raises
    ------
    StoppedError, Fc7Error
        As `classify.predict.prediction_file`: after an error or Ctrl-C the lines so far stay in ``OUT.part``.
    """
    if out is None or is_stdout(out):
        yield PredictionWriter(None if out is None else data_stream(), wanted)
        return
    out = claimed(out, PREDICTIONS)
    form = wanted.form or ("jsonl" if out.path.suffix.lower() == ".jsonl" else "csv")
    with prediction_file(out, header_lines=int(form == "csv")) as stream:
        yield PredictionWriter(stream, replace(wanted, form=form))
