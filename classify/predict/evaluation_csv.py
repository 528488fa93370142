"""The metrics of an evaluation as CSV files in one folder, for spreadsheets and other programs.

========================  ==============================================================================
figures.csv               figure,value: the metrics of all images, undefined ones empty
classes.csv               label,support,precision,recall,f1,average_precision,known
confusion.csv             a row for each true label, a column for each predicted one; the corner is empty
images.csv                path,truth,predicted,correct,score,truth_score,rejected,novelty,group,seen
groups.csv                group,n,n_correct,accuracy,low,high; the header alone if no image has a group
========================  ==============================================================================

Cells are as `models.outputs.csv_rows` says. Numbers are written in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fc7.classify.kinds import CLASS_COLUMNS, EVALUATION, GROUP_COLUMNS, IMAGE_COLUMNS, METRIC_COLUMNS
from fc7.classify.metrics.metrics import Metrics
from fc7.classify.predict.evaluate import Evaluation
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import CallFiles, Folder

Rows = Iterable[Iterable[object]]


def write_evaluation(evaluation: Evaluation, folder: str | Path | Folder) -> list[Path]:
    """Write the tables above; such tables that stand there are replaced.

    Parameters
    ----------
    folder : str, Path or Folder
        Made if it is not there.

    Raises
    ------
    UsageError
        If something else stands at one of these names.
    Fc7Error
        If something cannot be written.
    """
    folder = CallFiles(again=True).folder(folder, EVALUATION, "--csv")
    tables: Mapping[str, Rows] = {
        "figures.csv": _metrics(evaluation.metrics),
        "classes.csv": _classes(evaluation.metrics),
        "confusion.csv": _confusion(evaluation.metrics),
        "images.csv": _images(evaluation),
        "groups.csv": [
            GROUP_COLUMNS,
            *((g.group, g.n, g.n_correct, g.accuracy, *g.interval) for g in evaluation.groups),
        ],
    }
    return [write_table(rows, folder.files[name]) for name, rows in tables.items()]


def _metrics(metrics: Metrics) -> Iterator[tuple[object, ...]]:
    yield METRIC_COLUMNS
    yield "n", metrics.n
    yield "n_correct", metrics.n_correct
    yield "accuracy", metrics.accuracy
    yield "accuracy_low", metrics.accuracy_interval[0]
    yield "accuracy_high", metrics.accuracy_interval[1]
    yield "mean_recall", metrics.mean_recall
    yield from ((f"top_{k}", share) for k, share in sorted(metrics.top_k.items()))
    yield "mean_average_precision", metrics.mean_average_precision
    yield "log_loss", metrics.log_loss
    yield "brier", metrics.brier
    yield "n_known", metrics.n_known
    yield "expected_calibration_error", metrics.reliability.expected_error
    if metrics.reject_below:
        yield "reject_below", metrics.reject_below
        yield "n_accepted", metrics.n_accepted
        yield "n_accepted_correct", metrics.n_accepted_correct


def _classes(metrics: Metrics) -> Iterator[tuple[object, ...]]:
    yield CLASS_COLUMNS
    for i, label in enumerate(metrics.labels):
        of_classes = (metrics.precision, metrics.recall, metrics.f1, metrics.average_precision)
        numbers = (float(column[i]) for column in of_classes)
        yield label, int(metrics.support[i]), *numbers, i < metrics.n_classes


def _confusion(metrics: Metrics) -> Iterator[tuple[object, ...]]:
    yield "", *metrics.labels
    for label, row in zip(metrics.labels, metrics.confusion.tolist(), strict=True):
        yield label, *row


def _images(evaluation: Evaluation) -> Iterator[tuple[object, ...]]:
    yield IMAGE_COLUMNS
    rows, classes = evaluation.rows, evaluation.classifier.classes_
    code = {label: i for i, label in enumerate(classes)}
    rejected = evaluation.classifier.rejected(rows.probabilities)
    for i, (path, truth) in enumerate(zip(rows.paths, rows.truth, strict=True)):
        p = rows.probabilities[i]
        best = int(p.argmax())
        yield (
            *(path, truth, classes[best], classes[best] == truth, float(p[best])),
            float(p[code[truth]]) if truth in code else "",
            *(bool(rejected[i]), float(rows.novelty[i]), rows.groups[i], bool(rows.in_train[i])),
        )
