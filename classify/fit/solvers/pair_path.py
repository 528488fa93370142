"""What every pair of classes says of every row, fold by fold, for rising values of C.

A row is classified by all pairs. Of 200 classes there are 19,900, and writing down their weights only to
multiply all rows by them would cost many times the fit; but weights are sums of training rows, so what a pair
says of a row is a sum of inner products with the few rows of its two classes. Where the inner products of all
rows fit into memory, these are added up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.votes import Tally, pairs_of
from fc7.classify.fit.solvers.one_vs_one import Pairs

# Margins, in numbers (32 MB), and pairs without inner products that are scored at a time.
_MARGINS, _PAIRS = 1 << 23, 64


class PairPath(Pairs):
    """Pairs on several choices of rows: what `classify.fit.solvers.path.Path` is to the other heads."""

    def average(self) -> None:
        """Nothing: the pairs of all rows are solved without a start."""

    @property
    def scores(self) -> NDArray[np.floating[Any]]:
        """Decisions (n, n_choices, n_classes) about all rows, left out or not, at the last C."""
        tallies = [Tally(self.n, self.n_classes, np.float32) for _ in range(self.n_choices)]
        if self.gram is not None:
            step = max(1, _MARGINS // self.n_classes**2)
            for choice, tally in enumerate(tallies):
                for start in range(0, self.n, step):
                    rows = slice(start, min(start + step, self.n))
                    tally.add_all(*self._by_products(self.gram, choice, rows), rows)
        first, second = pairs_of(self.n_classes)
        counted = self.few[first, second] if self.gram is not None else np.zeros(len(first), np.bool_)
        left = np.flatnonzero(~counted).tolist()
        for start in range(0, len(left), _PAIRS):
            self._count(left[start : start + _PAIRS], tallies)
        return np.stack([tally.decisions() for tally in tallies], axis=1)

    def _by_products(
        self, gram: list[NDArray[np.float32]], choice: int, rows: slice
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Votes and sums, (n_classes, n_rows), of the pairs with few rows, by inner products."""
        K = self.n_classes
        products = gram[choice if len(gram) > 1 else 0][rows]
        # What each class's rows add to the margin of each of its pairs: (class, other, row).
        share = np.empty((K, K, products.shape[0]), np.float32)
        for c, own in enumerate(self.rows):
            held = self.sums[own, :, choice]
            share[c] = held.T @ products[:, own].T + held.sum(axis=0)[:, None]
        margins = share + share.swapaxes(0, 1)
        second = np.tril(self.few)[:, :, None]
        won = np.where(second, margins > 0, (margins <= 0) & np.triu(self.few)[:, :, None])
        sums = np.where(second, margins, -margins)
        return won.sum(axis=1, dtype=np.float32), sums.sum(axis=1, where=self.few[:, :, None])

    def _count(self, numbers: list[int], tallies: list[Tally]) -> None:
        F = self.n_choices
        first, second = pairs_of(self.n_classes)
        found = [self.weights(int(first[k]), int(second[k])) for k in numbers]
        w, b = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        design = self.design.only(np.tile(np.arange(F), len(numbers)))
        margins = design.scores(w, b)[:, :, 0].reshape(self.n, len(numbers), F)
        for choice, tally in enumerate(tallies):
            tally.add(margins[:, :, choice], numbers)
