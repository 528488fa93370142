"""`FeatureClassifier` keeps scikit-learn's contract and fits what `fit_classifier` fits."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from fc7 import (
    FeatureClassifier,
    FitOptions,
    classify_images,
    fit_classifier,
    load_classifier,
    save_classifier,
)
from fc7.classify.classifier.classifier import Head
from fc7.classify.data.folds import make_folds
from fc7.classify.predict.evaluate import evaluate_images
from fc7.classify.predict.options import EvaluateOptions
from fc7.extract.cache.reader import load_features
from fc7.models.common.errors import UsageError
from tests.classify.fit.test_choices import layered_cache
from tests.support.classify.blobs import IDENTITY, blobs

EIGHT = [0, 1, 2, 3, 20, 21, 22, 23]


# Nothing is expected to fail. It skips pandas where that is not installed, and arrays of other libraries
# where SciPy was not told to take them.
@parametrize_with_checks([FeatureClassifier(), FeatureClassifier("svm-ovo", C=1.0, calibrate=False)])  # type: ignore[untyped-decorator]
def test_the_contract_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("head", ["svm", "softmax", "svm-ovo"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_same_rows_and_c_give_the_classifier_of_fit(head: Head, n_classes: int) -> None:
    X, y = blobs([15] * n_classes, spread=2.0)
    options = FitOptions(head=head, C=0.5, refit_all=True)
    theirs = fit_classifier(X, y, options=options).classifier
    ours = FeatureClassifier(head, C=0.5).fit(X, y)
    np.testing.assert_array_equal(ours.classifier_.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.classifier_.intercept_, theirs.intercept_)
    new, _ = blobs([20] * n_classes, spread=3.0, seed=1)
    assert ours.predict(new).tolist() == theirs.predict(new).tolist()
    assert ours.predict(new).dtype == y.dtype


@pytest.mark.parametrize("balanced", [False, True])
def test_its_accuracies_are_those_of_scikit_learns_own_heads(balanced: bool) -> None:
    X, y = blobs([30, 12, 9], spread=2.5)
    weight = "balanced" if balanced else None
    for head, theirs in (
        ("svm", LinearSVC(C=0.3, class_weight=weight, random_state=0)),
        ("softmax", LogisticRegression(C=0.3, class_weight=weight, max_iter=1000)),
    ):
        ours = FeatureClassifier(head, C=0.3, balanced=balanced, calibrate=False)  # type: ignore[arg-type]
        found = cross_val_score(ours, X, y, cv=4)
        assert found.tolist() == cross_val_score(make_pipeline(Normalizer(), theirs), X, y, cv=4).tolist()
        assert 0.5 < found.mean() < 1


def test_c_is_what_scikit_learns_search_finds_on_the_same_folds() -> None:
    X, y = blobs([20, 20, 20], spread=3.0)
    folds = PredefinedSplit(make_folds(np.repeat([0, 1, 2], 20), np.arange(60), 3))
    values = {"linearsvc__C": [float(f"1e{e}") for e in range(-3, 4)]}
    theirs = GridSearchCV(make_pipeline(Normalizer(), LinearSVC(random_state=0)), values, cv=folds)
    ours = FeatureClassifier("svm").fit(X, y)
    assert theirs.fit(X, y).best_params_["linearsvc__C"] == ours.classifier_.C


def test_it_stands_in_a_pipeline_and_in_a_search() -> None:
    X, y = blobs([24, 8], spread=2.0)
    pipeline = make_pipeline(
        StandardScaler(), FeatureClassifier("softmax", normalize="none", calibrate=False)
    )
    search = GridSearchCV(pipeline, {"featureclassifier__C": [1e-6, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"featureclassifier__C": 1.0}
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))
    assert clone(FeatureClassifier("svm", C=2.0, balanced=True)).get_params() == {
        "head": "svm",
        "C": 2.0,
        "normalize": "l2",
        "balanced": True,
        "calibrate": True,
        "random_state": None,
    }


@pytest.mark.parametrize("labels", [[3, 11], [False, True], ["tea", "coffee"], [2.0, 1.0]])
def test_it_answers_with_labels_of_the_type_it_was_given(labels: list[Any]) -> None:
    X, _ = blobs([10, 10])
    y = np.repeat(labels, 10)
    estimator = FeatureClassifier("svm", C=1.0).fit(X, y)
    assert estimator.predict(X).tolist() == y.tolist()
    assert estimator.predict(X).dtype == y.dtype
    assert estimator.classifier_.classes_ == tuple(map(str, sorted(labels)))
    second = y == max(labels)
    assert ((estimator.decision_function(X) > 0) == second).all()
    assert ((estimator.predict_proba(X)[:, 1] > 0.5) == second).all()


def test_copies_in_a_group_do_not_pass_for_proof() -> None:
    rng = np.random.default_rng(0)
    # Nothing can be learned of these rows; each is there four times.
    X = np.repeat(rng.normal(size=(30, 40)), 4, axis=0)
    y = np.repeat(rng.integers(0, 2, 30), 4)
    alone = FeatureClassifier("svm", C=10.0, normalize="none", random_state=0).fit(X, y)
    grouped = clone(alone).fit(X, y, groups=np.repeat(np.arange(30), 4))
    assert alone.predict_proba(X).max(axis=1).mean() > 0.9
    assert grouped.predict_proba(X).max(axis=1).mean() < 0.7


def test_random_state_decides_the_folds_and_none_is_repeatable() -> None:
    X, y = blobs([15, 15], spread=4.0)
    scale = [
        FeatureClassifier("svm", C=1.0, random_state=state).fit(X, y).classifier_.scale
        for state in (None, None, 1, 1, 2)
    ]
    assert scale[0] == scale[1]
    assert scale[2] == scale[3] != scale[4]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 0}, "C 0 was found; give auto or a number above 0"),
        ({"C": "much"}, "C='much' was found; give 'auto' or a number above 0"),
        ({"head": "tree"}, "'tree' and normalize 'l2' were found; give a head of svm"),
        ({"normalize": "l1"}, "give .* a normalisation of l2, standard, none or auto"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureClassifier(**parameters).fit(*blobs([5, 5]))


def test_rows_without_a_label_and_a_single_class_are_refused() -> None:
    X, y = blobs([4, 4])
    y[[1, 2]] = ""
    with pytest.raises(ValueError, match="2 of 8 rows have an empty label; leave them out"):
        FeatureClassifier().fit(X, y)
    with pytest.raises(ValueError, match="all 4 rows are of one class, 'class 1'; give two"):
        FeatureClassifier().fit(X[4:], y[4:])


def test_it_warns_where_c_is_unproved_and_where_a_solver_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs([1, 1])
    with pytest.warns(UserWarning, match="too few images for cross-validation"):
        FeatureClassifier().fit(X, y)
    monkeypatch.setattr("fc7.classify.fit.solvers.kernel_newton._STEPS", 1)
    X, y = blobs([20, 20, 20], spread=4.0)
    with pytest.warns(ConvergenceWarning, match="svm did not converge at C=1e"):
        FeatureClassifier("svm", C=1e6, calibrate=False).fit(X, y)


def test_it_becomes_a_classifier_for_the_features_it_was_fitted_on(tmp_path: Path) -> None:
    features = load_features(layered_cache(tmp_path / "features.h5"), "fc6")
    # All but the first four images of each class.
    estimator = FeatureClassifier("svm", C=1.0).fit(
        np.delete(features.X, EIGHT, axis=0), np.delete(features.y, EIGHT)
    )
    save_classifier(estimator.to_classifier(features), tmp_path / "own.onnx")
    kept = load_classifier(tmp_path / "own.onnx")
    assert (kept.identity.layer, kept.identity.fingerprint) == ("fc6", features.fingerprint)
    done = classify_images([tmp_path / "features.h5"], kept, tmp_path / "own.csv")
    assert done.counts == Counter(estimator.predict(features.X).tolist())
    assert estimator.to_classifier(IDENTITY).identity == IDENTITY
    assert kept.split is not None
    part = kept.split.part_of(features.sha256, features.paths)
    assert np.flatnonzero(part == "train").tolist() == np.delete(np.arange(40), EIGHT).tolist()
    assert set(part[EIGHT]) == {""}
    evaluation = evaluate_images([tmp_path / "features.h5"], kept, options=EvaluateOptions(held_out=True))
    assert (evaluation.metrics.n, evaluation.left_out) == (8, 32)
    for others in (load_features(tmp_path / "features.h5", "fc7"), replace(features, X=features.X * 2)):
        with pytest.raises(ValueError, match=r"FeatureSet\(40 rows .* was fitted on none of these rows"):
            estimator.to_classifier(others)
    with pytest.raises(UsageError, match=r"a CacheIdentity was found .* give the FeatureSet"):
        estimator.to_classifier(features.identity)  # type: ignore[arg-type]
