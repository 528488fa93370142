"""``python -m tests.benchmarks.fitting``: `fit` against scikit-learn's plain grid search, interleaved.

Both get the same train set of the same rows, scaled to unit length, the same seven values of C and the
same five folds (ours, given to the reference as ``cv``), evaluated on the same test set. The reference
is what the documentation of scikit-learn shows: ``GridSearchCV(LinearSVC(), {"C": values})`` and the same of
``LogisticRegression()``. Where all of it would take hours, ``--reference-folds 1`` runs one of its five folds
and counts it five times, and ``--reference-minutes 20`` begins with no further C after that; a value that was
not run counts nothing, so that the ratio is then a lower bound. What was run is in the output. Ours is all
that `fit` does: also the search for duplicates, the calibration and the evaluation.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.data.folds import make_folds
from fc7.classify.fit.cross_validate import grid
from fc7.classify.fit.fit import FitOptions, FitResult, fit_classifier
from fc7.classify.image_columns import ImageColumns
from tests.benchmarks.feature_rows import feature_rows

# Rows, features, classes, overlap that gives accuracies between 85 and 95 %.
SIZES = {
    "small": (500, 4096, 10, 3.0),
    "middle": (5_000, 4096, 50, 3.0),
    "large": (26_640, 4096, 43, 4.0),
}


def ours(X: NDArray[np.float32], y: NDArray[np.str_], head: Head) -> tuple[dict[str, Any], FitResult]:
    """`fit_classifier` as the command `fit` calls it; seconds, CPU seconds, accuracies."""
    started, cpu = time.perf_counter(), _cpu()
    result = fit_classifier(
        X, y, ImageColumns(paths=[f"{i:06}" for i in range(len(X))]), options=FitOptions(head=head)
    )
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu() - cpu,
        "C": result.C,
        "test": result.metrics.accuracy,
        "trials": [[trial.C, trial.accuracy] for trial in result.tuned[0].cv_results],
        "notes": list(result.notes),
    }, result


def reference(
    X: NDArray[np.float32],
    y: NDArray[np.str_],
    result: FitResult,
    fold: NDArray[np.intp],
    folds: int,
    minutes: float,
) -> dict[str, Any]:
    """The grid search, or `folds` of its five folds counted up to five, and the fit that it ends with."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.svm import LinearSVC

    train, test = result.train, result.test
    rows = Normalizer("l2").apply(X[train])
    splits = list(PredefinedSplit(fold).split())[:folds]
    head = result.classifier.head
    estimator = LinearSVC() if head == "svm" else LogisticRegression()
    seconds = spent = 0.0
    scores: dict[float, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for C in grid(head, 1.0):
            # One value at a time costs what all at once do: nothing is shared between them.
            search = GridSearchCV(estimator, {"C": [C]}, cv=splits, refit=False)
            started, cpu = time.perf_counter(), _cpu()
            search.fit(rows, y[train])
            seconds += 5 / folds * (time.perf_counter() - started)
            spent += 5 / folds * (_cpu() - cpu)
            scores[C] = float(search.best_score_)
            print(f"  reference {head} C {C:g}: {scores[C]:.2%} after {seconds:.0f} s", flush=True)
            if seconds > 60 * minutes * 5 / folds:
                break
        best = max(scores, key=lambda C: scores[C])
        started, cpu = time.perf_counter(), _cpu()
        estimator.set_params(C=best).fit(rows, y[train])
        seconds, spent = seconds + time.perf_counter() - started, spent + _cpu() - cpu
    return {
        "seconds": seconds,
        "cpu_seconds": spent,
        "C": best,
        "cross_validated": scores[best],
        "test": float(estimator.score(Normalizer("l2").apply(X[test]), y[test])),
        "trials": list(scores.items()),
        "folds_run": folds,
    }


def folds_of(y: NDArray[np.str_], result: FitResult) -> NDArray[np.intp]:
    """Those that `fit` made, of each training row."""
    classes, codes = np.unique(y, return_inverse=True)
    return make_folds(codes[result.train], result.train_groups, len(classes))


def accuracy_of_folds(y: NDArray[np.str_], result: FitResult, fold: NDArray[np.intp], folds: int) -> float:
    """Mean accuracy of our best C on the first folds, as GridSearchCV takes it."""
    tuned = result.tuned[0]
    right = tuned.scores.argmax(axis=1) == np.unique(y, return_inverse=True)[1][result.train][tuned.rows]
    return float(np.mean([right[fold[tuned.rows] == f].mean() for f in range(folds)]))


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def bench(
    name: str, X: NDArray[np.float32], y: NDArray[np.str_], heads: list[Head], folds: int, minutes: float
) -> list[dict[str, Any]]:
    """A row for each head."""
    rows = []
    for head in heads:
        mine, result = ours(X, y, head)
        fold = folds_of(y, result)
        mine["cross_validated"] = accuracy_of_folds(y, result, fold, folds)
        print(
            f"{name:8} {X.shape[0]:6} x {X.shape[1]}  {head:8}"
            f" ours {mine['seconds']:7.1f} s (CPU {mine['cpu_seconds']:7.1f}),"
            f" cv {mine['cross_validated']:.2%}, test {mine['test']:.2%}, C {mine['C']:g}",
            flush=True,
        )
        theirs = reference(X, y, result, fold, folds, minutes)
        whole = len(theirs["trials"]) == len(grid(head, 1.0))
        row = {
            "rows": name,
            "shape": list(X.shape),
            "classes": len(np.unique(y)),
            "head": head,
            "ours": mine,
            "reference": theirs,
            "times_faster": theirs["seconds"] / mine["seconds"],
            "times_less_cpu": theirs["cpu_seconds"] / mine["cpu_seconds"],
            "lower_bound": not whole,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        rows.append(row)
        print(
            f"{'':34}reference {theirs['seconds']:7.1f} s (CPU {theirs['cpu_seconds']:7.1f}),"
            f" cv {theirs['cross_validated']:.2%}, test {theirs['test']:.2%}, C {theirs['C']:g}"
            f" | {len(theirs['cv_results'])} values of C, {folds} of 5 folds run"
            f" | {'' if whole else 'at least '}{row['times_faster']:.1f} times faster,"
            f" {row['times_less_cpu']:.1f} times less CPU",
            flush=True,
        )
    return rows


def main() -> None:
    """Run, print, write bench-fitting.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fitting")
    parser.add_argument("--sizes", nargs="+", default=["small"], choices=list(SIZES))
    parser.add_argument("--heads", nargs="+", default=["svm", "softmax"], choices=["svm", "softmax"])
    parser.add_argument("--reference-folds", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--reference-minutes", type=float, default=float("inf"))
    parser.add_argument("--features", type=Path, help="an .npz with X and y, or a features.h5, instead")
    parser.add_argument("--json", type=Path, default=Path("bench-fitting.json"))
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in [chosen.features.name] if chosen.features else chosen.sizes:
        X, y = _read(chosen.features) if chosen.features else _drawn(name)
        rows += bench(name, X, y, chosen.heads, chosen.reference_folds, chosen.reference_minutes)
    chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


def _drawn(name: str) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    n, n_features, n_classes, overlap = SIZES[name]
    return feature_rows(n, n_features, n_classes, overlap=overlap)


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return arrays["X"].astype(np.float32), arrays["y"].astype(np.str_)
    from fc7.extract.cache.reader import load_features

    found = load_features(path)
    return found.X, found.y


if __name__ == "__main__":
    main()
