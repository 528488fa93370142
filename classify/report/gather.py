"""A cache and a classifier to everything that a report says; nothing is drawn here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.rejection import coverage_curve
from fc7.classify.data.prepare import duplicates_of
from fc7.classify.data.record import TEST, TRAIN
from fc7.classify.data.rows import Table
from fc7.classify.duplicates.find import Duplicates
from fc7.classify.fit.next_steps import KnownBeside, next_steps, option_of, untried_layers
from fc7.classify.fit.out_of_fold import OutOfFold, out_of_fold
from fc7.classify.fit.result import FitOptions, class_weight_of
from fc7.classify.fit.suspects_from_cache import search_table
from fc7.classify.predict.same_truth import other_truth
from fc7.classify.report import image_grids
from fc7.classify.report.copies import duplicate_grids
from fc7.classify.report.evaluated import evaluate_cache
from fc7.classify.report.feature_map import map_points
from fc7.classify.report.learning import curve_of
from fc7.classify.report.loading import load_for
from fc7.classify.report.projection import project
from fc7.classify.report.provenance import headline, provenance, subject, warnings
from fc7.classify.report.report_data import ClassCount, CvPoint, ReportData
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.models.common.errors import DataError
from fc7.models.common.label_names import in_order
from fc7.models.common.progress import Progress, Silent


def gather(
    features: str | Path,
    model: str | Path,
    *,
    corrections: Corrections | str | Path | None = None,
    tsne: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> ReportData:
    """Evaluate, look for suspects, project: all that takes time before a report is drawn.

    Parameters
    ----------
    features : str or Path
        A cache with the layer that the classifier was fitted on.
    model : str or Path
        A classifier that fit wrote.
    corrections : Corrections, str, Path or None
        As `load_features` takes them.
    tsne : bool
        Whether the map of the features is t-SNE's and not PCA's.
    command : str
        How the user called, for the provenance.

    Raises
    ------
    MismatchError
        If the cache is of another network, layer or preprocessing.
    CacheError, ClassifierError
        If a file cannot be read.
    """
    progress = progress or Silent()
    model = Path(model)
    classifier = load_classifier(model)
    made = classifier.metadata
    cache = load_for(Path(features), classifier, corrections_given(corrections))
    table = cache.table()
    parts = (
        None if classifier.split is None else classifier.split.part_of(cache.rows.sha256, cache.rows.paths)
    )
    absent: dict[str, str] = {}
    copies = None if table is None else duplicates_of(table, FitOptions(), progress)
    suspects = evaluated = None
    if table is None:
        absent["suspects"] = absent["evaluated"] = "No image in this feature cache has a label."
    else:
        try:
            suspects = search_table(table, copies, progress=progress)
        except DataError as exc:
            absent["suspects"] = f"Nothing can be said of the labels: {exc}."
        folds = (
            _unseeing(table, copies, classifier, progress=progress) if made.get("refit") == "all" else None
        )
        evaluated = evaluate_cache(table, parts, classifier, folds=folds)
    if evaluated is None and "evaluated" not in absent:
        absent["evaluated"] = _why_not_evaluated(parts)
    learning = None
    if table is not None:
        curve = curve_of(
            table, parts, classifier, alike=[] if copies is None else copies.group_names, progress=progress
        )
        if isinstance(curve, str):
            absent["learning"] = curve
        else:
            learning = curve
    paths = cache.rows.paths
    classes = evaluated.labels if evaluated is not None else classifier.classes_
    found = None
    if table is not None:
        progress.start(0, "t-SNE" if tsne else "PCA")
        order = {label: i for i, label in enumerate(classes)}
        code = np.array([order.get(label, -1) for label in table.labels], np.intp)
        known = np.flatnonzero(code >= 0)
        rows = table.rows[known]
        found = project(classifier.normalizer.apply(cache.rows.X[rows]), code[known], rows, tsne=tsne)
        progress.finish()
    duplicates = duplicate_grids(cache.rows, table, copies, made=made)
    counts = _counts(table, parts, classes)
    beside = KnownBeside(
        str(features),
        str(model),
        n_suspects=0 if suspects is None else len(suspects.named),
        n_disagreeing=duplicates.n_disagreeing,
        learning=learning,
        untried_layers=untried_layers(
            cache.layers, [cache.rows.layer, *(str(t.get("layer", "")) for t in _list(made.get("tuning")))]
        ),
        layer=("--layer", cache.rows.layer) if len(cache.layers) > 1 else (),
        corrections=option_of(cache.rows.corrected),
    )
    corrected = cache.rows.corrected
    other = other_truth(classifier, corrected, cache.rows.sha256, paths=cache.rows.paths, writes=True)
    return ReportData(
        subject=subject(cache, classifier, table),
        warnings=warnings(cache, evaluated, other),
        next_steps=next_steps(
            None if evaluated is None else evaluated.metrics,
            {count.label: (count.train, count.test) for count in counts},
            beside,
        ),
        classes=tuple(classes),
        counts=counts,
        n_images=cache.n_images,
        n_rows=cache.header.rows,
        n_labelled=0 if table is None else len(table.rows),
        headline=headline(evaluated, made),
        metrics=None if evaluated is None else evaluated.metrics,
        cells={} if evaluated is None else image_grids.cells(evaluated, paths),
        samples=() if table is None else image_grids.samples(table.labels, table.rows, paths),
        places=cache.header.roots,
        mistakes=() if evaluated is None else image_grids.mistakes(evaluated, paths),
        suspects=suspects,
        reliability=None if evaluated is None else evaluated.metrics.reliability,
        coverage=None if evaluated is None else coverage_curve(evaluated.confidence, evaluated.right),
        reject_below=classifier.reject_below or None,
        tuning=_points(made),
        learning=learning,
        map=found,
        map_points=() if found is None else map_points(found, paths, classes, evaluated=evaluated),
        duplicates=duplicates,
        failures=tuple(cache.failures),
        sha256=tuple(cache.rows.sha256),
        provenance=provenance(cache, classifier, model, command=command),
        truth=(*(() if corrected is None else corrected.lines), *other),
        notes=(
            *(str(note) for note in _list(made.get("notes"))),
            *([f"label errors: {suspects.problem}"] if suspects is not None and suspects.problem else []),
            *([learning.problem] if learning is not None and learning.problem else []),
        ),
        absent=absent,
    )


def _why_not_evaluated(parts: NDArray[np.str_] | None) -> str:
    if parts is None:
        return (
            "This classifier does not say which images it was fitted on: an older fc7 wrote it. Fit again to "
            "see the images behind the metrics."
        )
    if (parts == TEST).any():
        return "The classifier was refitted on every image, and no head could be fitted without some of them."
    return (
        "The classifier was fitted on every labelled image of this feature cache: none is left to test it on."
    )


def _counts(
    table: Table | None, parts: NDArray[np.str_] | None, classes: Sequence[str]
) -> tuple[ClassCount, ...]:
    if table is None:
        return ()
    part = parts[table.rows].tolist() if parts is not None else [""] * len(table.rows)
    n = Counter(zip(table.labels, part, strict=True))
    names = [*classes, *in_order(set(table.labels) - set(classes))]
    return tuple(ClassCount(name, n[name, TRAIN], n[name, TEST], other=n[name, ""]) for name in names)


def _unseeing(
    table: Table, copies: Duplicates | None, classifier: Classifier, progress: Progress
) -> OutOfFold | None:
    """What heads like the classifier's say of images that they have not seen; None where nothing can."""
    options = FitOptions(
        C=classifier.C if classifier.head == "softmax" else None,
        normalize=classifier.normalizer.kind,
        class_weight=class_weight_of(classifier.metadata),
    )
    alike = None if copies is None else copies.group_names
    try:
        return out_of_fold(table, options, alike=alike, progress=progress)
    except DataError:
        return None


def _points(made: Mapping[str, Any]) -> tuple[CvPoint, ...]:
    return tuple(
        CvPoint(
            str(tuned["head"]),
            float(point["C"]),
            float(point["accuracy"]),
            standard_error=float(point["standard_error"]),
            kept=i == 0 and point["C"] == tuned["C"],
        )
        for i, tuned in enumerate(_list(made.get("tuning")))
        for point in tuned["trials"]
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
