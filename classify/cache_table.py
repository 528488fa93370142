"""A cache's rows as what fitting and judging go by."""

from __future__ import annotations

from typing import cast

from classify.classifier import FeatureIdentity
from classify.rows import Table, make_table
from extract.cache.identity import CacheIdentity
from extract.cache.reader import FeatureSet
from models.spec import Pool


def table_of(found: FeatureSet, *, given_split: bool = True) -> Table:
    """The labelled rows of a layer.

    Parameters
    ----------
    found : FeatureSet
    given_split : bool
        Whether a split that the cache holds counts.

    Raises
    ------
    DataError
        If no image has a label, or a labelled row is not finite.
    """
    return make_table(
        found.X,
        found.y,
        paths=found.paths,
        sha256=found.sha256,
        groups=found.groups,
        splits=found.splits if given_split else None,
        thumbnails=found.thumbnails,
    )


def identity_of(cache: CacheIdentity, layer: str) -> FeatureIdentity:
    """What made a layer's features."""
    return FeatureIdentity(
        network=cache.network,
        layer=layer,
        fingerprint=cache.fingerprints[layer],
        preprocess=cache.preprocess.to_json(),
        trained=cache.trained,
        pool=cast(Pool, cache.pool),
    )
