"""A cache's rows as what fitting and testing go by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.rows import Table, make_table
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.reader import CacheReader, FeatureSet
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.models.common.errors import UnknownLayerError, UsageError
from fc7.models.network.spec import Pool

EVERY_LAYER = "auto"
"""A layer's name to `fit`: cross-validate all of them and keep the best."""


def one_layer(
    features: str | Path, layer: str | None, corrections: Corrections | str | Path | None = None
) -> FeatureSet:
    """`load_features` for a command that chooses no layer, which it says to who hoped for that.

    Raises
    ------
    UnknownLayerError, CacheError, CacheCorruptError, UsageError, SourceError
        As `load_features`.
    """
    with CacheReader(features, corrections) as reader:
        if layer == EVERY_LAYER and layer not in reader.layers:
            raise UnknownLayerError(
                f"{reader.path} has no layer {layer!r}; it has {', '.join(reader.layers)} "
                f"(only fit chooses by --layer {EVERY_LAYER}: name one)"
            )
        return reader.features(reader.layer(layer))


def identity_given(features: FeatureSet | FeatureIdentity | None) -> FeatureIdentity:
    """What made features, in whichever form a caller has it.

    Raises
    ------
    UsageError
        If it is something else, such as `FeatureSet.identity`, which is the whole cache's.
    """
    if isinstance(features, FeatureSet):
        return identity_of(features.identity, features.layer)
    if isinstance(features, FeatureIdentity | None):
        return features or FeatureIdentity()
    raise UsageError(
        f"a {type(features).__name__} was found for what made the features; give the FeatureSet that "
        "load_features gave, or a FeatureIdentity"
    )


def corrected_set(found: FeatureSet, given: Corrections | str | Path | None) -> FeatureSet:
    """Features with corrections over their labels; as they are without any.

    Raises
    ------
    UsageError, SourceError
        As `load_features`; or if the labels have been corrected already.
    """
    corrections = corrections_given(given)
    if corrections is None:
        return found
    if found.corrected is not None:
        raise UsageError(
            f"the features were loaded with the corrections {found.corrected.file}, and the options name "
            f"{corrections.file}; give them to one of the two"
        )
    labels, corrected = corrections.over(found.paths, found.sha256, found.y.tolist())
    return replace(found, y=np.array(labels, np.str_), corrected=corrected)


def table_of(found: FeatureSet, *, given_split: bool = True) -> Table:
    """The labelled rows of a layer.

    Parameters
    ----------
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
        ImageColumns(
            paths=found.paths,
            sha256=found.sha256,
            groups=found.groups,
            splits=found.splits if given_split else None,
            thumbnails=found.thumbnails,
        ),
        corrected=found.corrected,
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
