"""The kinds of files that this room writes; see `models.outputs.kinds`."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from pathlib import Path

import fc7.extract.kinds  # noqa: F401  names what this room reads
from fc7.models.outputs.kinds import Kind, first_line, head, named, onnx_metadata, png_says, table, zip_member

CLASSIFIER_FORMAT, FULL_FORMAT = "fc7-classifier", "fc7-full"
"""``format`` in the metadata of classifier.onnx and of full.onnx."""
DRAWN_BY = "fc7 report"
"""What the report's plots say that made them."""

# The last column is also what tells the table from one that somebody wrote for `extract --labels`.
SPLIT_COLUMNS = ("path", "label", "group", "split", "sha256")
COMPARISON_COLUMNS = ("path", "truth", "first", "second", "first_correct", "second_correct")
NETWORK_COLUMNS = (
    *("network", "layer", "accuracy", "low", "high", "n_correct", "n_test"),
    *("images_per_second", "measured_by", "bytes", "dim", "fit_seconds", "head", "C", "p_value", "features"),
    "error",
)
CURVE_COLUMNS = ("share", "n_train", "images_per_class", "draw", "accuracy")
# Tables of suspects and of duplicates begin as a table for `--corrections` does.
_CORRECTION_COLUMNS = ("path", "sha256", "label", "suggested")
_SUSPECT_COLUMNS_BEFORE_ODDS = ("path", "label", "suggested", "confidence", "suggested_confidence", "copy")
_SUSPECT_COLUMNS_BEFORE_CONTENT = (*_SUSPECT_COLUMNS_BEFORE_ODDS, "p_wrong")
SUSPECT_COLUMNS = (*_CORRECTION_COLUMNS, "confidence", "suggested_confidence", "copy", "p_wrong")
_SIDES = tuple(f"{name}_{side}" for side in (1, 2) for name in ("group", "path", "label", "split"))
_DUPLICATE_COLUMNS_OF_PAIRS = ("cosine", "exact", "thumbnails", "different_labels", *_SIDES)
DUPLICATE_COLUMNS = (
    *_CORRECTION_COLUMNS,
    *("group", "split", "cosine", "exact", "thumbnails", "different_labels"),
    *("other_group", "other_path", "other_label", "other_split"),
)
_DUPLICATE_COLUMNS_BEFORE_THUMBNAILS = ("cosine", "exact", "different_labels", *_SIDES)
NEXT_COLUMNS = (*_CORRECTION_COLUMNS, "probability", "second", "second_probability")
SIMILAR_COLUMNS = ("query", "rank", "path", "label", "cosine", "same_file", "sha256")
METRIC_COLUMNS = ("figure", "value")
CLASS_COLUMNS = ("label", "support", "precision", "recall", "f1", "average_precision", "known")
IMAGE_COLUMNS = (
    *("path", "truth", "predicted", "correct", "score", "truth_score"),
    *("rejected", "novelty", "group", "seen"),
)
GROUP_COLUMNS = ("group", "n", "n_correct", "accuracy", "low", "high")

