"""Whether images are evaluated by the labels that a classifier was fitted on: no truth changes unsaid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.record import SplitRecord
from fc7.classify.kinds import CLASSIFIER_FORMAT
from fc7.extract.cache.reader import CacheReader
from fc7.extract.inputs.tables.corrections import OPTION, Corrected
from fc7.models.common.program import own_call_with, pasted
from fc7.models.common.terminal import counted
from fc7.models.outputs.kinds import onnx_metadata

# So many digits of a hash tell the files of one user apart.
_SHOWN = 12
_KEYS = frozenset({"file", "sha256", "labels_corrected", "images_taken_out"})


def other_truth(
    classifier: Classifier,
    corrected: Corrected | None,
    sha256: Sequence[str],
    paths: Sequence[str],
    *,
    writes: bool = False,
) -> list[str]:
    """A sentence if the classifier was fitted with other corrections than these; else none.

    Parameters
    ----------
    corrected : Corrected or None
        What was done to the labels here.
    sha256, paths : sequence of n str
        The images, as a cache has them. Where the classifier knows none of them, its corrections are of
        other images, and that they are missing is not said.
    writes : bool
        Whether the call writes a file, which the next one replaces.
    """
    then = corrections_recorded(classifier.metadata)
    if corrected is not None:
        if then is None:
            return ["the classifier was fitted without these corrections"] if corrected.images else []
        if then["sha256"] != corrected.sha256:
            return [f"the classifier was fitted with other corrections: {corrections_in_words(then, _SHOWN)}"]
        return []
    if then is None or not _corrects(then):
        return []
    if classifier.split is None or not classifier.split.part_of(sha256, paths).any():
        return []
    return [
        "the classifier was fitted with corrections, and these labels are those without them: "
        f"{corrections_in_words(then, _SHOWN)}; to evaluate with them: {_again(then, writes)}"
    ]


def other_truth_beside(features: Path, corrected: Corrected | None, *, writes: bool = False) -> list[str]:
    """A sentence if the classifier.onnx beside a cache was fitted with corrections and this call has none.

    Of the classifier only the metadata is read, and one that cannot be read is for others to name.

    Parameters
    ----------
    features : Path
        The cache.
    corrected, writes
        As for `other_truth`.
    """
    file = features.with_name("classifier.onnx")
    try:
        meta = onnx_metadata(file)
        then = corrections_recorded(json.loads(meta["made"]))
        if (
            corrected is not None
            or meta["format"] != CLASSIFIER_FORMAT
            or then is None
            or not _corrects(then)
        ):
            return []
        split = SplitRecord.from_json(json.loads(meta["split"]))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return []
    with CacheReader(features) as reader:
        columns = reader.columns()
    if not split.part_of(columns.sha256, columns.path).any():
        return []
    return [
        f"{file} was fitted with corrections, and these labels are those without them: "
        f"{corrections_in_words(then, _SHOWN)}; to use them: {_again(then, writes)}"
    ]


def _corrects(then: Mapping[str, Any]) -> bool:
    return bool(then["labels_corrected"] or then["images_taken_out"])


def _again(then: Mapping[str, Any], writes: bool) -> str:
    """The call that the user gave, with the corrections of then."""
    file = str(then["file"])
    again = own_call_with(OPTION, file)
    if again is None:
        return pasted([OPTION, file])
    return f"{again} --force" if writes and "--force" not in again.split() else again


def corrections_recorded(made: Mapping[str, object]) -> Mapping[str, Any] | None:
    """What `Corrected.to_json` recorded in a classifier's metadata; None where nothing is."""
    recorded = made.get("corrections")
    return recorded if isinstance(recorded, Mapping) and _KEYS.issubset(recorded) else None


def corrections_in_words(recorded: Mapping[str, Any], digits: int | None = None) -> str:
    """A record of corrections.

    Parameters
    ----------
    digits : int or None
        Of the hash; all if None.

    Examples
    --------
    >>> made = {"file": "fixes.csv", "sha256": "0a" * 32, "labels_corrected": 3, "images_taken_out": 1}
    >>> corrections_in_words(made, 8)
    '3 labels corrected, 1 image taken out (fixes.csv, content SHA-256 0a0a0a0a)'
    """
    labels = counted(recorded["labels_corrected"], "label")
    images = counted(recorded["images_taken_out"], "image")
    file, digest = recorded["file"], str(recorded["sha256"])[:digits]
    return f"{labels} corrected, {images} taken out ({file}, content SHA-256 {digest})"
