"""Batches wait for each other where the head is large: what comes out is the same, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.predict.batching import batch_rows, batched
from fc7.classify.predict.predictions import PredictionFormat, open_predictions
from fc7.classify.predict.score import Scored, score_finished
from fc7.extract.records import Failure, Rows
from fc7.models.common.errors import Fc7Error
from fc7.models.common.progress import Silent
from tests.support.fakes import MemoryOrigin

_FEATURES = 4096


class Counting(Silent):
    def __init__(self) -> None:
        self.told: list[int] = []

    def advance(self, n: int = 1) -> None:
        self.told.append(n)


def classifier(n_classes: int) -> Classifier:
    coef = np.random.default_rng(0).normal(size=(n_classes, _FEATURES))
    classes = tuple(f"c{i}" for i in range(n_classes))
    return Classifier(classes, coef, np.zeros(n_classes), Normalizer("l2"), 1.0, "svm", 1.0)


def batches(sizes: list[int], n_features: int = 2) -> list[Rows]:
    """Batches in order; the first image of every third one could not be read."""
    files = MemoryOrigin({f"a/{i:04}.png": b"x" for i in range(sum(sizes))})
    refs, rng, start = files.refs(), np.random.default_rng(1), 0
    found = []
    for number, size in enumerate(sizes):
        part = refs[start : start + size]
        start += size
        failed = [Failure(ref.path, "broken", 1, 1) for ref in part[: number % 3 == 0]]
        part = part[len(failed) :]
        features = {"fc7": rng.random((len(part), n_features), np.float32)} if part else {}
        found.append(Rows(part, [ref.path for ref in part], features, failures=failed))
    return found


def stopped_after(done: list[Rows], error: BaseException) -> Iterator[Rows]:
    yield from done
    raise error


@pytest.mark.parametrize(("n_classes", "n_rows"), [(2, 0), (50, 0), (127, 0), (200, 16), (1000, 112)])
def test_only_large_heads_wait(n_classes: int, n_rows: int) -> None:
    assert batch_rows(classifier(n_classes)) == n_rows


def test_no_head_waits_for_more_than_128_rows() -> None:
    assert batch_rows(classifier(2000)) == 128


def test_a_small_head_gets_every_batch_when_it_comes() -> None:
    done = batches([4, 1, 3, 2])
    in_train = [len(block.refs) + len(block.failures) for block in batched(done, 0, Silent())]
    assert in_train == [4, 1, 3, 2]


@pytest.mark.parametrize("n_rows", [0, 1, 5, 16, 1000])
def test_images_come_in_order_and_each_once(n_rows: int) -> None:
    done = batches([4, 1, 3, 2, 7, 1, 1])
    progress = Counting()
    found = list(batched(done, n_rows, progress))
    assert [len(block.refs) + len(block.failures) >= n_rows for block in found[:-1]] == [True] * len(
        found[:-1]
    )
    assert [ref.path for block in found for ref in block.refs] == [
        ref.path for one in done for ref in one.refs
    ]
    assert [f.path for block in found for f in block.failures] == [
        f.path for one in done for f in one.failures
    ]
    rows = [block.features["fc7"] for block in found if block.refs]
    np.testing.assert_array_equal(
        np.concatenate(rows), np.concatenate([one.features["fc7"] for one in done if one.refs])
    )
    # Whoever watches sees every batch, though its lines come later.
    assert progress.told == [4, 1, 3, 2, 7, 1, 1]
    ends = [max([*(r.path for r in block.refs), *(f.path for f in block.failures)]) for block in found]
    assert all(a < b for a, b in pairwise(ends))


def test_a_batch_is_seen_before_the_next_one_is_asked_for() -> None:
    progress, asked = Counting(), []

    def done() -> Iterator[Rows]:
        for one in batches([2, 2, 2]):
            asked.append(len(progress.told))
            yield one

    list(batched(done(), 100, progress))
    assert asked == [0, 1, 2]


def test_nobody_waits_longer_than_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(2 * i) for i in range(1000))
    monkeypatch.setattr("fc7.extract.worker.gathering.time.monotonic", lambda: next(clock))
    sizes = [len(block.refs) + len(block.failures) for block in batched(batches([2] * 4), 100, Silent())]
    assert sizes == [4, 4]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Fc7Error("the engine failed"), ValueError("x")])
def test_what_waits_when_the_network_fails_is_given_out_first(error: BaseException) -> None:
    done, in_train = batches([4, 4, 4]), 0
    with pytest.raises(type(error)):
        for block in batched(stopped_after(done, error), 100, Silent()):
            in_train += len(block.refs) + len(block.failures)
    assert in_train == 12


def test_a_reader_that_goes_away_is_not_given_more() -> None:
    waiting = batched(batches([2, 2, 2]), 3, Silent())
    next(iter(waiting))
    waiting.close()  # type: ignore[attr-defined]


def test_answers_are_those_of_every_batch_alone() -> None:
    head = classifier(1000)
    done = batches([16] * 9 + [5], _FEATURES)

    def scored(each: list[list[Rows]]) -> list[Scored]:
        return [one for some in each for one in score_finished(some, head, "fc7", Silent())]

    joined, alone = scored([done]), scored([[one] for one in done])
    assert [len(one.paths) + len(one.failures) for one in joined] == [112, 37]
    assert [p for one in joined for p in one.paths] == [p for one in alone for p in one.paths]
    np.testing.assert_allclose(
        np.concatenate([one.probabilities for one in joined]),
        np.concatenate([one.probabilities for one in alone]),
        rtol=2e-7,
    )


def test_an_interrupted_run_keeps_the_lines_of_what_was_done(tmp_path: Path) -> None:
    head = classifier(200)
    done = stopped_after(batches([4, 4], _FEATURES), Fc7Error("the engine failed"))
    with (
        pytest.raises(Fc7Error, match=r"p\.csv\.part"),
        open_predictions(tmp_path / "p.csv", PredictionFormat(head.classes_, 1)) as writer,
    ):
        for scored in score_finished(done, head, "fc7", Silent()):
            writer.write(scored.paths, scored.probabilities, scored.failures)
    assert len((tmp_path / "p.csv.part").read_text().splitlines()) == 1 + 8
