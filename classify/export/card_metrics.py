"""The metrics of a model card: tables of what was measured, each share with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fc7.classify.export.markdown import plain, table
from fc7.classify.metrics.intervals import wilson_interval

MISSING = "not recorded"
_CONFUSIONS = 10


def metrics_text(metrics: Mapping[str, Any]) -> list[str]:
    """What was measured, as lines of Markdown; `metrics` is what `Metrics.to_json` gives."""
    if not metrics:
        return [f"Metrics: {MISSING}."]
    n, n_correct = int(metrics["n"]), int(metrics["n_correct"])
    rows = [("accuracy", _share(n_correct, n)), ("mean class recall", _percent(metrics.get("mean_recall")))]
    rows += [
        (f"right among the first {k}", _percent(share)) for k, share in mapping(metrics, "top_k").items()
    ]
    for name, key in (
        ("log loss, nats", "log_loss"),
        ("Brier score", "brier"),
        ("expected calibration error", "expected_calibration_error"),
        ("mean average precision", "mean_average_precision"),
    ):
        if is_number(metrics.get(key)):
            rows.append((name, f"{metrics[key]:.3f}"))
    accepted = mapping(metrics, "rejection")
    if is_number(accepted.get("n_accepted")):
        n_accepted = int(accepted["n_accepted"])
        rows.append(("accepted at the threshold", _share(n_accepted, n)))
        rows.append(("accuracy of the accepted", _share(int(accepted["n_correct"]), n_accepted)))
    lines = [f"On {n} images that it had not seen:", "", *table(("metric", "value"), rows)]
    return [*lines, "", *_per_class(metrics), "", *_confusions(metrics)]


def _per_class(metrics: Mapping[str, Any]) -> list[str]:
    confusion = metrics.get("confusion", [])
    rows = []
    for i, each in enumerate(metrics.get("classes", [])):
        n, predicted = int(each["support"]), sum(int(row[i]) for row in confusion)
        right = int(confusion[i][i])
        rows.append((plain(str(each["label"])), _share(right, n), _share(right, predicted), str(n)))
    return table(("class", "recall", "precision", "test images"), rows)


def _confusions(metrics: Mapping[str, Any]) -> list[str]:
    labels = [plain(str(each["label"])) for each in metrics.get("classes", [])]
    pairs = [
        (int(n), labels[i], labels[j])
        for i, row in enumerate(metrics.get("confusion", []))
        for j, n in enumerate(row)
        if n and i != j
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    if not pairs:
        return ["No test image was taken for another class."]
    found = [(truth, guess, str(n)) for n, truth, guess in pairs[:_CONFUSIONS]]
    return ["Most frequent confusions:", "", *table(("truth", "taken for", "images"), found, "llr")]


def mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under a key; empty if there is none."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else "-"


def _share(part: int, whole: int) -> str:
    """A share with its numbers and its interval; a dash where there is nothing to share."""
    if not whole:
        return "-"
    low, high = wilson_interval(part, whole)
    return f"{part / whole:.1%} ({part} of {whole}; {low:.1%} to {high:.1%})"
