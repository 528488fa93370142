"""What a comparison of two classifiers has to say beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.predict.evaluate import Scoring
from fc7.classify.predict.same_truth import other_truth
from fc7.models.common.terminal import counted


def comparison_notes(
    files: Sequence[Path], classifiers: Sequence[Classifier], scored: Sequence[Scoring]
) -> tuple[str, ...]:
    """What lowers or raises an accuracy unseen, a sentence each.

    Parameters
    ----------
    files, classifiers, scored : sequence of two
        Where each comes from, and what it said of its images. What corrections did to the first's is said by
        `Comparison.corrected`.
    """
    notes = [
        f"{path} keeps no record of what it learned from (an older fc7 made it): its accuracy may be too high"
        for path, classifier in zip(files, classifiers, strict=True)
        if classifier.split is None
    ]
    missing = set(classifiers[0].classes_) ^ set(classifiers[1].classes_)
    if missing:
        notes.append(
            f"{counted(len(missing), 'class is', 'classes are')} known to one classifier only; the other "
            "is wrong about their images"
        )
    for path, classifier, side in zip(files, classifiers, scored, strict=True):
        other = other_truth(classifier, side.corrected, side.rows.sha256, paths=side.rows.paths)
        notes += [f"{path}: {note}" for note in other]
    first, second = (() if side.corrected is None else side.corrected.lines for side in scored)
    return (*notes, *(line for line in second if line not in first))
