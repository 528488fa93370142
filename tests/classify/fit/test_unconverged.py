"""Heads that stop short of their optimum go on, and where that does not help it is said, by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.commands.texts.fit_text import fit_json, fit_report
from fc7.classify.commands.texts.summaries import learning_curve_report
from fc7.classify.commands.texts.suspects_text import suspects_json, suspects_text
from fc7.classify.data.folds import make_folds
from fc7.classify.fit.cross_validate import tune
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.fit.learning_curve_from_cache import learning_curve_of_cache
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.solvers import path as paths
from fc7.classify.fit.solvers.newton import minimise
from fc7.classify.fit.suspects_from_cache import cache_suspects
from fc7.classify.fit.training import TrainingData
from fc7.classify.image_columns import ImageColumns
from fc7.classify.report.gather import gather
from tests.classify.fit.test_suspects import uneven_cache
from tests.support.classify.blobs import blobs


def material() -> tuple[TrainingData, np.ndarray]:
    X, y = blobs([20, 20, 20], 15, spread=3.0)
    codes = np.unique(y, return_inverse=True)[1]
    return TrainingData(X, codes, "l2"), make_folds(codes, np.arange(60), 3)


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_what_ran_out_of_steps_goes_on_from_there(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, fold = material()
    whole = tune(head, data, fold, [10.0])  # type: ignore[arg-type]
    # Enough for two tries, too few for one.
    monkeypatch.setattr("fc7.classify.fit.solvers.newton._STEPS", whole.solver.iterations - 1)
    tries = []

    def counted(*arguments: object, **more: object) -> tuple[np.ndarray, int]:
        solved, steps = minimise(*arguments, **more)  # type: ignore[arg-type]
        tries.append(bool(solved.all()))
        return solved, steps

    monkeypatch.setattr(paths, "minimise", counted)
    repaired = tune(head, data, fold, [10.0])  # type: ignore[arg-type]
    assert tries == [False, True]
    assert repaired.best.converged
    assert repaired.best.problem("svm", 5) == ""
    np.testing.assert_allclose(repaired.scores, whole.scores, atol=1e-3)


def test_the_folds_that_failed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data, fold = material()

    def fails_in_the_second_and_fourth(*arguments: object, **more: object) -> tuple[np.ndarray, int]:
        solved, steps = minimise(*arguments, **more)  # type: ignore[arg-type]
        solved[[1, 3]] = False
        return solved, steps

    monkeypatch.setattr(paths, "minimise", fails_in_the_second_and_fourth)
    found = tune("softmax", data, fold, [1.0])
    assert found.best.failed_folds == (2, 4)
    assert found.best.problem("softmax", found.n_folds) == (
        "the softmax did not converge at C = 1 in folds 2, 4 of 5 of cross-validation"
    )


def test_it_is_said_in_text_json_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.classify.fit.solvers.newton._STEPS", 1)
    monkeypatch.setattr("fc7.classify.fit.solvers.heads._ITERATIONS", 1)
    cache = uneven_cache(tmp_path / "features.h5")
    options = FitOptions(head="softmax", C=1e4)
    result = fit_cache(cache, tmp_path / "c.onnx", options)
    said = "the softmax did not converge at C = 10000 in folds 1, 2, 3, 4, 5 of 5 of cross-validation"
    assert f"note: {said}" in fit_report(result)
    for record in (fit_json(result), load_classifier(tmp_path / "c.onnx").metadata):
        made = json.loads(json.dumps(dict(record)))
        assert said in made["notes"]
        (trial,) = made["tuning"][0]["trials"]
        assert (trial["converged"], trial["failed_folds"]) == (False, [1, 2, 3, 4, 5])

    suspects = cache_suspects(cache, FitOptions(C=1e4))
    assert f"note: {said}" in suspects_text(suspects, suspects.named, 5)
    assert suspects_json(suspects, suspects.named)["notes"] == [said]
    curve = learning_curve_of_cache(cache, options)
    assert f"note: {curve.n_failed} of the " in learning_curve_report(curve)
    assert curve.to_json()["notes"] == [curve.problem]
    notes = gather(cache, tmp_path / "c.onnx").notes
    assert said in notes
    # The search for label errors chooses a C of its own.
    assert any(note.startswith("label errors: the softmax did not converge") for note in notes)
    assert any("fits of the learning curve did not converge" in note for note in notes)


def test_so_is_the_classifier_that_is_fitted_with_copies_on_both_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 600)).astype(np.float32)
    X, y = np.concatenate([X, X * 1.01]), [f"c{c}" for c in rng.integers(0, 3, 60)] * 2
    said = (
        "the classifier that was fitted with copies on both sides of the split did not converge: a better "
        "one exists"
    )
    options = FitOptions(head="softmax", C=1e4)
    names = [f"{i:03}" for i in range(120)]
    whole = fit_classifier(X, y, ImageColumns(paths=names), options=options)
    assert whole.leakage is not None
    assert said not in whole.notes
    monkeypatch.setattr("fc7.classify.fit.solvers.heads._ITERATIONS", 1)
    monkeypatch.setattr("fc7.classify.fit.solvers.newton._STEPS", 1)
    short = fit_classifier(X, y, ImageColumns(paths=names), options=options)
    assert short.leakage is not None
    assert said in short.notes
