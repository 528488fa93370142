"""What came of comparing networks: one row for each, tests against the best, and which to take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fc7.classify.fit.next_steps import option_of
from fc7.classify.fit.result import FitResult
from fc7.classify.kinds import NETWORK_COLUMNS
from fc7.classify.predict.compare import Comparison
from fc7.extract.records import Failure
from fc7.models.common.program import command_line


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a network ran on this machine.

    Attributes
    ----------
    images_per_second : float
        By ``extract`` from file to row, all layers that were asked for together; by ``bench`` from pixels to
        features (`models.store.measured.Measured`).
    measured_by : {"extract", "bench"}
        The extraction of this call, or an earlier `models bench`.
    """

    images_per_second: float
    measured_by: Literal["extract", "bench"]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkResult:
    """One layer of a network: what it costs and how well it does.

    Attributes
    ----------
    name : str
        The network; with its layer where several layers of it are compared.
    features : Path
        The feature cache.
    size : int
        Bytes of the network's files.
    dim : int
        Features an image.
    speed : Speed or None
        None if nothing was extracted now and nothing was measured before.
    fit : FitResult
        Its rows count within the images that trained or tested.
    predictions : list of str
        For each image of the test set.
    correct : ndarray of shape (n_test,), bool
    """

    name: str
    network: str
    layer: str
    features: Path
    size: int
    dim: int
    speed: Speed | None
    fit: FitResult
    predictions: list[str]
    correct: NDArray[np.bool_]

    @property
    def n_correct(self) -> int:
        """Test images that it has right."""
        return self.fit.metrics.n_correct

    def to_json(self) -> dict[str, object]:
        """For programs."""
        metrics, speed = self.fit.metrics, self.speed
        return {
            "network": self.network,
            "layer": self.layer,
            "n_correct": metrics.n_correct,
            "accuracy": metrics.accuracy,
            "accuracy_interval": list(metrics.accuracy_interval),
            "images_per_second": None if speed is None else round(speed.images_per_second, 1),
            "measured_by": None if speed is None else speed.measured_by,
            "bytes": self.size,
            "dim": self.dim,
            "fit_seconds": round(self.fit.seconds, 3),
            "head": self.fit.classifier.head,
            "C": self.fit.C,
            "features": str(self.features),
        }


