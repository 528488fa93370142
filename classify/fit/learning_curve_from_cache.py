"""The learning curve of a features.h5: what the command `learning-curve` does."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fc7.classify.data.load import one_layer, table_of
from fc7.classify.fit.fit import FitOptions, fit_table
from fc7.classify.fit.learning_curve import REPEATS, CodedRows, LearningCurve, learning_curve
from fc7.classify.fit.result import FitResult
from fc7.extract.cache.reader import FeatureSet
from fc7.models.common.progress import Progress


def learning_curve_of_cache(
    features: str | Path,
    options: FitOptions | None = None,
    *,
    layer: str | None = None,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit as `fit` does, which decides split, head and C, and measure the curve of that.

    Parameters
    ----------
    features : str or Path
        A cache that `extract` made.

    Raises
    ------
    UsageError, DataError, CacheError
        As `classify.fit.from_cache.fit_cache`.
    """
    started = time.perf_counter()
    options = replace(options or FitOptions(), refit_all=False)
    found = one_layer(features, layer, options.corrections)
    result = fit_table(table_of(found), options=options, progress=progress)
    curve = curve_of_fit(found, result, repeats=repeats, progress=progress)
    return replace(curve, seconds=time.perf_counter() - started, corrected=found.corrected)


def curve_of_fit(
    found: FeatureSet, result: FitResult, *, repeats: int = REPEATS, progress: Progress | None = None
) -> LearningCurve:
    """The curve of the split, head and C of a fit.

    Parameters
    ----------
    found : FeatureSet
        What was fitted on, of the layer that was kept.
    """
    code = {label: i for i, label in enumerate(result.classifier.classes_)}
    labels = [str(label) for label in found.y]
    y, y_test = (
        np.array([code.get(labels[i], -1) for i in rows], np.intp) for rows in (result.train, result.test)
    )
    return learning_curve(
        CodedRows(found.X[result.train], y),
        result.train_groups,
        CodedRows(found.X[result.test], y_test),
        options=result.chosen,
        repeats=repeats,
        progress=progress,
    )
