"""Fit a classifier on a features.h5 and write it: what the command `fit` does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from classify.artifact import save_classifier
from classify.classifier import FeatureIdentity
from classify.fitting import FitOptions, FitResult, OtherLayer, fit_classifier
from classify.split_csv import write_split
from extract.cache.reader import FeatureSet, load_features
from models.progress import Progress
from models.spec import Pool


def fit_cache(
    features: str | Path,
    out: str | Path = "classifier.onnx",
    options: FitOptions | None = None,
    *,
    layer: str | None = None,
    split_csv: str | Path | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Load features, fit, and write the classifier.

    Parameters
    ----------
    features : str or Path
        A cache that `extract` made.
    out : str or Path
        The classifier; it appears when it is complete.
    options : FitOptions or None
    layer : str or None
        Which layer of the cache; None for its only or last one. ``auto`` cross-validates every layer in
        the training part and keeps the best: the less a data set is like ImageNet, the earlier the layer
        that serves it best (Stanford CS231n, "Transfer learning"). Split and groups are the last layer's.
    split_csv : str or Path or None
        Where to write which images trained and which judged; `classify.split_csv`.
    progress : Progress or None

    Raises
    ------
    UsageError, DataError
        If the rows cannot be fitted, or the cache has no such layer.
    CacheError
        If the cache cannot be read.
    """
    found = load_features(features, None if layer == "auto" else layer)
    earlier = found.identity.layers[-2::-1] if layer == "auto" else ()
    result = fit_classifier(
        found.X,
        found.y,
        paths=found.paths,
        sha256=found.sha256,
        groups=found.groups,
        splits=found.splits,
        identity=_identity(found, found.layer),
        others=[OtherLayer(_identity(found, name), partial(_rows_of, features, name)) for name in earlier],
        options=options or FitOptions(),
        progress=progress,
    )
    save_classifier(result.classifier, out)
    if split_csv is not None:
        write_split(split_csv, found.paths, found.y.tolist(), found.groups.tolist(), result.parts.tolist())
    return result


def _identity(found: FeatureSet, layer: str) -> FeatureIdentity:
    return FeatureIdentity(
        network=found.identity.network,
        layer=layer,
        fingerprint=found.identity.fingerprints[layer],
        preprocess=found.identity.preprocess.to_json(),
        trained=found.identity.trained,
        pool=cast(Pool, found.identity.pool),
    )


def _rows_of(features: str | Path, layer: str) -> NDArray[np.float32]:
    return load_features(features, layer).X
