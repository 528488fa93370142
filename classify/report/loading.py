"""A features.h5 with the layer that a classifier was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.load import table_of
from fc7.classify.data.matching import layer_for
from fc7.classify.data.rows import Table
from fc7.extract.cache.format.header import CacheHeader
from fc7.extract.cache.reader import CacheReader, FeatureSet
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.records import Failure


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCache:
    """Everything in it that a report needs.

    Attributes
    ----------
    rows : FeatureSet
        Of the classifier's layer.
    layers : tuple of str
        All that the cache has.
    """

    path: Path
    header: CacheHeader
    rows: FeatureSet
    layers: tuple[str, ...]
    failures: list[Failure]

    @property
    def n_images(self) -> int:
        """Rows and failures."""
        return self.header.rows + self.header.failures

    def table(self) -> Table | None:
        """The labelled rows; None if no image has a label.

        Raises
        ------
        DataError
            If a feature is NaN or infinite.
        """
        return table_of(self.rows, given_split=False) if self.rows.y.any() else None


def load_for(path: Path, classifier: Classifier, corrections: Corrections | None = None) -> LoadedCache:
    """Read the layer whose fingerprint the classifier has, with corrections over the labels.

    Raises
    ------
    MismatchError
        If the cache does not have it.
    CacheError
        If the cache cannot be read.
    UsageError
        If the corrections contradict themselves or name no image of the cache.
    """
    with CacheReader(path, corrections) as reader:
        layer = layer_for(
            reader, path, classifier.identity, remedy="give the feature cache it was fitted on, or fit again"
        )
        return LoadedCache(
            path,
            reader.header,
            reader.features(layer),
            layers=tuple(reader.identity.fingerprints),
            failures=reader.failures(),
        )
