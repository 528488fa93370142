"""Fit a classifier on a features.h5 and write it: what the command `fit` does."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.artifact import save_classifier
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.load import EVERY_LAYER, identity_of, table_of
from fc7.classify.data.rows import first_of, make_table
from fc7.classify.data.split_csv import write_split
from fc7.classify.fit.fit import FitOptions, FitResult, OtherLayer, fit_table
from fc7.classify.image_columns import ImageColumns
from fc7.classify.kinds import CLASSIFIER, SPLIT
from fc7.extract.cache.reader import CacheReader, FeatureSet, RowColumns, load_features
from fc7.extract.inputs.labels.split_folders import find_split_folders
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.extract.records import Failure
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Progress
from fc7.models.common.unicode_forms import normal
from fc7.models.outputs.outputs import CallFiles, Destination, Output

_CLASSES_SHOWN = 10
MEMORY = 4_000_000_000
"""Of 4096 features 244,000 rows. On 100,000, 1.6 GB, an SVM took 3.3 GB (benchmarks/NOTES-fitting.md)."""


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """Features to fit on.

    Attributes
    ----------
    path : str or Path
        A cache that `extract` made.
    layer : str or None
        Which layer of the cache; None for its only or last one. ``auto`` cross-validates every layer in
        the train set and keeps the best: the less a data set is like ImageNet, the earlier the layer
        that serves it best (Stanford CS231n, "Transfer learning"). Split and groups are the last layer's.
    memory : int
        Bytes that the features may take; larger ones are fitted on in parts (`classify.fit.out_of_core`).

    Examples
    --------
    >>> CachedLayer("features.h5", "fc6").memory
    4000000000
    """

    path: str | Path
    layer: str | None = None
    memory: int = MEMORY


def fit_cache(
    features: str | Path | CachedLayer,
    out: Destination = "classifier.onnx",
    options: FitOptions | None = None,
    *,
    split_csv: Destination | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Load features, fit, and write the classifier.

    Parameters
    ----------
    features : str, Path or CachedLayer
        A cache that `extract` made; its only or last layer unless another one is named.
    out : str, Path or Output
        The classifier; it appears when it is complete.
    split_csv : str, Path, Output or None
        Where to write which images trained and which tested; `classify.data.split_csv`.

    Raises
    ------
    UsageError, DataError
        If the rows cannot be fitted, the cache has no such layer, something else stands at an output, or
        `FitOptions.corrections` cannot be used.
    CacheError
        If the cache cannot be read.

    Examples
    --------
    >>> import fc7
    >>> result = fc7.fit_cache("features.h5", "new.onnx", fc7.FitOptions(head="svm", test_size=0.25))
    >>> result.counts
    {'circle': (6, 2), 'rectangle': (6, 2), 'star': (6, 2), 'triangle': (6, 2)}
    """
    wanted = features if isinstance(features, CachedLayer) else CachedLayer(features)
    path, layer = wanted.path, wanted.layer
    options, guard = options or FitOptions(), CallFiles([path], again=True)
    classifier_out = guard.claim(out, CLASSIFIER)
    split_out = None if split_csv is None else guard.claim(split_csv, SPLIT, "--split-csv")
    # Read once: what is fitted on is what was checked.
    options = dataclasses.replace(options, corrections=corrections_given(options.corrections))
    with CacheReader(path, options.corrections) as reader:
        name = reader.layers[-1] if layer == EVERY_LAYER else reader.layer(layer)
        dim = reader.identity.dims[name]
        if 4 * reader.n_rows * dim > wanted.memory:
            if layer == EVERY_LAYER:
                raise UsageError(
                    f"--layer auto holds whole layers in memory, and {name} alone takes more than --memory; "
                    "name the layer"
                )
            result = _in_parts(reader, name, wanted.memory, options=options, progress=progress)
            known = reader.columns()
            result = _noted(result, reader.failures(), known.path, labels=known.label)
            _write(result, classifier_out, split_out, rows=known)
            return result
        failures = reader.failures()
    found = load_features(path, None if layer == EVERY_LAYER else layer, corrections=options.corrections)
    earlier = found.identity.layers[-2::-1] if layer == EVERY_LAYER else ()
    result = fit_table(
        table_of(found),
        identity=identity_of(found.identity, found.layer),
        others=[
            OtherLayer(identity_of(found.identity, name), partial(_rows_of, path, name)) for name in earlier
        ],
        options=options,
        progress=progress,
    )
    result = _noted(result, failures, found.paths, labels=found.y.tolist())
    if layer == EVERY_LAYER and not earlier:
        note = f"--layer auto: the feature cache has one layer, {found.layer}, so there was nothing to choose"
        result = dataclasses.replace(result, notes=(*result.notes, note))
    _write(result, classifier_out, split_out, rows=found)
    return result