_PREDICTIONS = re.compile(r"path,label,score(,label_\d+,score_\d+)+(,rejected,novelty)?,error")
_JSON_PREDICTIONS = re.compile(rb'\{"path": "[^\n]*", "(label|error)": ')
_IMAGENET_TABLE = re.compile(rb"[^\n]+\n  (unreadable: |[ \d]{3}\.\d\d?%  [^\n]+ \(n\d{8}\)\n)")
# Reports from before there was a generator said neither more nor less in their first lines.
_REPORT = re.compile(
    rb'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    rb'(<meta name="generator" content="fc7 '
    rb"|<meta http-equiv[^\n]+\n(<meta [^\n]+\n)*<title>Classifier report)"
)
_SHEET = (
    rb'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    rb'<meta name="viewport"[^\n]+\n<meta name="generator" content="fc7 %s '
)
_CARD_END = re.compile(rb"<!-- fc7 card ([0-9a-f]{64}) -->\n\Z")
# A graph whose arrays lie beside it has none over 1 KiB of its own.
_CARD_BYTES, _SCHEMA_BYTES, _GRAPH_BYTES = 16 << 20, 64 << 20, 64 << 20


def _is_predictions(path: Path) -> bool:
    if _PREDICTIONS.fullmatch(first_line(path)):
        return True
    start = head(path)
    return bool(_JSON_PREDICTIONS.match(start) or _IMAGENET_TABLE.match(start))


def _is_confusion(path: Path) -> bool:
    """A square table with an empty corner, which anybody may have made, beside metrics that we wrote."""
    figures = path.with_name("figures.csv")
    text = io.StringIO(head(path).decode("utf-8", "surrogateescape"), newline="")
    header, *rows = itertools.islice(csv.reader(text), 2)
    square = header[:1] == [""] and (not rows or rows[0][:1] == header[1:2])
    return square and figures.is_file() and EVALUATION["figures.csv"].recognises(figures)


def _is_metrics(path: Path) -> bool:
    return head(path, 64).startswith(b"figure,value\nn,")


def card_end(text: bytes) -> bytes:
    """The last line of a model card: a comment that tells whether somebody added to it since."""
    return f"\n<!-- fc7 card {hashlib.sha256(text).hexdigest()} -->\n".encode()


def _is_card(path: Path) -> bool:
    """A card as we wrote it; one that somebody added to is theirs."""
    data = head(path, _CARD_BYTES)
    found = _CARD_END.search(data)
    return found is not None and data.endswith(card_end(data[: found.start() - 1]))


def _is_arrays(path: Path) -> bool:
    """The file beside a full.onnx of ours that says that its arrays lie there."""
    graph = path.with_name(path.name.removesuffix(".data"))
    if not graph.is_file() or graph.stat().st_size > _GRAPH_BYTES or not FULL.recognises(graph):
        return False
    return path.name.encode() in graph.read_bytes()


def _is_sheet_of(path: Path, command: bytes) -> bool:
    return bool(re.match(_SHEET % command, head(path, 4096)))


def _is_plot(path: Path) -> bool:
    return png_says(path, DRAWN_BY) or f"<dc:title>{DRAWN_BY}</dc:title>".encode() in head(path, 4096)


CLASSIFIER = named(Kind("a classifier", lambda path: onnx_metadata(path).get("format") == CLASSIFIER_FORMAT))
FULL = named(
    Kind(
        "a full.onnx",
        lambda path: onnx_metadata(path).get("format") == FULL_FORMAT,
        streams=False,
    )
)
FULL_ARRAYS = Kind("a file of arrays", _is_arrays, streams=False)
SKOPS = named(
    Kind(
        "a scikit-learn pipeline",
        lambda path: b'"fc7_"' in zip_member(path, "schema.json", _SCHEMA_BYTES),
    )
)
CARD = named(Kind("a model card", _is_card))
REPORT = named(Kind("a report", lambda path: bool(_REPORT.match(head(path, 4096)))))
SHEET = named(Kind("a sheet of predictions", lambda path: _is_sheet_of(path, b"classify")))
NEXT_SHEET = named(Kind("a sheet of images to label", lambda path: _is_sheet_of(path, b"next")))
SIMILAR_SHEET = named(Kind("a sheet of similar images", lambda path: _is_sheet_of(path, b"similar")))
PLOT = named(Kind("a plot of a report", _is_plot))
PLOTS = {
    f"{name}.{form}": PLOT
    for name in ("classes", "confusion", "reliability", "coverage", "tuning", "learning", "map")
    for form in ("png", "svg")
}
"""What ``report --plots`` may write; which of them the data decide."""
PREDICTIONS = named(Kind("a file of predictions", _is_predictions))
WATCHED = Kind("a file of predictions", _is_predictions, replaceable=True)
"""What ``watch`` adds lines to."""
SPLIT = table("a table of the split", SPLIT_COLUMNS)
COMPARISON = table("a table of a comparison", COMPARISON_COLUMNS)
# As the feature caches of the same command, it is written anew without a question.
NETWORKS = table("a table of networks", NETWORK_COLUMNS, replaceable=True)
CURVE = table("a table of a learning curve", CURVE_COLUMNS)
SUSPECTS = table(
    "a table of suspects", SUSPECT_COLUMNS, _SUSPECT_COLUMNS_BEFORE_CONTENT, _SUSPECT_COLUMNS_BEFORE_ODDS
)
NEXT = table("a table of images to label", NEXT_COLUMNS)
SIMILAR = table("a table of similar images", SIMILAR_COLUMNS)
DUPLICATES = table(
    "a table of duplicates",
    DUPLICATE_COLUMNS,
    _DUPLICATE_COLUMNS_OF_PAIRS,
    _DUPLICATE_COLUMNS_BEFORE_THUMBNAILS,
)
EVALUATION = {
    "figures.csv": named(Kind("a table of metrics", _is_metrics)),
    "classes.csv": table("a table of classes", CLASS_COLUMNS),
    "confusion.csv": named(Kind("a confusion matrix", _is_confusion)),
    "images.csv": table("a table of evaluated images", IMAGE_COLUMNS),
    "groups.csv": table("a table of groups", GROUP_COLUMNS),
}
"""What ``evaluate --csv`` writes."""
