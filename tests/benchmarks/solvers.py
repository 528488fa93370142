"""``python -m tests.benchmarks.solvers``: CPU seconds of an SVM at one C, by liblinear's solvers and ours.

The dual and ours (`classify.fit.solvers.newton` at the tolerance of the kept head) are run as `fit` runs
them, on coordinates where these are fewer; the primal on the features; `classify.fit.solvers.few_rows` where
`fit` takes it. What scikit-learn takes to load is not counted (`tests.benchmarks.few_rows` counts it). The
accuracy is on rows that are left out.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.fit import training
from fc7.classify.fit.solvers import few_rows
from fc7.classify.fit.solvers.heads import TOLERANCE
from fc7.classify.fit.training import TrainingData
from tests.benchmarks.feature_rows import feature_rows

MOST_WORK = few_rows._MOST_WORK
SHAPES = ("400x4096x10", "2000x4096x20", "4000x4096x43", "8000x512x10", "20000x256x10")
Predict = Callable[[NDArray[np.float32]], NDArray[np.intp]]


def in_product(
    X: NDArray[np.float32], y: NDArray[np.intp], C: float, largest_copy: int, most_work: float = 0
) -> Predict:
    """As `fit` does it, liblinear's dual up to so many numbers, and inner products up to so much work."""
    training._LARGEST_COPY, few_rows._MOST_WORK = largest_copy, most_work
    fitted = TrainingData(X.copy(), y, "none").fit("svm", C)
    return lambda rows: fitted.scores(rows).argmax(axis=1)


def primal(X: NDArray[np.float32], y: NDArray[np.intp], C: float) -> Predict:
    """liblinear's other solver, which scikit-learn takes for more rows than columns."""
    predict: Predict = LinearSVC(C=C, dual=False, tol=TOLERANCE).fit(X, y).predict
    return predict


def main() -> None:
    """A line for each shape and C."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.solvers")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="ROWSxFEATURESxCLASSES")
    parser.add_argument("-C", type=float, nargs="+", default=[0.1, 1.0, 10.0, 100.0])
    parser.add_argument("--no-primal", action="store_true")
    chosen = parser.parse_args()
    for shape in chosen.shapes:
        n, n_features, n_classes = map(int, shape.split("x"))
        drawn, labels = feature_rows(n + n // 4, n_features, n_classes, overlap=3.0)
        X, y = Normalizer("l2").apply(drawn), np.unique(labels, return_inverse=True)[1]
        for C in chosen.C:
            ways: dict[str, Callable[[], Predict]] = {
                "ours": partial(in_product, X[:n], y[:n], C, 0),
                "dual": partial(in_product, X[:n], y[:n], C, X.size),
            }
            if float(n) ** 3 * n_classes <= MOST_WORK:
                ways["few rows"] = partial(in_product, X[:n], y[:n], C, X.size, MOST_WORK)
            if not chosen.no_primal:
                ways["primal"] = partial(primal, X[:n], y[:n], C)
            found = []
            for name, way in ways.items():
                started = time.process_time()
                with one_blas_thread(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    predict = way()
                spent = time.process_time() - started
                found.append(f"{name} {spent:.2f} s ({(predict(X[n:]) == y[n:]).mean():.1%})")
            print(f"{shape} C {C:g}: {', '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
