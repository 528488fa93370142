"""How to classify, evaluate and compare, as data: what each needs beside how the network is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.predict.predictions import Form
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.options import RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyOptions(RunOptions):
    """How to classify; with what `RunOptions` has.

    Attributes
    ----------
    top_k : int
        How many label-score pairs a line of the file gets, at most the number of classes.
    form : {"csv", "jsonl"} or None
        None goes by the suffix of the file; CSV for any other than ``.jsonl``.
    keep_rows : bool
        Whether `ClassifySummary.predictions` is filled: about 1 kB an image.

    Examples
    --------
    >>> ClassifyOptions(top_k=2, device="cpu").form is None
    True
    """

    top_k: int = 5
    form: Form | None = None
    keep_rows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions(RunOptions):
    """On what to evaluate; with what `RunOptions` has.

    Attributes
    ----------
    labels : str, Path or None
        A manifest of path, label and perhaps group, for images.
    group_by : str or None
        Regular expression that finds the group in a path.
    label_by : str or None
        As `extract.inputs.listing.list_inputs`, for images.
    held_out : bool
        Leave out the images that the classifier learned from.
    corrections : Corrections, str, Path or None
        As `load_features` takes them; over the labels of images too.
    """

    labels: str | Path | None = None
    group_by: str | None = None
    label_by: str | None = None
    held_out: bool = False
    corrections: Corrections | str | Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(RunOptions):
    """On what to compare two classifiers; with what `RunOptions` has.

    Attributes
    ----------
    second_inputs : sequence of str or Path, or None
        Where the second finds the same images, such as a features.h5 of its network; matched by path and
        content.
    labels : str, Path or None
        A manifest of path and label, for images.
    corrections : Corrections, str, Path or None
        As `load_features` takes them.
    """

    second_inputs: Sequence[str | Path] | None = None
    labels: str | Path | None = None
    corrections: Corrections | str | Path | None = None
