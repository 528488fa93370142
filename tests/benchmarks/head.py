"""``python -m tests.benchmarks.head``: what `classify` does to a batch of features, beside the network.

The features become probabilities and novelty, and these lines of predictions.csv. Both are timed in turn on
batches that the engine takes, as many of them together as in `classify`; decoding, which `extract` and
`classify` share, is left out, so that the share of all the time is below the one that is printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.classifier.novelty import NoveltyReference
from fc7.classify.predict.batching import batch_rows
from fc7.classify.predict.predictions import PredictionFormat, open_predictions
from fc7.classify.predict.score import score_finished
from fc7.extract.engine.session import Session
from fc7.extract.records import Pixels, Rows
from fc7.models.common.progress import Silent
from tests.benchmarks.__main__ import networks, sessions
from tests.support.fakes import MemoryOrigin

_N_FEATURES, _N_AXES = 4096, 16


def random_classifier(n_classes: int) -> Classifier:
    """Of the shape of a fitted one."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(_N_FEATURES, _N_AXES)))[0].T
    mean = rng.normal(size=_N_FEATURES, scale=0.01)
    return Classifier(
        classes_=tuple(f"class {i:04}" for i in range(n_classes)),
        coef_=rng.normal(size=(n_classes, _N_FEATURES)),
        intercept_=rng.normal(size=n_classes),
        normalizer=Normalizer("l2"),
        scale=1.0,
        head="svm",
        C=1.0,
        novelty=NoveltyReference(mean.astype(np.float32), axes.astype(np.float32)),
    )


def now() -> NDArray[np.float64]:
    """Milliseconds by the clock, and of CPU of all cores together."""
    return 1e3 * np.array([time.perf_counter(), time.process_time()])


def costs(session: Session, pixels: Pixels, n_classes: int, rounds: int) -> NDArray[np.float64]:
    """Milliseconds an image of the network and of the classifier, by the clock and of CPU; medians.

    A round is as many batches as `classify` takes together, each run through the network before.
    """
    classifier = random_classifier(n_classes)
    batches = max(1, -(-batch_rows(classifier) // len(pixels)))
    files = MemoryOrigin({f"class/photograph-{i:06}.jpg": b"" for i in range(len(pixels))})
    refs, sha256 = files.refs(), ["0" * 64] * len(pixels)
    network: list[NDArray[np.float64]] = []
    own: list[NDArray[np.float64]] = []

    def run() -> Iterator[Rows]:
        for _ in range(batches):
            began = now()
            features = session.run(pixels)
            network[-1] += now() - began
            yield Rows(refs, sha256, features)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "predictions.csv"
        with open_predictions(out, PredictionFormat(classifier.classes_, 5, unknown="unknown")) as writer:
            for _ in range(rounds):
                network.append(np.zeros(2))
                began = now()
                for scored in score_finished(run(), classifier, "fc7", Silent()):
                    rejected = classifier.rejected(scored.probabilities)
                    writer.write(scored.paths, scored.probabilities, [], rejected, scored.novelty)
                own.append(now() - began - network[-1])
    medians: NDArray[np.float64] = np.median([network, own], axis=1) / (batches * len(pixels))
    return medians


def main() -> None:
    """A line for each network, engine and number of classes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.head")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 50, 1000])
    chosen = parser.parse_args()
    for stored in networks():
        if stored.spec.default_layer != "fc7":
            continue
        size = stored.spec.preprocess.crop_height, stored.spec.preprocess.crop_width
        for label, (_, _, session) in sessions(stored).items():
            pixels = np.random.default_rng(0).integers(0, 256, (session.batch_size, *size, 3), dtype=np.uint8)
            for n_classes in chosen.classes:
                (network, network_cpu), (own, own_cpu) = costs(session, pixels, n_classes, chosen.rounds)
                print(
                    f"{stored.spec.name:18} {label:14} batches of {len(pixels)}, {n_classes:4} classes: "
                    f"network {network:.2f} ms an image (CPU {network_cpu:.2f}), classifier {own:.3f} ms "
                    f"(CPU {own_cpu:.3f}): {own / network:.2%} of it (CPU {own_cpu / network_cpu:.2%})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
