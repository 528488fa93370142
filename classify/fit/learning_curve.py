"""Accuracy against images per class: would more images help?

The test set is fixed; of each class's training images 1/2, 1/4, 1/8, ... are drawn, several times over,
groups and copies whole, and a head is fitted on them. C is tuned once, on the whole train set, and kept:
tuning it anew for every point would cost ten times as much, and can only lift the curve's left end. What the
curve says is told in `classify.fit.learning_verdict`.

scikit-learn's `learning_curve` (1.9.1) draws rows, not groups: of 345 traffic signs drawn from 862 it parted
114 of the 245 tracks.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.data.split_groups import count_table
from fc7.classify.fit.learning_verdict import CurvePoint
from fc7.classify.fit.learning_verdict import LearningCurve as LearningCurve
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.training import TrainingData
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Progress, Silent

REPEATS = 5


class CodedRows(NamedTuple):
    """Rows and their classes.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float32
        As extracted.
    y : ndarray of shape (n,), intp
        Class codes from 0.
    """

    X: NDArray[np.float32]
    y: NDArray[np.intp]


def learning_curve(
    train: CodedRows,
    group: NDArray[np.intp],
    test: CodedRows,
    options: FitOptions,
    *,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit on ever fewer of the training rows and evaluate on the same test rows.

    Parameters
    ----------
    train : CodedRows
        Every class is present.
    group : ndarray of shape (n,), intp
        From 0; rows of one group are drawn together.
    test : CodedRows
        Code -1 for a label that is not among the classes; always wrong. At least one row.
    options : FitOptions
        Its head, C and normalisation, all three given, its class weight, and the seed, which decides the
        draws. Normalisation is learned and classes are counted anew on every draw.
    repeats : int
        Draws of each size, at least 2.
    progress : Progress or None
        Advances by one a fit.

    Raises
    ------
    UsageError
        If `repeats` is below 2, or head, C or normalisation is left open.
    """
    head, C, normalize = options.head, options.C, options.normalize
    if head is None or C is None or normalize == "auto":
        raise UsageError(f"head {head}, C {C} and normalize {normalize!r} were found; give all three")
    (X, y), (X_test, y_test) = train, test
    if repeats < 2:
        raise UsageError(f"--repeats {repeats} was found; give 2 at least, which show a spread")
    started = time.perf_counter()
    progress = progress or Silent()
    n_classes = int(y.max()) + 1
    table = count_table(y, group, n_classes)
    shares = _shares(np.bincount(y))
    progress.start(repeats * (len(shares) - 1) + 1, "learning curve")

    converged: list[bool] = []

    def right(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        data = TrainingData(X[rows], y[rows], normalize, class_weight=options.class_weight)
        fitted = data.fit(head, C)
        converged.append(fitted.converged)
        scores = fitted.scores(data.normalizer.apply(X_test))
        progress.advance()
        correct: NDArray[np.bool_] = scores.argmax(axis=1) == y_test
        return correct

    points, half, spread = [], np.empty(0), 0.0
    with one_blas_thread():
        for share in shares[:-1]:
            draws = [
                _draw(table, group, share, rng=np.random.default_rng([options.seed, r]))
                for r in range(repeats)
            ]
            right_rows = np.array([right(rows) for rows in draws])
            points.append(_point(share, [len(rows) for rows in draws], right_rows, n_classes=n_classes))
            half, spread = right_rows.mean(axis=0), points[-1].spread
        whole = right(np.arange(len(y)))
    points.append(_point(1.0, [len(y)], whole[None], n_classes=n_classes))
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
        n_failed=converged.count(False),
    )


def _shares(counts: NDArray[np.intp]) -> list[float]:
    """1, 1/2, 1/4, ... while the halved classes have a new size on average, ascending."""
    shares = [1.0]
    while counts.mean() * shares[-1] >= 2:
        shares.append(shares[-1] / 2)
    return shares[::-1]


def _draw(
    table: list[dict[int, int]], group: NDArray[np.intp], share: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Rows of groups in a random order, until every class has its share, or one image, to the nearest."""
    total: dict[int, int] = {}
    for counts in table:
        for c, n in counts.items():
            total[c] = total.get(c, 0) + n
    need = {c: max(round(n * share), 1) for c, n in total.items()}
    have = dict.fromkeys(total, 0)
    taken = np.zeros(len(table), bool)
    for u in rng.permutation(len(table)).tolist():
        counts = table[u]
        # Half of what the group adds at least must be wanted, but no class stays without an image.
        wanted = sum(min(n, max(need[c] - have[c], 0)) for c, n in counts.items())
        if 2 * wanted >= sum(counts.values()) or any(not have[c] for c in counts):
            taken[u] = True
            for c, n in counts.items():
                have[c] += n
    return np.flatnonzero(taken[group])


def _point(share: float, sizes: list[int], right_rows: NDArray[np.bool_], n_classes: int) -> CurvePoint:
    n_train = float(np.mean(sizes))
    return CurvePoint(share, n_train, n_train / n_classes, accuracies=tuple(right_rows.mean(axis=1).tolist()))
