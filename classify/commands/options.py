"""Options that several commands of this room share, said once.

A command takes a dataclass of them as one parameter (`models.common.command_table.unpacked`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fc7.models.common.errors import UsageError

if TYPE_CHECKING:
    from fc7.classify.classifier.classifier import Head
    from fc7.classify.fit.result import FitOptions

# As `classify.data.split_values.GIVEN`, whose module is loaded when there is something to do.
GIVEN_SPLIT = "train:val,test"

NormalizeArgument = Annotated[
    Literal["l2", "standard", "none", "auto"],
    typer.Option(help="What is done to a feature row first; auto cross-validates all three."),
]
OneSeArgument = Annotated[
    bool, typer.Option("--one-se", help="The smallest C within one standard error of the best.")
]
ClassWeightArgument = Annotated[
    Literal["none", "balanced"], typer.Option(help="balanced: every class counts the same.")
]


@dataclass(frozen=True)
class HeadArguments:
    """Which classifier is fitted."""

    svm: Annotated[bool, typer.Option("--svm", help="Linear SVM, one class against the rest.")] = False
    softmax: Annotated[bool, typer.Option("--softmax", help="Multinomial logistic regression.")] = False
    ovo: Annotated[
        bool, typer.Option("--ovo", help="Linear SVMs one class against another, of all pairs, that vote.")
    ] = False
    C: Annotated[str, typer.Option("-C", help="auto (cross-validated in the train set) or a number.")] = (
        "auto"
    )

    @property
    def head(self) -> Head | None:
        """None where cross-validation is to choose.

        Raises
        ------
        UsageError
            If the options contradict each other.
        """
        if self.softmax and self.ovo:
            raise UsageError(
                "found --softmax and --ovo; softmax is one problem of all classes and has no pairs: give "
                "--ovo alone (it means an SVM), or --softmax alone"
            )
        if self.svm and self.softmax:
            raise UsageError("found --svm and --softmax; give one of them, or neither to keep the better")
        return "svm-ovo" if self.ovo else "svm" if self.svm else "softmax" if self.softmax else None


@dataclass(frozen=True)
class CorrectionsArguments:
    """Labels that go before those of the feature cache."""

    corrections: Annotated[
        Path | None,
        typer.Option(
            help="A CSV of path or sha256, and label: labels that go before those of the feature cache, as "
            "suspects --csv writes it; an empty one takes the image out."
        ),
    ] = None


@dataclass(frozen=True)
class SelectionArguments:
    """Which images take part, and which of them are one picture."""

    include: Annotated[
        list[str] | None, typer.Option(help="Only these classes: repeat it, or put commas between.")
    ] = None
    exclude: Annotated[list[str] | None, typer.Option(help="All classes but these.")] = None
    duplicates: Annotated[
        str,
        typer.Option(
            help="Copies kept on one side: auto (near-duplicates, calibrated), a cosine, exact, or off."
        ),
    ] = "auto"


@dataclass(frozen=True)
class SplitArguments:
    """Which images train and which test."""

    test_size: Annotated[float, typer.Option(help="Share of each class held out as the test set.")] = 0.3
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same split.")] = 0
    split: Annotated[
        str,
        typer.Option(
            metavar="TRAIN:TEST",
            help="Which values of a given split train and test (train,val:test); draw: a new one.",
        ),
    ] = GIVEN_SPLIT
    ordered: Annotated[
        bool, typer.Option("--ordered", help="Test on the last of each class, by path; for pictures in time.")
    ] = False
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Train on N images of each class, test on the rest.")
    ] = None
    balance: Annotated[
        bool, typer.Option("--balance", help="Train on as many of each class as the smallest has.")
    ] = False


def fit_options(
    head: HeadArguments, selection: SelectionArguments, split: SplitArguments, **others: Any
) -> FitOptions:
    """What `classify.fit.fit` takes, of what was given on the command line."""
    from fc7.classify.fit.result import FitOptions

    return FitOptions(
        head=head.head,
        C=parse_C(head.C),
        include=tuple(selection.include or ()),
        exclude=tuple(selection.exclude or ()),
        duplicates=selection.duplicates,
        **dataclasses.asdict(split),
        **others,
    )


def parse_C(text: str) -> float | None:  # noqa: N802
    """A positive number, or None for ``auto``.

    Raises
    ------
    UsageError
        For anything else.
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"-C {text} was found; give auto or a number above 0")
    return value
