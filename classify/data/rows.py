"""Which rows can be fitted on: labelled, finite, enough of each class. What cannot is named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fc7.classify.image_columns import NOTHING_KNOWN, ImageColumns
from fc7.extract.inputs.tables.corrections import Corrected
from fc7.models.common.errors import DataError
from fc7.models.common.label_names import in_order
from fc7.models.common.terminal import counted
from fc7.models.common.unicode_forms import normal


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled rows and what is known of each; use `make_table`.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float32
        All rows that were given, those without a label too.
    rows : ndarray of shape (n_labelled,), intp
        Where in X the labelled rows are. Entry i of every field below is about row ``rows[i]``.
    content : list of str, or None
        Content hashes: rows of equal hash are copies. Empty where unknown. Not None if `paths` is.
    groups : list of str, or None
        Empty where there is none.
    splits : list of str, or None
        Lower case. None if no row has one.
    thumbnails : ndarray of shape (n_labelled, 96), uint8, or None
        As a cache holds them: zeros where there is none.
    corrected : Corrected or None
        What corrections did to the labels of all rows that were given.
    """

    X: NDArray[np.float32]
    rows: NDArray[np.intp]
    labels: list[str]
    paths: list[str] | None
    content: list[str] | None
    groups: list[str] | None
    splits: list[str] | None
    thumbnails: NDArray[np.uint8] | None = None
    corrected: Corrected | None = None

    def with_features(self, X: NDArray[np.float32]) -> Table:
        """The same rows with other features, (n, n_features) float32.

        Raises
        ------
        DataError
            If a labelled row is not finite.
        """
        table = replace(self, X=X)
        check_finite(X, self.rows, self.name)
        return table

    def name(self, i: int) -> str:
        """The labelled row `i` in a message."""
        return f"row {self.rows[i]}" if self.paths is None else repr(self.paths[i])


def make_table(
    X: ArrayLike | None,
    y: Sequence[Any] | NDArray[Any],
    known: ImageColumns = NOTHING_KNOWN,
    *,
    corrected: Corrected | None = None,
) -> Table:
    """Check what was given and keep the labelled rows.

    Parameters
    ----------
    X : array_like of shape (n, n_features), or None
        None where features stay where they are; the table's X then has no columns, and who reads them
        checks them.
    y : sequence of n labels
        As `classify.fit.fit.fit_classifier`.
    known : ImageColumns
        Without X its `paths` are needed.
    corrected : Corrected or None
        What was done to `y`.

    Raises
    ------
    DataError
        If shapes or lengths do not fit, no row has a label, or a labelled row is not finite.
    """
    with np.errstate(over="ignore"):
        features = np.empty((len(y), 0), np.float32) if X is None else np.asarray(X, np.float32)
    if X is not None and (features.ndim != 2 or 0 in features.shape):
        raise DataError(f"features of shape {features.shape} were found; give (n_images, n_features)")
    n = len(features)
    columns = {each.name: getattr(known, each.name) for each in fields(known)}
    for name, column in {"y": y, **columns}.items():
        if column is not None and len(column) != n:
            raise DataError(f"{name} has {len(column)} entries for {n} rows of features; give one for each")
    labels = list(map(normal, _texts(y)))
    rows = np.array([i for i, label in enumerate(labels) if label], np.intp)
    if not len(rows):
        raise DataError(
            f"none of the {n} images has a label; put them into one folder per class, or give extract "
            "--labels or --label-by"
        )

    def labelled(column: Any) -> list[str] | None:
        if column is None:
            return None
        texts = _texts(column)
        return [texts[i] for i in rows]

    content = labelled(known.sha256)
    if content is None and known.paths is None:
        content = [hashlib.sha256(features[i].tobytes()).hexdigest() for i in rows]
    words = [word.strip().lower() for word in labelled(known.splits) or []]
    table = Table(
        X=features,
        rows=rows,
        labels=[labels[i] for i in rows],
        paths=labelled(known.paths),
        content=content,
        groups=labelled(known.groups),
        splits=words if any(words) else None,
        thumbnails=None if known.thumbnails is None else known.thumbnails[rows],
        corrected=corrected,
    )
    check_finite(table.X, table.rows, table.name)
    return table


def _texts(column: Sequence[Any] | NDArray[Any]) -> list[str]:
    # NaN, as pandas writes what is missing, is the one value that is unequal to itself.
    return ["" if value is None or value != value else str(value) for value in column]


def check_finite(X: NDArray[np.float32], rows: NDArray[np.intp], name: Callable[[int], str]) -> None:
    """Refuse features that are no numbers.

    Parameters
    ----------
    X : ndarray of shape (n_all, n_features), float32
    rows : ndarray of shape (n,), intp
        Those that are looked at.
    name : callable
        Gives the name of one of the n for the message.

    Raises
    ------
    DataError
    """
    # A NaN makes its row's sum NaN, an infinity makes it infinite or NaN. Only a sum can overflow where
    # no feature is infinite, so rows that look bad are looked at again.
    with np.errstate(all="ignore"):
        suspects = np.flatnonzero(~np.isfinite(X.sum(axis=1)[rows]))
    bad = [int(i) for i in suspects if not np.isfinite(X[rows[i]]).all()]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(rows)} images have features that are NaN or infinite, "
            f"{name(bad[0])} first; extract --repair redoes such rows, in fp32 if they were made in fp16"
        )


def check_classes(labels: Sequence[str], content: Sequence[str] | None, *, halved: bool) -> list[str]:
    """The classes in order, if they can be told apart and tested.

    Parameters
    ----------
    labels : sequence of str
        None empty.
    content : sequence of str, or None
        As `Table.content`; copies of one image count as one.
    halved : bool
        Whether each class is yet to be split in two, so that one image is not enough.

    Returns
    -------
    list of str
        Numbers in them sorted as numbers (`models.common.label_names.in_order`).

    Raises
    ------
    DataError
        Under two classes, or if a class has a single image.
    """
    counts = Counter(labels)
    classes = in_order(counts)
    if len(classes) < 2:
        raise DataError(
            f"all {len(labels)} labelled images to learn from are of one class, {classes[0]!r}; "
            "give two classes or more"
        )
    if not halved:
        return classes
    images = range(len(labels)) if content is None else [digest or i for i, digest in enumerate(content)]
    distinct = Counter(label for label, _ in set(zip(labels, images, strict=True)))
    single = [name for name in classes if distinct[name] < 2]
    if single:
        what = "one image" if counts[single[0]] == 1 else "one image and copies of it"
        raise DataError(
            f"{len(single)} of {len(classes)} classes have {what}: {name_some(single)}; each needs two, "
            "one to train on and one to test on: add images, or leave these classes out"
        )
    return classes


def codes_of(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.intp]:
    """Labels, each a class, as indices into `classes`."""
    code = {label: i for i, label in enumerate(classes)}
    return np.array([code[label] for label in labels], np.intp)


def left_out_note(unlabelled: int, n: int) -> str:
    """What `fit` and `evaluate` say of `unlabelled` images among `n`."""
    has, was = ("has", "was") if unlabelled == 1 else ("have", "were")
    return f"{unlabelled} of {counted(n, 'image')} {has} no label and {was} left out"


def name_some(names: Sequence[str]) -> str:
    """The first names, quoted, and how many more there are."""
    return first_of(list(map(repr, names)), 8)


def first_of(texts: Sequence[str], most: int) -> str:
    """The first texts, and how many more there are."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
