"""How to fit, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import HEADS, Classifier, Head
from fc7.classify.classifier.normalizer import KINDS, Normalization
from fc7.classify.classifier.novelty import LearnedNovelty
from fc7.classify.classifier.rejection import Rejection, TradeOff
from fc7.classify.data.leakage import Leakage
from fc7.classify.data.options import SplitOptions
from fc7.classify.data.split_values import GIVEN
from fc7.classify.duplicates.find import Duplicates
from fc7.classify.fit.cross_validate import Tuned
from fc7.classify.fit.solvers.heads import Solver
from fc7.classify.fit.training import CLASS_WEIGHTS, ClassWeight
from fc7.classify.metrics.metrics import Metrics
from fc7.extract.inputs.tables.corrections import Corrected
from fc7.models.common.errors import UsageError


@dataclass(frozen=True, slots=True)
class FitOptions(SplitOptions):
    """How to fit; with what `SplitOptions` has.

    Attributes
    ----------
    head : {"svm", "softmax", "svm-ovo"} or None
        None cross-validates the first two and keeps the better.
    C : float or None
        None cross-validates (`classify.fit.cross_validate.grid`).
    normalize : {"l2", "standard", "none", "auto"}
        "auto" cross-validates them and keeps the best.
    one_se : bool
        Of the values of C take the smallest that is at most one standard error worse than the best.
    class_weight : {"none", "balanced"}
        "balanced": images of rare classes count more, so that each class counts the same.
    refit_all : bool
        Whether the classifier that is kept learns from the test set too. The metrics never do.
    reject_precision : float or None
        Learn the threshold below which images are rejected so that the accepted ones are right this often,
        in (0, 1).
    reject_below : float or None
        That threshold as it is, in (0, 1). At most one of the two.

    Examples
    --------
    >>> options = FitOptions(head="svm", C=1.0, test_size=0.2)
    >>> options.normalize, options.seed
    ('l2', 0)
    >>> FitOptions(C=0)
    Traceback (most recent call last):
    fc7.models.common.errors.UsageError: -C 0 was found; give auto or a number above 0
    """

    head: Head | None = None
    C: float | None = None
    normalize: Normalization | Literal["auto"] = "l2"
    one_se: bool = False
    class_weight: ClassWeight = "none"
    refit_all: bool = False
    reject_precision: float | None = None
    reject_below: float | None = None

    def __post_init__(self) -> None:
        SplitOptions.__post_init__(self)
        if self.C is not None and not 0 < self.C < math.inf:
            raise UsageError(f"-C {self.C:g} was found; give auto or a number above 0")
        if self.reject_precision is not None and self.reject_below is not None:
            raise UsageError("found --reject-precision and --reject-below; give one of them, or neither")
        for option, share in (
            ("--reject-precision", self.reject_precision),
            ("--reject-below", self.reject_below),
        ):
            if share is not None and not 0 < share < 1:
                raise UsageError(f"{option} {share:g} was found; give a share between 0 and 1, such as 0.95")
        if self.head not in (*HEADS, None) or self.normalize not in (*KINDS, "auto"):
            raise UsageError(
                f"head {self.head!r} and normalize {self.normalize!r} were found; give a head of "
                f"{', '.join(HEADS)} or None and a normalisation of {', '.join(KINDS)} or auto"
            )
        if self.class_weight not in CLASS_WEIGHTS:
            raise UsageError(
                f"class weight {self.class_weight!r} was found; give one of {', '.join(CLASS_WEIGHTS)}"
            )

    @property
    def rejects(self) -> bool:
        """Whether images that are too unsure are to be rejected."""
        return self.reject_precision is not None or self.reject_below is not None


def class_weight_of(made: Mapping[str, object]) -> ClassWeight:
    """The class weight that `FitResult.record` wrote; "none" in files made before there was one."""
    return "balanced" if made.get("class_weight") == "balanced" else "none"


@dataclass(frozen=True, slots=True)
class FitResult:
    """A classifier and how it came to be.

    Attributes
    ----------
    classifier : Classifier
        Fitted on the train set, or on every labelled row with `FitOptions.refit_all`.
    metrics : Metrics
        On the test set, of the classifier fitted on the train set alone.
    train, test : ndarray of intp
        Rows of X, ascending.
    train_groups : ndarray of shape (n_train,), intp
        From 0: rows of `train` with the same number are of one group, or copies.
    parts : ndarray of shape (n,), str
        The same for each row of X: ``train``, ``test``, or empty for a row that is in neither.
    split_how : {"stratified", "column"}
        Drawn by `FitOptions.seed`, or given with the data.
    counts : dict of str to (int, int)
        Label -> images in training and in the test set, in the order of the classes; labels of the
        test set that the classifier does not know come last.
    tuned : tuple of Tuned
        The cross-validation of the head that was kept, then of the other if both were tried; empty if
        there were too few images for any.
    rejection : Rejection or None
        The threshold, if one was asked for.
    novelty : LearnedNovelty or None
        None if no training row could be held out to learn it.
    novel : tuple of str
        Paths of the test images that it flags, the farthest first; row numbers where there are no paths.
    trade_offs : tuple of TradeOff
        What other thresholds do on the test set; empty unless images are to be rejected.
    solver : Solver
        What found the kept classifier.
    notes : tuple of str
        What the user should know, a sentence each.
    grouped : bool
        Whether the images have groups, which a drawn split keeps on one side.
    group_hint : str or None
        The one of `notes` that says how to group images whose names look like one session.
    duplicates : Duplicates or None
        Among the labelled rows of the chosen classes; None if they were not searched for.
    leakage : Leakage or None
        What copies on both sides do to the accuracy; None if no split parts any.
    corrected : Corrected or None
        What corrections did to the labels; None if there were none.
    """

    classifier: Classifier
    metrics: Metrics
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    train_groups: NDArray[np.intp]
    parts: NDArray[np.str_]
    split_how: Literal["stratified", "column"]
    counts: dict[str, tuple[int, int]]
    tuned: tuple[Tuned, ...]
    rejection: Rejection | None
    novelty: LearnedNovelty | None
    novel: tuple[str, ...]
    trade_offs: tuple[TradeOff, ...]
    solver: Solver
    notes: tuple[str, ...]
    options: FitOptions
    seconds: float
    grouped: bool = False
    group_hint: str | None = None
    duplicates: Duplicates | None = None
    leakage: Leakage | None = None
    corrected: Corrected | None = None

    def __repr__(self) -> str:
        images = f"{len(self.train)} images to train, {len(self.test)} to test"
        return f"FitResult({self.classifier!r}, {self.metrics!r}, {images})"

    @property
    def C(self) -> float:  # noqa: N802
        """The C of the kept classifier."""
        return self.classifier.C

    @property
    def chosen(self) -> FitOptions:
        """The options with the head, C and normalisation that were chosen."""
        kept = self.classifier
        return replace(self.options, head=kept.head, C=kept.C, normalize=kept.normalizer.kind)

    def record(self) -> dict[str, object]:
        """What classifier.onnx says about its making, as JSON values; no times, so that it is repeatable."""
        options = self.options
        drawn = {"test_size": options.test_size, "seed": options.seed}
        is_drawn = self.split_how == "stratified"  # else the options of drawing were without effect
        chosen = {
            "ordered": is_drawn and options.ordered,
            "per_class": options.per_class if is_drawn else None,
            "balance": options.balance,
            "include": list(options.include),
            "exclude": list(options.exclude),
            "words": options.split if not is_drawn and options.split != GIVEN else None,
            "kept": is_drawn and options.keep_split is not None,
        }
        return {
            "split": {
                "how": self.split_how,
                "n_train": len(self.train),
                "n_test": len(self.test),
                **(drawn if is_drawn else {}),
                **{name: value for name, value in chosen.items() if value},
            },
            "duplicates": {
                "how": options.duplicates,
                **(self.duplicates.to_json() if self.duplicates else {}),
                **(self.leakage.to_json() if self.leakage else {}),
            },
            **({} if self.corrected is None else {"corrections": self.corrected.to_json()}),
            "counts": {label: list(parts) for label, parts in self.counts.items()},
            "class_weight": self.options.class_weight,
            "one_standard_error": self.options.one_se,
            "refit": "all" if self.options.refit_all else "train",
            "solver": self.solver.to_json(),
            "calibration": "temperature, out of fold" if self.tuned else "none",
            "rejection": None
            if self.rejection is None
            else {**self.rejection.to_json(), "trade_offs": [each.to_json() for each in self.trade_offs]},
            "novelty": None
            if self.novelty is None
            else {**self.novelty.to_json(), "n_test_flagged": len(self.novel)},
            "tuning": [each.to_json() for each in self.tuned],
            "metrics": self.metrics.to_json(),
            "notes": list(self.notes),
            "versions": {name: metadata.version(name) for name in ("numpy", "scikit-learn")},
        }
