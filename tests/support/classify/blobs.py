"""Feature rows drawn around class means: what stage two is tried on without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.image_columns import ImageColumns

IDENTITY = FeatureIdentity("alexnet", "fc7", "ab" * 32, '{"crops":1}', trained=False, pool="avg")


def blobs(
    per_class: list[int], n_features: int = 20, *, spread: float = 1.0, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Gaussian clouds around random means of length about 3, cut off at zero as a ReLU does.

    Returns
    -------
    X : ndarray of shape (sum(per_class), n_features), float32
    y : ndarray of str
        ``class 0``, ``class 1``, ... in blocks.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 3 / np.sqrt(n_features), (len(per_class), n_features)) * 3
    rows = [mean + rng.normal(0, spread, (n, n_features)) for mean, n in zip(means, per_class, strict=True)]
    y = np.repeat([f"class {c}" for c in range(len(per_class))], per_class)
    return np.maximum(np.concatenate(rows), 0).astype(np.float32), y


def names(n: int) -> list[str]:
    """Paths of n images."""
    return [f"images/{i:05}.jpg" for i in range(n)]


def fitted(head: str = "svm", normalize: str = "l2", n_classes: int = 4, **options: Any) -> Classifier:
    """A classifier of ``30`` features."""
    X, y = blobs([12] * n_classes, 30, spread=2.0)
    wanted = FitOptions(head=head, normalize=normalize, **options)  # type: ignore[arg-type]
    known = ImageColumns(paths=names(len(y)))
    return fit_classifier(X, y, known, identity=IDENTITY, options=wanted).classifier
