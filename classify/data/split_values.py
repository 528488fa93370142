"""`--split`: which values of a given split train and which test."""

from __future__ import annotations

from dataclasses import dataclass

from fc7.extract.inputs.tables.manifests import SPLIT_VALUES
from fc7.models.common.errors import UsageError

DRAW = "draw"
GIVEN = "train:val,test"
"""The default: what is held out of training tests."""


@dataclass(frozen=True, slots=True)
class SplitValues:
    """Values of the split column; use `parse`.

    Attributes
    ----------
    train, test : frozenset of str
        Neither empty, none in both.
    """

    train: frozenset[str]
    test: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> SplitValues | None:
        """What the option says; None if the split is to be drawn all the same.

        Raises
        ------
        UsageError
            If it is neither ``draw`` nor ``TRAIN:TEST`` with commas between several values.

        Examples
        --------
        >>> sorted(SplitValues.parse("train,val:test").train)
        ['train', 'val']
        """
        if text == DRAW:
            return None
        written = [[word.strip().lower() for word in side.split(",")] for side in text.split(":")]
        sides = [frozenset(SPLIT_VALUES.get(word, "") for word in side) for side in written]
        if len(sides) != 2 or "" in sides[0] | sides[1] or sides[0] & sides[1]:
            raise UsageError(
                f"--split {text!r} was found; give the sets that train and those that test, "
                f"such as train:test or train,val:test, or {DRAW} to draw a split all the same"
            )
        return cls(*sides)
