"""A classifier as a scikit-learn pipeline in a .skops file. The only importer of skops.

skops (skops.readthedocs.io) keeps estimators as JSON and arrays, and on loading builds only types that the
reader trusts; the types written here are all on its own list, so none has to be trusted by hand.

What a pipeline cannot hold is kept beside it as text, in the attribute ``fc7_`` (JSON), and said.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.kinds import SKOPS
from fc7.models.common.durable import explained
from fc7.models.common.errors import ClassifierError, UsageError
from fc7.models.common.program import pip_install
from fc7.models.outputs.outputs import Destination, claimed


def write_skops(classifier: Classifier, out: Destination) -> list[str]:
    """Write a fitted pipeline: normalisation, then `LinearSVC`, `LogisticRegression` or `OneVsOneClassifier`.

    Parameters
    ----------
    out : str, Path or Output
        Such a pipeline that stands there is replaced; the new one appears when it is complete.

    Returns
    -------
    list of str
        What the pipeline does not do that the classifier does, a sentence each.

    Raises
    ------
    UsageError
        If skops is not installed, or something else stands there.
    ClassifierError
        If the file cannot be written.
    """
    try:
        from skops.io import dumps
    except ImportError as exc:
        raise UsageError(f"--format skops needs the library skops: {pip_install('fc7[skops]')}") from exc
    out = claimed(out, SKOPS)
    with explained(out.path, out.option, ClassifierError):
        out.write(dumps(to_pipeline(classifier)))
    return _lost(classifier)


def to_pipeline(classifier: Classifier) -> Pipeline:
    """The classifier as scikit-learn has it; two classes have one row of coefficients there.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Fitted. Takes features as extracted; `decision_function` and `predict` are the classifier's.
    """
    head = _pairs(classifier) if classifier.head == "svm-ovo" else _one_estimator(classifier)
    head.classes_ = np.array(classifier.classes_, np.str_)
    head.n_features_in_ = classifier.n_features
    scaler = _scaler(classifier)
    pipeline = Pipeline([*([("normalize", scaler)] if scaler is not None else []), ("head", head)])
    identity = classifier.identity
    pipeline.fc7_ = json.dumps(
        {
            "network": identity.network,
            "layer": identity.layer,
            "pool": identity.pool,
            "fingerprint": identity.fingerprint,
            "preprocessing": identity.preprocess,
            "trained": identity.trained,
            "scale": classifier.scale,
            "reject_below": classifier.reject_below,
            "made": dict(classifier.metadata),
        },
        sort_keys=True,
    )
    return pipeline


def _one_estimator(classifier: Classifier) -> Any:
    head: Any = LinearSVC(C=classifier.C) if classifier.head == "svm" else LogisticRegression(C=classifier.C)
    two = len(classifier.classes_) == 2
    head.coef_ = classifier.coef_[1:] if two else classifier.coef_
    head.intercept_ = classifier.intercept_[1:] if two else classifier.intercept_
    return head


def _pairs(classifier: Classifier) -> Any:
    """Fitted as `OneVsOneClassifier.fit` leaves it: an estimator for each pair, of the classes 0 and 1."""
    head: Any = OneVsOneClassifier(LinearSVC(C=classifier.C))
    estimators = []
    for k in range(len(classifier.coef_)):
        pair: Any = LinearSVC(C=classifier.C)
        pair.classes_ = np.array([0, 1])
        pair.coef_, pair.intercept_ = classifier.coef_[k : k + 1], classifier.intercept_[k : k + 1]
        pair.n_features_in_ = classifier.n_features
        estimators.append(pair)
    head.estimators_, head.pairwise_indices_ = tuple(estimators), None
    return head


def _scaler(classifier: Classifier) -> Any | None:
    normalizer = classifier.normalizer
    if normalizer.kind == "none":
        return None
    if normalizer.mean is None or normalizer.std is None:
        scaler: Any = Normalizer(norm="l2")
    else:
        scaler = StandardScaler()
        scaler.mean_, scaler.scale_, scaler.var_ = normalizer.mean, normalizer.std, normalizer.std**2
    scaler.n_features_in_ = classifier.n_features
    return scaler


def _lost(classifier: Classifier) -> list[str]:
    # Of two classes scikit-learn keeps the second's decision; votes and what settles ties add up to 1.
    first = "1 - f" if classifier.head == "svm-ovo" else "-f"
    scores = f"({first}, f)" if len(classifier.classes_) == 2 else "f"
    formula = f"softmax({classifier.scale:.6g} * {scores}) with f its decision_function"
    lost = [
        f"lost: the calibrated probabilities, which are {formula}; "
        + (
            "LinearSVC has none"
            if classifier.head != "softmax"
            else "predict_proba gives those of the head as it was fitted, not calibrated"
        )
    ]
    if classifier.reject_below > 0:
        lost.append(
            f"lost: the threshold; classify rejects where the largest probability is below "
            f"{classifier.reject_below:.6g}"
        )
    if classifier.novelty is not None:
        lost.append("lost: the novelty score")
    return lost
