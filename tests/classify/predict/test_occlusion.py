"""Covering a part of a picture, against one picture at a time by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.predict.occlusion import occlusion_map
from fc7.extract.drawn.drawing import png_bytes
from fc7.extract.options import RunOptions
from fc7.extract.records import Features, ImageRef
from fc7.extract.worker.worker import NetworkRun, Worker
from fc7.models.common.errors import ImageError, UsageError
from fc7.models.store.store import load
from tests.support import CommandLine


def any_classifier(n_features: int) -> Classifier:
    rng = np.random.default_rng(0)
    return Classifier(
        ("a", "b", "c"),
        rng.normal(0, 0.003, (3, n_features)),
        rng.normal(0, 1, 3),
        Normalizer("none", None, None),
        scale=1.0,
        head="softmax",
        C=1.0,
    )


def test_each_square_is_what_covering_it_by_hand_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = CommandLine(tmp_path).with_tiny_network()
    monkeypatch.setenv("FC7_HOME", str(here.store))
    tiny = load("tiny")
    worker = Worker(
        NetworkRun(tiny.graph_path, tiny.spec, ("embedding",), RunOptions(device="cpu")), None, 16
    )

    def run(refs: Sequence[ImageRef]) -> Features:
        return worker.process(refs, "")[0].features["embedding"]

    picture = np.random.default_rng(1).integers(0, 256, (60, 100, 3)).astype(np.uint8)
    classifier = any_classifier(64)
    found = occlusion_map(png_bytes(picture), classifier, run, cells=4)

    def probability(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
        class Place:
            name = ""

            def read(self, ref: ImageRef) -> bytes:
                return png_bytes(pixels)

        (row,) = run([ImageRef("x", None, None, None, 0, 0, Place(), 0)])
        scores = classifier.coef_ @ row.astype(np.float64) + classifier.intercept_
        odds = np.exp(scores - scores.max())
        return float((odds / odds.sum())[classifier.classes_.index(found.label)])

    base = probability(picture)
    assert found.base == pytest.approx(base, abs=1e-5)
    for i in range(4):
        for j in range(4):
            covered = picture.copy()
            # Cells of 15 x 25; a square of two by two of them around the middle of each.
            top, left = round((i - 0.5) * 15), round((j - 0.5) * 25)
            covered[max(0, top) : round((i + 1.5) * 15), max(0, left) : round((j + 1.5) * 25)] = 128
            assert found.drop[i, j] == pytest.approx(base - probability(covered), abs=1e-5), (i, j)
    assert np.abs(found.drop).max() > 0.001


def test_what_cannot_be_covered_is_told() -> None:
    def none(refs: Sequence[ImageRef]) -> Features:
        return np.empty((0, 4), np.float32)

    with pytest.raises(UsageError, match="1 cells"):
        occlusion_map(np.zeros((4, 4, 3), np.uint8), any_classifier(4), none, cells=1)
    with pytest.raises(ImageError, match="gave 0 rows"):
        occlusion_map(np.zeros((4, 4, 3), np.uint8), any_classifier(4), none)
    with pytest.raises(ImageError):
        occlusion_map(b"nonsense", any_classifier(4), none)