@dataclass(frozen=True, slots=True, eq=False)
class NetworkChoice:
    """What `choose_network` found.

    Attributes
    ----------
    results : tuple of NetworkResult
        The most accurate first; of equals the smaller one.
    comparisons : tuple of Comparison
        McNemar's test of the best and each other one, in the order of ``results[1:]``.
    failed : tuple of (str, str)
        Networks that gave no result, with the reason.
    paths, truth : list of str
        The test set, which is the same for all, and its labels.
    n_train : int
        Images that trained.
    failures : list of Failure
        Images that could not be read, sorted by path; each once.
    """

    results: tuple[NetworkResult, ...]
    comparisons: tuple[Comparison, ...]
    failed: tuple[tuple[str, str], ...]
    paths: list[str]
    truth: list[str]
    n_train: int
    failures: list[Failure]
    notes: tuple[str, ...]
    seconds: float

    @property
    def best(self) -> NetworkResult:
        """The most accurate one."""
        return self.results[0]

    @property
    def not_told_apart(self) -> list[NetworkResult]:
        """The best one, and those that the test does not tell from it."""
        others = zip(self.results[1:], self.comparisons, strict=True)
        return [self.best, *(result for result, test in others if test.better is None)]

    @property
    def has_speeds(self) -> bool:
        """Whether the speeds of `not_told_apart` can be compared: all known, and measured in one way."""
        found = {result.speed.measured_by if result.speed else None for result in self.not_told_apart}
        return len(found) == 1 and None not in found

    @property
    def recommended(self) -> NetworkResult:
        """The fastest of `not_told_apart`; the smallest where their speeds cannot be compared."""
        return min(self.not_told_apart, key=_seconds_an_image if self.has_speeds else _size)

    @property
    def comparison(self) -> Comparison | None:
        """The test of the best two; None where there is one alone."""
        return self.comparisons[0] if self.comparisons else None

    @property
    def recommendation(self) -> str:
        """Which to take and why, in plain words."""
        chosen, among = self.recommended, self.not_told_apart
        if len(self.results) == 1:
            return f"{chosen.name} is the only network that gave features"
        if len(among) == 1:
            return f"take {chosen.name}: it is better than every other one"
        by = "fastest" if self.has_speeds else "smallest"
        if chosen is self.best:
            return (
                f"take {chosen.name}: it is the most accurate one, and the {by} of the {len(among)} that the "
                f"test does not tell apart; {self._power}"
            )
        test = self.comparisons[self.results.index(chosen) - 1]
        low, high = test.difference_interval
        return (
            f"take {chosen.name}: it is the {by} of the {len(among)} that the test does not tell apart. Its "
            f"accuracy minus that of {self.best.name}: 95% interval {low:+.1%} to {high:+.1%}; {self._power}"
        )

    @property
    def _power(self) -> str:
        """What so few images cannot show."""
        tests = [test for test in self.comparisons if test.better is None]
        if all(test.test.b + test.test.c < 6 for test in tests):
            return f"{len(self.paths)} test images are too few to tell these apart"
        half = max((test.difference_interval[1] - test.difference_interval[0]) / 2 for test in tests)
        return f"differences below {100 * half:.0f} points are not seen on {len(self.paths)} test images"

    @property
    def caution(self) -> str | None:
        """Why the best number is too good; None where nothing was chosen among."""
        if len(self.results) == 1:
            return None
        return (
            f"the best of {len(self.results)} accuracies on one test set is too good a number, as it was "
            f"chosen for being the best; images that took no part give one that is not: "
            f"{command_line('evaluate', 'NEW')}"
        )

    @property
    def next_command(self) -> str:
        """What fits a classifier on the features of the recommended network."""
        chosen = self.recommended
        head = {"svm": "--svm", "softmax": "--softmax", "svm-ovo": "--ovo"}[chosen.fit.classifier.head]
        out = Path(chosen.features).with_suffix(".onnx")
        labels = option_of(chosen.fit.corrected)
        return command_line("fit", chosen.features, "--layer", chosen.layer, head, *labels, "-o", str(out))

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "n_train": self.n_train,
            "n_test": len(self.paths),
            "networks": [
                {**result.to_json(), "p_value_to_best": p_value}
                for result, p_value in zip(self.results, self._p_values, strict=True)
            ],
            "best_two": None if self.comparison is None else self.comparison.to_json(),
            "not_told_apart": [result.name for result in self.not_told_apart],
            "recommended": self.recommended.name,
            "recommendation": self.recommendation,
            "caution": self.caution,
            "next_command": self.next_command,
            "failed": [{"network": name, "reason": reason} for name, reason in self.failed],
            "failures": [{"path": failure.path, "reason": failure.reason} for failure in self.failures],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    def table(self) -> Iterator[Sequence[object]]:
        """A row for each network, after a header: for CSV."""
        yield NETWORK_COLUMNS
        for result, p_value in zip(self.results, self._p_values, strict=True):
            low, high = result.fit.metrics.accuracy_interval
            found = {
                **result.to_json(),
                "low": low,
                "high": high,
                "n_test": len(self.paths),
                "p_value": p_value,
            }
            yield [found.get(column) for column in NETWORK_COLUMNS]
        for name, reason in self.failed:
            yield [{"network": name, "error": reason}.get(column) for column in NETWORK_COLUMNS]

    @property
    def _p_values(self) -> list[float | None]:
        return [None, *(test.test.p_value for test in self.comparisons)]


def _seconds_an_image(result: NetworkResult) -> float:
    return math.inf if result.speed is None else 1 / result.speed.images_per_second


def _size(result: NetworkResult) -> int:
    return result.size
