"""``python -m tests.benchmarks.fitting``: `fit` against scikit-learn's plain grid search, interleaved.

Both get the same training part of the same rows, scaled to unit length, the same seven values of C and
five folds, and are judged on the same test part. The reference is what the documentation of scikit-learn
shows: ``GridSearchCV(LinearSVC(), {"C": values})`` and the same of ``LogisticRegression()``. Where all of
it would take hours, ``--reference-folds 1`` runs one of its five folds and counts it five times; what was
run is in the output.
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

from classify.classifier import Head
from classify.fitting import FitOptions, fit_classifier
from classify.normalize import Normalizer
from classify.tune import grid
from tests.benchmarks.feature_rows import feature_rows

# Rows, features, classes, overlap that gives accuracies between 85 and 95 %.
SIZES = {
    "small": (500, 4096, 10, 3.0),
    "middle": (5_000, 4096, 50, 3.0),
    "large": (26_640, 4096, 43, 4.0),
}


def ours(X: NDArray[np.float32], y: NDArray[np.str_], head: Head) -> dict[str, Any]:
    """`fit_classifier` as the command `fit` calls it; seconds, CPU seconds, accuracies."""
    started, cpu = time.perf_counter(), _cpu()
    result = fit_classifier(X, y, paths=[f"{i:06}" for i in range(len(X))], options=FitOptions(head=head))
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu() - cpu,
        "C": result.C,
        "cross_validated": result.tuned[0].best.accuracy,
        "test": result.metrics.accuracy,
        "train": result.train,
        "judged": result.test,
        "trials": [[trial.C, trial.accuracy] for trial in result.tuned[0].trials],
        "notes": list(result.notes),
    }


def reference(
    X: NDArray[np.float32],
    y: NDArray[np.str_],
    head: Head,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    folds: int,
) -> dict[str, Any]:
    """The grid search, or `folds` of its five folds counted up to five, and the fit that it ends with."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import LinearSVC

    rows = Normalizer("l2").apply(X[train])
    splits = list(StratifiedKFold(5).split(rows, y[train]))[:folds]
    estimator = LinearSVC() if head == "svm" else LogisticRegression()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(estimator, {"C": grid(head, 1.0)}, cv=splits, refit=False)
        started, cpu = time.perf_counter(), _cpu()
        search.fit(rows, y[train])
        seconds, spent = (
            5 / folds * (now - then) for now, then in ((time.perf_counter(), started), (_cpu(), cpu))
        )
        started, cpu = time.perf_counter(), _cpu()
        estimator.set_params(C=search.best_params_["C"]).fit(rows, y[train])
        seconds, spent = seconds + time.perf_counter() - started, spent + _cpu() - cpu
    return {
        "seconds": seconds,
        "cpu_seconds": spent,
        "C": search.best_params_["C"],
        "cross_validated": float(search.best_score_),
        "test": float(estimator.score(Normalizer("l2").apply(X[test]), y[test])),
        "folds_run": folds,
    }


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def bench(
    name: str, X: NDArray[np.float32], y: NDArray[np.str_], heads: list[Head], folds: int
) -> list[dict[str, Any]]:
    """A row for each head."""
    rows = []
    for head in heads:
        mine = ours(X, y, head)
        train, test = mine.pop("train"), mine.pop("judged")
        theirs = reference(X, y, head, train, test, folds)
        row = {
            "rows": name,
            "shape": list(X.shape),
            "classes": len(np.unique(y)),
            "head": head,
            "ours": mine,
            "reference": theirs,
            "times_faster": theirs["seconds"] / mine["seconds"],
            "times_less_cpu": theirs["cpu_seconds"] / mine["cpu_seconds"],
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        rows.append(row)
        print(
            f"{name:8} {X.shape[0]:6} x {X.shape[1]}  {head:8}"
            f" ours {mine['seconds']:7.1f} s (CPU {mine['cpu_seconds']:7.1f}),"
            f" cv {mine['cross_validated']:.1%}, test {mine['test']:.1%}, C {mine['C']:g}"
            f" | reference {theirs['seconds']:7.1f} s"
            f" (CPU {theirs['cpu_seconds']:7.1f}, {folds} of 5 folds run),"
            f" cv {theirs['cross_validated']:.1%}, test {theirs['test']:.1%}, C {theirs['C']:g}"
            f" | {row['times_faster']:.1f} times faster, {row['times_less_cpu']:.1f} times less CPU",
            flush=True,
        )
    return rows


def main() -> None:
    """Run, print, write bench-fitting.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fitting")
    parser.add_argument("--sizes", nargs="+", default=["small"], choices=list(SIZES))
    parser.add_argument("--heads", nargs="+", default=["svm", "softmax"], choices=["svm", "softmax"])
    parser.add_argument("--reference-folds", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--features", type=Path, help="an .npz with X and y, or a features.h5, instead")
    parser.add_argument("--json", type=Path, default=Path("bench-fitting.json"))
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in [chosen.features.name] if chosen.features else chosen.sizes:
        X, y = _read(chosen.features) if chosen.features else _drawn(name)
        rows += bench(name, X, y, chosen.heads, chosen.reference_folds)
    chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


def _drawn(name: str) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    n, n_features, n_classes, overlap = SIZES[name]
    return feature_rows(n, n_features, n_classes, overlap=overlap)


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return arrays["X"].astype(np.float32), arrays["y"].astype(np.str_)
    from extract.cache.reader import load_features

    found = load_features(path)
    return found.X, found.y


if __name__ == "__main__":
    main()
