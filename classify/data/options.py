"""How to part labelled images into those that train and those that test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.data.record import SplitRecord
from fc7.classify.data.split_values import GIVEN, SplitValues
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.models.common.errors import DataError, UsageError

DUPLICATES = ("auto", "exact", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Which images train and which test.

    Attributes
    ----------
    test_size : float
        Share of each class held out, in (0, 1).
    seed : int
        Decides the split, and the folds within the train set.
    ordered : bool
        The first images of each class train and its last ones test, in the order of their paths
        (``frame2`` before ``frame10``); for pictures that were taken one after the other.
    per_class : int or None
        So many training images of each class, in place of the share that `test_size` leaves.
    balance : bool
        Whether every class is cut to the training images of the smallest. The test set is not cut:
        the mean class recall weighs its classes alike.
    include, exclude : tuple of str
        Classes to take, and to leave out; all of them if empty.
    duplicates : str
        What is kept on one side of the split: ``auto`` near-duplicates by a calibrated threshold, a
        number those of at least that cosine, ``exact`` copies alone, ``off`` not even these.
    split : str
        Which values of a split that is given with the data train and which test: ``TRAIN:TEST``, commas
        between several; ``draw`` draws one all the same.
    keep_split : SplitRecord or None
        The split of an earlier fit: images that it knows keep their sides, and the others are drawn so that
        the shares come as near as they can.
    corrections : Corrections, str, Path or None
        Or their file: labels that go before those of the feature cache (`load_features`).
    """

    test_size: float = 0.3
    seed: int = 0
    ordered: bool = False
    per_class: int | None = None
    balance: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    duplicates: str = "auto"
    split: str = GIVEN
    keep_split: SplitRecord | None = None
    corrections: Corrections | str | Path | None = None

    def __post_init__(self) -> None:
        SplitValues.parse(self.split)
        if self.duplicates not in DUPLICATES:
            parse_cosine("--duplicates", self.duplicates, DUPLICATES)
        if self.per_class is not None and self.per_class < 1:
            raise UsageError(f"--per-class {self.per_class} was found; give a number from 1")
        if not 0 < self.test_size < 1:
            raise DataError(
                f"--test-size {self.test_size:g} was found; give a share between 0 and 1, such as 0.3"
            )


def parse_cosine(option: str, text: str, words: Sequence[str] = ()) -> float:
    """A cosine above 0 and up to 1.

    Raises
    ------
    UsageError
        For anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        needed = ", ".join([*words, "a cosine above 0 and up to 1, such as 0.9"])
        raise UsageError(f"{option} {text} was found; give {needed}")
    return value
