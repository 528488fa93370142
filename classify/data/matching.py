"""The layer of a cache that a classifier was fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fc7.models.common.errors import MismatchError

if TYPE_CHECKING:
    from fc7.classify.data.identity import FeatureIdentity
    from fc7.extract.cache.reader import CacheReader


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
        If the cache does not have it.
    """
    for layer, fingerprint in reader.identity.fingerprints.items():
        if fingerprint == wanted.fingerprint:
            return layer
    raise MismatchError(
        f"{path} holds {', '.join(reader.identity.fingerprints)} of network {reader.identity.network!r}; "
        f"the classifier wants {wanted.layer} of {wanted.network!r} as it was fitted: {remedy}"
    )
