"""The layer of a cache that a classifier was fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fc7.models.common.errors import MismatchError

if TYPE_CHECKING:
    from fc7.classify.data.identity import FeatureIdentity
    from fc7.extract.cache.reader import CacheReader


def check_identity(wanted: FeatureIdentity) -> None:
    """Refuse a classifier of arrays where images are to be turned into its features.

    Raises
    ------
    MismatchError
        If it does not say what made the features it was fitted on.
    """
    if not wanted.fingerprint:
        raise MismatchError(
            "the classifier was fitted on arrays alone and does not say which network, layer and "
            "preprocessing made them, so it takes rows of features only (classifier.predict(X)); for images "
            "and feature caches fit on what load_features gave whole, fit_classifier(load_features(FILE)), "
            "or give fit_classifier its identity"
        )


def layer_for(reader: CacheReader, path: Path, wanted: FeatureIdentity, remedy: str) -> str:
    """Its name, by fingerprint.

    Parameters
    ----------
    reader : CacheReader
        Of the cache at `path`.
    remedy : str
        What to do where there is none.

    Raises
    ------
    MismatchError
        If the cache does not have it, or the classifier does not say what made its features.
    """
    check_identity(wanted)
    for layer, fingerprint in reader.identity.fingerprints.items():
        if fingerprint == wanted.fingerprint:
            return layer
    raise MismatchError(
        f"{path} holds {', '.join(reader.identity.fingerprints)} of network {reader.identity.network!r}; "
        f"the classifier wants {wanted.layer} of {wanted.network!r} as it was fitted: {remedy}"
    )
