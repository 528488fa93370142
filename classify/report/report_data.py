"""Everything that a report says, as plain records: gathered once, drawn and written by others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.rejection import Coverage
from fc7.classify.fit.learning_verdict import LearningCurve
from fc7.classify.fit.next_steps import NextStep
from fc7.classify.fit.suspects import Suspects
from fc7.classify.metrics.metrics import Metrics
from fc7.classify.metrics.reliability import Reliability
from fc7.extract.records import Failure


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Labelled images of one class: in training, in the test set, in neither."""

    label: str
    train: int
    test: int
    other: int


@dataclass(frozen=True, slots=True)
class Headline:
    """The metric that counts.

    Attributes
    ----------
    accuracy, low, high : float
        With its 95 % interval (Wilson).
    log_loss, brier, calibration_error : float
        NaN where there is none.
    evaluated : str
        What these images are, as the end of "evaluated on".
    """

    accuracy: float
    low: float
    high: float
    n: int
    n_correct: int
    mean_recall: float
    log_loss: float
    brier: float
    calibration_error: float
    top_k: dict[int, float]
    evaluated: str


@dataclass(frozen=True, slots=True)
class CvPoint:
    """One C of the cross-validation: `classify.fit.cross_validate.CvResult` as the classifier records it."""

    head: str
    C: float
    accuracy: float
    standard_error: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """An image with what is said of it.

    Attributes
    ----------
    row : int
        Of the cache.
    """

    row: int
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class ImageGrid:
    """Images that belong together: of one class, or behind one cell of the confusion matrix.

    Attributes
    ----------
    images : tuple of Shown
        At most as many as fit into a report.
    n : int
        How many there are.
    others : tuple of str
        Paths of some that are not shown.
    """

    title: str
    images: tuple[Shown, ...]
    n: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Projection:
    """Feature rows in two dimensions.

    Attributes
    ----------
    points : ndarray of shape (n, 2), float64
    code : ndarray of shape (n,), intp
        Class of each, an index into the report's classes.
    rows : ndarray of shape (n,), intp
        Where each is in the cache.
    n_rows : int
        How many rows there are; `points` may be a part of them.
    method : {"PCA", "t-SNE"}
    explained : float or None
        Share of the variance in the two dimensions of PCA.
    """

    points: NDArray[np.float64]
    code: NDArray[np.intp]
    rows: NDArray[np.intp]
    n_rows: int
    method: str
    explained: float | None


@dataclass(frozen=True, slots=True)
class MapPoint:
    """An image on the map of the features.

    Attributes
    ----------
    x, y : float
        In the map's units (`classify.report.feature_map`), from its upper left corner.
    code : int
        Of its label, an index into the report's classes.
    row : int
        Of the cache.
    text : str
        Label, and the prediction of a test image.
    wrong : bool
        Whether it is a test image with a wrong prediction.
    pictured : bool
        Whether the page has a picture of it.
    """

    x: float
    y: float
    code: int
    row: int
    path: str
    text: str
    wrong: bool
    pictured: bool


@dataclass(frozen=True, slots=True)
class DuplicateGrids:
    """Images that are, or nearly are, one.

    Attributes
    ----------
    grids : tuple of ImageGrid
        Groups whose labels differ first.
    n_groups, n_images, n_disagreeing : int
        Of all groups, not only those shown.
    how : str
        What counted as a duplicate.
    leakage : tuple of (name, accuracy, low, high)
        Accuracy with its 95 % interval with the copies kept on one side, and with copies on both; empty if
        no copy was grouped, or that is not known.
    """

    grids: tuple[ImageGrid, ...]
    n_groups: int
    n_images: int
    n_disagreeing: int
    how: str
    leakage: tuple[tuple[str, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """A report before it is drawn. What does not exist is None, and `absent` says why.

    Attributes
    ----------
    subject : tuple of (name, value)
        What was measured and on what.
    warnings : tuple of str
        What a reader must know before any metric.
    next_steps : tuple of NextStep
        What to do with what was found.
    classes : tuple of str
        The classifier's in order, then labels it does not know.
    n_images, n_rows, n_labelled : int
        Images = rows + failures.
    metrics : Metrics or None
        Of the evaluated images in this cache.
    cells : dict of (int, int) to ImageGrid
        (truth, prediction) -> the evaluated images behind that cell.
    samples : tuple of ImageGrid
        A few images of each class.
    places : tuple of str
        Where extract found the images.
    mistakes : tuple of Shown
        Most confident first.
    suspects : Suspects or None
        As the command `suspects` names them.
    coverage : Coverage or None
        Of the evaluated images.
    sha256 : tuple of str
        Of each row's image.
    provenance : tuple of (name, value)
    notes : tuple of str
        What `fit` noted.
    absent : dict of str to str
        Section -> why it is not there.
    truth : tuple of str
        What corrections did to the labels, and whether the classifier was fitted on the same.
    """

    subject: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    next_steps: tuple[NextStep, ...]
    classes: tuple[str, ...]
    counts: tuple[ClassCount, ...]
    n_images: int
    n_rows: int
    n_labelled: int
    headline: Headline | None
    metrics: Metrics | None
    cells: dict[tuple[int, int], ImageGrid]
    samples: tuple[ImageGrid, ...]
    places: tuple[str, ...]
    mistakes: tuple[Shown, ...]
    suspects: Suspects | None
    reliability: Reliability | None
    coverage: Coverage | None
    reject_below: float | None
    tuning: tuple[CvPoint, ...]
    learning: LearningCurve | None
    map: Projection | None
    map_points: tuple[MapPoint, ...]
    duplicates: DuplicateGrids | None
    failures: tuple[Failure, ...]
    sha256: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    absent: dict[str, str]
    truth: tuple[str, ...] = ()
