"""What a report says about where its metrics come from, before and after them."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.rows import Table
from fc7.classify.predict.same_truth import corrections_in_words, corrections_recorded
from fc7.classify.report.evaluated import EvaluatedImages
from fc7.classify.report.loading import LoadedCache
from fc7.classify.report.provenance_text import (
    calibration_in_words,
    pool_in_words,
    run_in_words,
    split_in_words,
    versions_in_words,
)
from fc7.classify.report.report_data import Headline
from fc7.extract.cache.format.header import tool_version
from fc7.models.network.spec import PreprocessSpec


def subject(cache: LoadedCache, classifier: Classifier, table: Table | None) -> tuple[tuple[str, str], ...]:
    """What was measured and on what, as names and values."""
    labelled = 0 if table is None else len(table.rows)
    return (
        ("Images", ", ".join(cache.header.roots)),
        (
            "Of these",
            f"{cache.n_images:,} found, {cache.header.rows:,} read, {labelled:,} labelled",
        ),
        *(() if cache.rows.corrected is None else (("Corrections", "; ".join(cache.rows.corrected.lines)),)),
        (
            "Features",
            f"{cache.rows.layer} of {classifier.identity.network}, "
            f"{cache.rows.X.shape[1]:,} numbers an image",
        ),
        (
            "Classifier",
            f"{classifier.head}, C = {classifier.C:g}, normalisation {classifier.normalizer.kind}, "
            f"{len(classifier.classes_)} classes",
        ),
    )


def warnings(cache: LoadedCache, evaluated: EvaluatedImages | None, other: Sequence[str]) -> tuple[str, ...]:
    """What a reader must know before any metric, a sentence each; `other` is what `other_truth` says."""
    found = [f"{note[0].upper()}{note[1:]}." for note in other]
    if not cache.header.identity.trained:
        found.append(
            f"Network {cache.header.identity.network!r} has random weights: enough to try the tool, no more."
        )
    if evaluated is not None and evaluated.metrics.unknown:
        unknown = ", ".join(f"{label} ({n})" for label, n in evaluated.metrics.unknown.items())
        found.append(
            "Labels that the classifier does not know, counted as wrong and left out of log loss and Brier "
            f"score: {unknown}."
        )
    return tuple(found)


def headline(evaluated: EvaluatedImages | None, made: Mapping[str, Any]) -> Headline | None:
    """The accuracy on what the classifier has not seen: measured here, else as fit recorded it."""
    if evaluated is not None and evaluated.exact:
        return _headline(evaluated.metrics.to_json(), evaluated.what)
    stored = made.get("metrics")
    if not isinstance(stored, Mapping):
        return None
    what = "images that fit held out"
    if made.get("refit") == "all":
        what += ", before the classifier was refitted on all of them"
    return _headline(stored, what)


def _headline(metrics: Mapping[str, Any], what: str) -> Headline:
    """Of `Metrics.to_json`, in which older classifiers lack some metrics."""
    low, high = metrics["accuracy_interval"]

    def number(name: str) -> float:
        value = metrics.get(name)
        return math.nan if value is None else float(value)

    return Headline(
        accuracy=metrics["accuracy"],
        low=low,
        high=high,
        n=metrics["n"],
        n_correct=metrics["n_correct"],
        mean_recall=metrics["mean_recall"],
        log_loss=number("log_loss"),
        brier=number("brier"),
        calibration_error=number("expected_calibration_error"),
        top_k={int(k): share for k, share in metrics.get("top_k", {}).items()},
        evaluated=what,
    )


def provenance(
    cache: LoadedCache, classifier: Classifier, model: Path, command: str
) -> tuple[tuple[str, str], ...]:
    """Where the metrics come from, as names and values; for whoever wants to have them again."""
    identity, header, made = classifier.identity, cache.header, classifier.metadata
    recorded = corrections_recorded(made)
    lines = [
        ("Network", identity.network + ("" if identity.trained else " (random weights)")),
        ("Layer", cache.rows.layer),
        ("Pooling", pool_in_words(header.identity.pool)),
        ("Fingerprint", identity.fingerprint),
        ("Preprocessing", PreprocessSpec.from_json(identity.preprocess).describe()),
        ("Cache", f"{cache.path}, written by fc7 {header.tool_version}"),
        *(("Extracted", run_in_words(run)) for run in header.runs),
        ("Classifier", f"{model}, SHA-256 {hashlib.sha256(model.read_bytes()).hexdigest()}"),
        ("Split", split_in_words(made.get("split"))),
        ("Corrections", "" if recorded is None else corrections_in_words(recorded)),
        ("Calibration", calibration_in_words(made.get("calibration"))),
        ("Fitted with", versions_in_words(made.get("versions"))),
        ("Command", command),
        ("Made", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC by fc7 {tool_version()}"),
    ]
    return tuple((name, value) for name, value in lines if value)
