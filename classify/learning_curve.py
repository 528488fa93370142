"""Accuracy against images per class: would more images help?

The test part is fixed; of each class's training images 1/2, 1/4, 1/8, ... are drawn, several times over,
groups and copies whole, and a head is fitted on them. C is tuned once, on the whole training part, and kept:
tuning it anew for every point would cost ten times as much, and can only lift the curve's left end.

Whether more images would help is read off the last doubling. Let d be the accuracy of all training images
minus the mean accuracy of half of them, on the same test images, and s its standard error: the scatter of
the images' own differences and that of the draws, in quadrature. Learning curves flatten (Cortes et al. 1994,
"Learning curves: asymptotic values and rate of convergence"), so the next doubling brings d at most. Yes, if
d is at least one percentage point and above 1.645 s (one-sided 95 %); no, if d + 1.645 s is below one
percentage point; in between the test part is too small to tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from classify.blas import one_blas_thread
from classify.classifier import Head
from classify.fitting import FitOptions, fit_classifier
from classify.intervals import wilson_interval
from classify.normalize import Normalization
from classify.training import TrainingData
from classify.units import count_table
from models.errors import UsageError
from models.progress import Progress, Silent

REPEATS = 5
# The quantile of the normal distribution for one-sided 95 %.
_Z = 1.6448536269514722
# A gain that is worth an effort: one percentage point.
_WORTH = 0.01

Verdict = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One size of the training part.

    Attributes
    ----------
    share : float
        Of each class's training images: 1, 1/2, 1/4, ...
    n_train : float
        Mean number of training images over the draws.
    images_per_class : float
        ``n_train`` over the number of classes.
    accuracies : tuple of float
        Of each draw, on the same test images; one for all images, of which there is one draw.
    """

    share: float
    n_train: float
    images_per_class: float
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy of the draws."""
        return float(np.mean(self.accuracies))

    @property
    def spread(self) -> float:
        """Standard deviation over the draws; NaN where there is one."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else math.nan


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What `learning_curve` found.

    Attributes
    ----------
    points : tuple of CurvePoint
        By rising size; the last is the whole training part.
    n_test, n_correct : int
        Test images, and those that the head fitted on all training images has right.
    gain, gain_error : float
        Of the last doubling and its standard error; see the top. NaN if there is a single point.
    head : {"svm", "softmax"}
    C : float
    seconds : float
    """

    points: tuple[CurvePoint, ...]
    n_test: int
    n_correct: int
    gain: float
    gain_error: float
    head: Head
    C: float
    seconds: float

    @property
    def more_would_help(self) -> Verdict:
        """By the rule at the top."""
        if self.gain >= _WORTH and self.gain > _Z * self.gain_error:
            return "yes"
        return "no" if self.gain + _Z * self.gain_error < _WORTH else "unclear"

    @property
    def verdict(self) -> str:
        """In plain words."""
        if math.isnan(self.gain):
            return "too few images per class to halve them: add images and ask again"
        did = f"the last doubling of the training images brought {self.gain:+.1%} ± {self.gain_error:.1%}"
        return {
            "yes": f"more images would probably help: {did}; the next brings that at most",
            "no": f"more images of this kind would bring less than {_WORTH:.0%}: {did}",
            "unclear": f"these {self.n_test} test images cannot tell whether more would help: {did}",
        }[self.more_would_help]

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "points": [
                {
                    "share": point.share,
                    "n_train": point.n_train,
                    "images_per_class": point.images_per_class,
                    "accuracy": point.mean,
                    "spread": None if math.isnan(point.spread) else point.spread,
                    "accuracies": list(point.accuracies),
                }
                for point in self.points
            ],
            "n_test": self.n_test,
            "accuracy_interval": list(wilson_interval(self.n_correct, self.n_test)),
            "gain_of_last_doubling": None if math.isnan(self.gain) else self.gain,
            "standard_error": None if math.isnan(self.gain) else self.gain_error,
            "more_would_help": None if math.isnan(self.gain) else self.more_would_help,
            "verdict": self.verdict,
            "head": self.head,
            "C": self.C,
            "seconds": round(self.seconds, 3),
        }

    def table(self) -> Iterator[tuple[object, ...]]:
        """A row for each draw, after a header: for CSV."""
        yield "share", "n_train", "images_per_class", "draw", "accuracy"
        for point in self.points:
            for i, accuracy in enumerate(point.accuracies):
                yield point.share, point.n_train, point.images_per_class, i, accuracy


def learning_curve(
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    unit: NDArray[np.intp],
    X_test: NDArray[np.float32],
    y_test: NDArray[np.intp],
    *,
    head: Head,
    C: float,
    normalize: Normalization = "l2",
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit on ever fewer of the training rows and judge on the same test rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        The training part, as extracted.
    y : ndarray of shape (n,), intp
        Class codes from 0, each present.
    unit : ndarray of shape (n,), intp
        From 0; rows of one unit are drawn together.
    X_test : ndarray of shape (n_test, n_features), float32
    y_test : ndarray of shape (n_test,), intp
        -1 for a label that is not among the classes; always wrong. At least one row.
    head : {"svm", "softmax"}
    C : float
    normalize : {"l2", "standard", "none"}
        Learned anew on every draw.
    repeats : int
        Draws of each size, at least 2.
    seed : int
        Decides the draws.
    progress : Progress or None
        Advances by one a fit.

    Raises
    ------
    UsageError
        If `repeats` is below 2.
    """
    if repeats < 2:
        raise UsageError(f"--repeats {repeats} was found; needed are 2 at least, to see the spread")
    started = time.perf_counter()
    progress = progress or Silent()
    n_classes = int(y.max()) + 1
    table = count_table(y, unit, n_classes)
    shares = _shares(np.bincount(y))
    progress.start(repeats * (len(shares) - 1) + 1, "learning curve")

    def right(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        data = TrainingData(X[rows], y[rows], normalize)
        scores = data.fit(head, C).scores(data.normalizer.apply(X_test))
        progress.advance()
        correct: NDArray[np.bool_] = scores.argmax(axis=1) == y_test
        return correct

    points, half, spread = [], np.empty(0), 0.0
    with one_blas_thread():
        for share in shares[:-1]:
            draws = [_draw(table, unit, share, np.random.default_rng([seed, r])) for r in range(repeats)]
            judged = np.array([right(rows) for rows in draws])
            points.append(_point(share, [len(rows) for rows in draws], judged, n_classes))
            half, spread = judged.mean(axis=0), points[-1].spread
        whole = right(np.arange(len(y)))
    points.append(_point(1.0, [len(y)], whole[None], n_classes))
    progress.finish()
    gain = error = math.nan
    if len(half):
        difference = whole - half
        gain = float(difference.mean())
        scatter = float(difference.std(ddof=1)) / math.sqrt(len(whole)) if len(whole) > 1 else 1.0
        error = math.hypot(scatter, spread / math.sqrt(repeats))
    return LearningCurve(
        points=tuple(points),
        n_test=len(y_test),
        n_correct=int(whole.sum()),
        gain=gain,
        gain_error=error,
        head=head,
        C=C,
        seconds=time.perf_counter() - started,
    )


def learning_curve_of_cache(
    features: str | Path,
    options: FitOptions | None = None,
    *,
    layer: str | None = None,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit as `fit` does, which decides split, head and C, and measure the curve of that.

    Parameters
    ----------
    features : str or Path
        A cache that `extract` made.
    options : FitOptions or None
    layer : str or None
    repeats : int
    progress : Progress or None

    Raises
    ------
    UsageError, DataError, CacheError
        As `classify.from_cache.fit_cache`.
    """
    from extract.cache.reader import load_features

    started = time.perf_counter()
    options = replace(options or FitOptions(), refit_all=False)
    found = load_features(features, layer)
    result = fit_classifier(
        found.X,
        found.y,
        paths=found.paths,
        sha256=found.sha256,
        groups=found.groups,
        splits=found.splits,
        options=options,
        progress=progress,
    )
    code = {label: i for i, label in enumerate(result.classifier.classes_)}
    labels = [str(label) for label in found.y]
    y, y_test = (
        np.array([code.get(labels[i], -1) for i in rows], np.intp) for rows in (result.train, result.test)
    )
    curve = learning_curve(
        found.X[result.train],
        y,
        result.train_units,
        found.X[result.test],
        y_test,
        head=result.classifier.head,
        C=result.C,
        normalize=result.classifier.normalizer.kind,
        repeats=repeats,
        seed=options.seed,
        progress=progress,
    )
    return replace(curve, seconds=time.perf_counter() - started)


def _shares(counts: NDArray[np.intp]) -> list[float]:
    """1, 1/2, 1/4, ... while the halved classes have a new size on average, ascending."""
    shares = [1.0]
    while counts.mean() * shares[-1] >= 2:
        shares.append(shares[-1] / 2)
    return shares[::-1]


def _draw(
    table: list[dict[int, int]], unit: NDArray[np.intp], share: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Rows of units in a random order, until every class has its share, or one image, to the nearest."""
    total: dict[int, int] = {}
    for counts in table:
        for c, n in counts.items():
            total[c] = total.get(c, 0) + n
    need = {c: max(round(n * share), 1) for c, n in total.items()}
    have = dict.fromkeys(total, 0)
    taken = np.zeros(len(table), bool)
    for u in rng.permutation(len(table)).tolist():
        counts = table[u]
        # Half of what the unit adds at least must be wanted, but no class stays without an image.
        wanted = sum(min(n, max(need[c] - have[c], 0)) for c, n in counts.items())
        if 2 * wanted >= sum(counts.values()) or any(not have[c] for c in counts):
            taken[u] = True
            for c, n in counts.items():
                have[c] += n
    return np.flatnonzero(taken[unit])


def _point(share: float, sizes: list[int], judged: NDArray[np.bool_], n_classes: int) -> CurvePoint:
    n_train = float(np.mean(sizes))
    return CurvePoint(share, n_train, n_train / n_classes, tuple(judged.mean(axis=1).tolist()))
