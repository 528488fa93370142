"""Which images of a feature cache to label next."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.active_learning.select import RowNumbers, margins, select
from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.load import one_layer
from fc7.classify.data.matching import layer_for
from fc7.classify.duplicates.find import find_duplicates
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import CacheReader, FeatureSet
from fc7.extract.inputs.tables.corrections import Corrected, Corrections
from fc7.models.common.errors import DataError, UsageError
from fc7.models.common.progress import Progress, Silent
from fc7.models.common.record_repr import one_line_repr

# Of more images each would be compared with every other for minutes: then only exact copies count.
_MOST_COMPARED = 50_000
_BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class NextImage:
    """An image to label.

    Attributes
    ----------
    row : int
        Its row in the cache.
    suggested, second : str
        Its most probable labels; empty without a classifier.
    probability, second_probability : float
        Theirs; NaN without a classifier.
    """

    path: str
    sha256: str
    row: int
    suggested: str = ""
    probability: float = float("nan")
    second: str = ""
    second_probability: float = float("nan")


@dataclass(frozen=True, slots=True, repr=False)
class NextImages:
    """What `next_images` chose.

    Attributes
    ----------
    images : list of NextImage
        The least sure first.
    n_unlabelled, n_labelled : int
        Images without a label, and with one.
    by : str
        What the choice rests on, for people.
    corrected : Corrected or None
        What corrections did to the labels.
    notes : tuple of str
        What else is to be known.
    """

    images: list[NextImage]
    n_unlabelled: int
    n_labelled: int
    by: str
    corrected: Corrected | None = None
    notes: tuple[str, ...] = ()

    __repr__ = one_line_repr


def next_images(
    features: str | Path = "features.h5",
    n: int = 50,
    *,
    model: str | Path | Classifier | None = None,
    layer: str | None = None,
    corrections: Corrections | str | Path | None = None,
    progress: Progress | None = None,
) -> NextImages:
    """Choose unlabelled images whose labels would teach a classifier most.

    Parameters
    ----------
    n : int
        How many.
    model : str, Path, Classifier or None
        Says how sure it is; None fits an SVM on the images that have a label. With labels of fewer than two
        classes the images chosen stand for all of them.
    layer : str or None
        The layer of the classifier; without one the only or last layer.
    corrections : Corrections, str, Path or None
        As `load_features` takes them. What they take out is not chosen.

    Returns
    -------
    NextImages
        No two of one picture, and none of a picture that has a label.

    Raises
    ------
    DataError
        If every image has a label, or a row is not finite.
    UsageError
        If n is below 1, or a layer is named beside a classifier.
    MismatchError
        If the classifier was fitted on other features.
    CacheError, CacheCorruptError

    Examples
    --------
    >>> import fc7
    >>> extracted = fc7.extract_features("drawn/star", "unlabelled.h5", fc7.ExtractOptions(network="tiles"))
    >>> chosen = next_images("unlabelled.h5", 3, model="classifier.onnx")
    >>> len(chosen.images), chosen.images[0].suggested in fc7.load_classifier("classifier.onnx").classes_
    (3, True)
    """
    if n < 1:
        raise UsageError(f"-n {n} was found; give a number of at least 1")
    classifier = model if isinstance(model, Classifier | None) else load_classifier(Path(model))
    if classifier is not None:
        if layer is not None:
            raise UsageError("a layer and a classifier were given, which has its own: leave out one of them")
        with CacheReader(features) as reader:
            layer = layer_for(
                reader, Path(features), classifier.identity, remedy="fit again, or leave out -m"
            )
    found = one_layer(features, layer, corrections)
    out = {image.row for image in found.corrected.images if not image.label} if found.corrected else set()
    sound = np.asarray(np.isfinite(found.X).all(axis=1))
    candidate = (found.y == "") & sound
    candidate[list(out)] = False
    unlabelled = np.flatnonzero(candidate)
    labelled = np.flatnonzero((found.y != "") & sound)
    if not len(unlabelled):
        raise DataError(
            f"{features}: each of {len(found.y)} images has a label or is taken out; extract more images to "
            "have some to label"
        )
    notes: list[str] = []
    probabilities, classes, by = _probabilities(
        found, labelled, unlabelled, classifier=classifier, notes=notes
    )
    pictures = _pictures(found, sound, notes, progress=progress or Silent())
    margin = None if probabilities is None else margins(probabilities)
    chosen = select(
        found.X,
        unlabelled,
        n,
        margin=margin,
        pictures=pictures[unlabelled],
        seen=set(pictures[labelled].tolist()),
    )
    images = list(_named(found, unlabelled, chosen, probabilities=probabilities, classes=classes))
    return NextImages(
        images,
        n_unlabelled=len(unlabelled),
        n_labelled=len(labelled),
        by=by,
        corrected=found.corrected,
        notes=tuple(notes),
    )


def _probabilities(
    found: FeatureSet,
    labelled: RowNumbers,
    unlabelled: RowNumbers,
    classifier: Classifier | None,
    notes: list[str],
) -> tuple[NDArray[np.float32] | None, tuple[str, ...], str]:
    """Of the unlabelled rows, with their classes and who says so; None where nobody can."""
    names = np.unique(found.y[labelled])
    if classifier is None:
        if len(names) < 2:
            return None, (), "no classifier: the images stand for all that have no label"
        # scikit-learn's kind of object: no other public function waits for the library to be loaded.
        from fc7.classify.fit.estimator import FeatureClassifier

        estimator = FeatureClassifier("svm")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Few images of many classes are no regression, which scikit-learn takes them for.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            estimator.fit(found.X[labelled], found.y[labelled])
        notes += [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
        classifier = estimator.classifier_
        by = f"an SVM fitted on {len(labelled)} labelled images of {len(names)} classes"
    else:
        by = f"a classifier of {len(classifier.classes_)} classes"
    # A part at a time: indexing makes copies.
    parts = (unlabelled[start : start + _BLOCK_ROWS] for start in range(0, len(unlabelled), _BLOCK_ROWS))
    probabilities = np.concatenate([classifier.predict_proba(found.X[rows]) for rows in parts])
    return probabilities, tuple(classifier.classes_), by


def _pictures(
    found: FeatureSet, sound: NDArray[np.bool_], notes: list[str], progress: Progress
) -> RowNumbers:
    """The number of the picture that each row shows."""
    rows = np.flatnonzero(sound)
    pictures = np.unique(found.sha256, return_inverse=True)[1]
    if len(rows) > _MOST_COMPARED:
        notes.append("near-duplicates were not searched for among so many images; exact copies were")
        return np.asarray(pictures, np.intp)
    alike = find_duplicates(
        found.X,
        rows,
        found.y[rows].tolist(),
        known=ImageColumns(
            sha256=[found.sha256[row] for row in rows],
            groups=found.groups[rows].tolist(),
            thumbnails=found.thumbnails[rows],
        ),
        progress=progress,
    )
    pictures[rows] = pictures.max(initial=0) + 1 + alike.group
    return np.asarray(pictures, np.intp)


def _named(
    found: FeatureSet,
    unlabelled: RowNumbers,
    chosen: RowNumbers,
    probabilities: NDArray[np.float32] | None,
    classes: tuple[str, ...],
) -> Iterator[NextImage]:
    for i in chosen.tolist():
        row = int(unlabelled[i])
        path, sha256 = found.paths[row], found.sha256[row]
        if probabilities is None:
            yield NextImage(path, sha256, row)
            continue
        first, second = np.argsort(-probabilities[i], kind="stable")[:2].tolist()
        p, q = float(probabilities[i, first]), float(probabilities[i, second])
        yield NextImage(
            path,
            sha256=sha256,
            row=row,
            suggested=classes[first],
            probability=p,
            second=classes[second],
            second_probability=q,
        )
