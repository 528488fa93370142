"""One product gives what normalising, the head and the novelty reference give one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler, normalize

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import KINDS, Normalization, Normalizer
from fc7.classify.classifier.novelty import NoveltyReference


def classifier(kind: Normalization, n_classes: int, train: np.ndarray, *, novelty: bool = True) -> Classifier:
    rng = np.random.default_rng(1)
    d = train.shape[1]
    axes = np.linalg.qr(rng.normal(size=(d, min(d, 3))))[0].T
    mean = rng.normal(size=d, scale=1 / np.sqrt(d))
    return Classifier(
        classes_=tuple(f"c{i}" for i in range(n_classes)),
        coef_=rng.normal(size=(n_classes, d)),
        intercept_=rng.normal(size=n_classes),
        normalizer=Normalizer.learn(kind, train),
        scale=0.7,
        head="svm",
        C=1.0,
        novelty=NoveltyReference(mean.astype("f4"), axes.astype("f4"), 0.5) if novelty else None,
    )


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.sampled_from([0, 1, 7, 257]),
    n_features=st.integers(1, 20),
    n_classes=st.sampled_from([2, 5, 2500]),
    seed=st.integers(0, 1000),
)
def test_scores_and_novelty_are_those_of_the_steps(
    kind: Normalization, n: int, n_features: int, n_classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    train = (100 * rng.random((30, n_features))).astype(np.float32)
    fitted = classifier(kind, n_classes, train)
    X = (100 * rng.random((n, n_features)) * rng.integers(0, 2, (n, 1))).astype(np.float32)
    exact = X.astype(np.float64)
    unit = normalize(exact) if n else exact
    rows = {
        "none": exact,
        "l2": unit,
        "standard": StandardScaler().fit(train.astype(np.float64)).transform(exact) if n else exact,
    }[kind]
    wanted = rows @ fitted.coef_.T + fitted.intercept_
    np.testing.assert_allclose(fitted.decision_function(X), wanted, rtol=1e-6, atol=1e-5)
    reference = fitted.novelty
    assert reference is not None
    offset = unit - reference.mean.astype(np.float64)
    left = np.square(offset).sum(axis=1) - np.square(offset @ reference.axes.T.astype(np.float64)).sum(axis=1)
    probabilities, novelty = fitted.proba_and_novelty(X)
    np.testing.assert_allclose(novelty, np.sqrt(np.maximum(left, 0)) / 0.5, rtol=1e-5, atol=2e-4)
    np.testing.assert_array_equal(probabilities, fitted.predict_proba(X))
    np.testing.assert_array_equal(novelty, fitted.proba_and_novelty(X)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_reference_nothing_is_said_of_novelty(kind: Normalization) -> None:
    train = np.random.default_rng(0).random((9, 4)).astype(np.float32)
    probabilities, novelty = classifier(kind, 3, train, novelty=False).proba_and_novelty(train)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert np.isnan(novelty).all()
