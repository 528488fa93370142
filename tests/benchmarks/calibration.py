"""``python -m tests.benchmarks.calibration A.h5 B.h5 ...``: which calibration gives the truest probabilities?

On each cache, for several splits: fc7's one temperature, learned on out-of-fold decisions, against
scikit-learn's CalibratedClassifierCV (a sigmoid per class, Platt's; isotonic regression) on the same training
rows, C, folds and held-out images. Printed are means over all caches and splits; the calibration error is
also given over each cache's pooled splits, where its own noise is small.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import PredefinedSplit
from sklearn.svm import LinearSVC

from fc7.classify.classifier.calibration import fit_scale, softmax
from fc7.classify.classifier.classifier import HEADS
from fc7.classify.data.folds import ALWAYS_TRAINS, make_folds
from fc7.classify.data.split import stratified_split
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.fit.cross_validate import tune
from fc7.classify.fit.training import TrainingData
from fc7.classify.metrics.reliability import brier_score, reliability_bins
from fc7.extract.cache.reader import load_features

_C = {"svm": 1.0, "softmax": 100.0}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    pooled: dict[tuple[str, str], list[float]] = {}
    for path in options.caches:
        found = load_features(path)
        classes, y = np.unique(np.asarray(found.y), return_inverse=True)
        keys, group_names = row_keys(found.groups.tolist(), found.sha256, found.paths)
        sure: dict[tuple[str, str], list[tuple[NDArray[np.floating], NDArray[np.bool_]]]] = {}
        for seed in range(options.splits):
            unit = make_groups(keys, group_names, seed)
            split = stratified_split(y, unit, 0.3, [str(name) for name in classes])
            truth = y[split.test]
            data = TrainingData(found.X[split.train], y[split.train], "l2")
            fold = make_folds(data.y, np.unique(unit[split.train], return_inverse=True)[1], len(classes))
            X, X_test = (data.normalizer.apply(found.X[part]) for part in (split.train, split.test))
            for head in HEADS:
                tuned = tune(head, data, fold, [_C[head]])
                scale = fit_scale(tuned.scores, data.y[tuned.rows])
                answers = {"temperature (fc7)": softmax(scale * data.fit(head, _C[head]).scores(X_test))}
                estimator = (
                    LinearSVC(C=_C[head], random_state=0)
                    if head == "svm"
                    else LogisticRegression(C=_C[head], max_iter=1000)
                )
                used = fold != ALWAYS_TRAINS
                for method in ("sigmoid", "isotonic"):
                    calibrated = CalibratedClassifierCV(
                        estimator, method=method, cv=PredefinedSplit(fold[used]), ensemble=False
                    )
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        answers[f"{method} per class"] = calibrated.fit(X[used], data.y[used]).predict_proba(
                            X_test
                        )
                for name, P in answers.items():
                    if P.shape[1] < len(classes):
                        continue
                    confidence, correct = P.max(axis=1), P.argmax(axis=1) == truth
                    loss = log_loss(truth, np.maximum(P, 1e-12), labels=np.arange(len(classes)))
                    figures = (
                        loss,
                        brier_score(P, truth),
                        reliability_bins(confidence, correct).expected_error,
                        float(correct.mean()),
                    )
                    rows.setdefault((head, name), []).append(figures)
                    sure.setdefault((head, name), []).append((confidence, correct))
        for which, parts in sure.items():
            confidence, correct = (np.concatenate(column) for column in zip(*parts, strict=True))
            pooled.setdefault(which, []).append(reliability_bins(confidence, correct).expected_error)
    print("head     calibration         log loss  Brier  cal. error  pooled  accuracy")
    for (kind, name), values in rows.items():
        loss, brier, error, accuracy = np.mean(values, axis=0)
        print(
            f"{kind:8} {name:18}  {loss:8.3f}  {brier:5.3f}  {error:10.3f}  "
            f"{np.mean(pooled[kind, name]):6.3f}  {accuracy:8.1%}"
        )


if __name__ == "__main__":
    main()