def _noted(
    result: FitResult, failures: Sequence[Failure], paths: Sequence[str], labels: Sequence[str]
) -> FitResult:
    """With a note on class folders of which no image could be read, where folders are what names classes."""
    failed = [failure.path for failure in failures]
    classes = _classes_by_folder([*paths, *failed])
    corrected = set() if result.corrected is None else {image.path for image in result.corrected.images}
    if any(
        label and label != classes[_folder_of(path)]
        for path, label in zip(paths, labels, strict=True)
        if path not in corrected
    ):
        return result
    counts = Counter(name for path in failed if (name := classes[_folder_of(path)]) is not None)
    lost = sorted(set(counts).difference(labels))
    if not lost:
        return result
    named = first_of([f"{name} ({counts[name]} failed)" for name in lost], _CLASSES_SHOWN)
    note = f"class folders without a row, which the classifier does not know: {named}"
    return dataclasses.replace(result, notes=(*result.notes, note))


def _classes_by_folder(paths: Sequence[str]) -> dict[str, str | None]:
    """Folder -> the class of the images in it, where folders are what names classes."""
    folders = set(map(_folder_of, paths))
    split = find_split_folders(folders)
    named = {folder: split.class_of(folder) for folder in folders}
    blank = split.without_classes(named)
    return {
        folder: None if name is None or split.around(folder) in blank else normal(name)
        for folder, name in named.items()
    }


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _write(result: FitResult, out: Output, split: Output | None, rows: FeatureSet | RowColumns) -> None:
    save_classifier(result.classifier, out)
    if split is None:
        return
    if isinstance(rows, RowColumns):
        names = rows.path, rows.label, rows.group
    else:
        names = rows.paths, rows.y.tolist(), rows.groups.tolist()
    write_split(split, *names, result.parts.tolist(), rows.sha256)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of an open cache as a `classify.fit.out_of_core.LayerSource`."""

    reader: CacheReader
    name: str

    @property
    def block(self) -> int:
        return self.reader.block_rows(self.name)

    @property
    def n_features(self) -> int:
        return self.reader.identity.dims[self.name]

    @property
    def identity(self) -> FeatureIdentity:
        return identity_of(self.reader.identity, self.name)

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return self.reader.take(rows, self.name)


def _in_parts(
    reader: CacheReader, layer: str, memory: int, options: FitOptions, progress: Progress | None
) -> FitResult:
    # Here: SGD needs scikit-learn, which rows in memory do not need before they are fitted.
    from fc7.classify.fit.out_of_core import fit_out_of_core

    known = reader.columns()
    table = make_table(
        None,
        known.label,
        ImageColumns(paths=known.path, sha256=known.sha256, groups=known.group, splits=known.split),
        corrected=reader.corrected,
    )
    return fit_out_of_core(table, _Layer(reader, layer), memory, options=options, progress=progress)


def _rows_of(features: str | Path, layer: str) -> NDArray[np.float32]:
    return load_features(features, layer).X
