"""One-vs-one: a linear SVM for each pair of classes, on several choices of rows at once.

Each problem is LinearSVC's over the rows of two classes. Where these are few it is solved through their inner
products (`classify.fit.solvers.kernel_newton`), else by the products of all choices
(`classify.fit.solvers.newton`).

Written here: `sklearn.svm.SVC` on the precomputed kernel is as accurate, and on some hundred rows as fast.
With 100 classes it takes twice the time, with 10,000 rows seven times the memory
(tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.products import Design
from fc7.classify.classifier.votes import n_pairs, pairs_of
from fc7.classify.fit.solvers.heads import Fitted, Solver
from fc7.classify.fit.solvers.kernel_newton import TOLERANCE, solve
from fc7.classify.fit.solvers.losses import SquaredHinge
from fc7.classify.fit.solvers.newton import Weights, gradient_at_zero, minimise
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import UsageError

# Rows of a pair up to which a solve of their inner products is the cheaper way: at 512 rows of 4096 features
# both took about the same.
_FEW = 512
# Numbers in the inner products of one batch of pairs (32 MB), and in those of all rows (512 MB).
_BATCH, _LARGEST_GRAM = 1 << 22, 1 << 27
# Weights of all pairs, in numbers: 1 GiB in float64, and in the file, of which protobuf allows 2 GiB.
_LARGEST_HEAD = 1 << 27


def check_pairs(n_classes: int, n_features: int) -> None:
    """Refuse weights that neither memory nor an ONNX file can hold.

    Raises
    ------
    UsageError
    """
    pairs = n_pairs(n_classes)
    if pairs * n_features > _LARGEST_HEAD:
        raise UsageError(
            f"--ovo: {n_classes} classes are {pairs:,} pairs, with {n_features:,} features each "
            f"{pairs * n_features * 8 / 2**30:.1f} GiB of weights; the most is "
            f"{_LARGEST_HEAD * 8 / 2**30:.0f} GiB: fit without --ovo, on a layer with fewer features, or "
            "with fewer classes (--include)"
        )


class Pairs:
    """The problems of all pairs, on several choices of rows at once.

    Parameters
    ----------
    design : Design
        Its scalings, if any, have one problem for each choice of rows.
    y : ndarray of shape (n,), intp
        Class codes.
    inside : ndarray of shape (n, n_choices), bool
        Which rows each choice fits on; some of each class.
    balanced : bool
        C of a class times ``rows of the pair / (2 * rows of the class)``, as LinearSVC has it for the rows
        that it is given.
    tolerance : float
        Of pairs with many rows; as `classify.fit.solvers.path.Path`.
    exact : bool
        Inner products in float64.

    Attributes
    ----------
    rows : list of ndarray of intp
        Of each class.
    few : ndarray of shape (n_classes, n_classes), bool
        Which pairs are solved through inner products.
    sums : ndarray of shape (n, n_classes, n_choices)
        How often row r is held in the weights of its class against class c: those of a pair with few rows
        are the sum over its rows.
    large : dict of int to Weights
        Pair -> its weights, where it has many rows.
    gram : list of ndarray of shape (n, n), float32, or None
        Inner products of all rows, one array or one for each choice; None if they are too many.
    unsolved : ndarray of intp
        Choices of rows with a pair that was not solved at the last C.
    """

    def __init__(
        self,
        design: Design,
        y: NDArray[np.intp],
        inside: NDArray[np.bool_],
        *,
        balanced: bool,
        tolerance: float,
        exact: bool = False,
    ) -> None:
        self.design = design
        self.n, self.n_choices = inside.shape
        self.rows = [np.flatnonzero(y == c) for c in range(int(y.max()) + 1)]
        self.n_classes = len(self.rows)
        self._inside, self._balanced, self._tolerance = inside, balanced, tolerance
        self._counts = np.stack([inside[rows].sum(axis=0) for rows in self.rows])
        self._dtype: type[np.floating[Any]] = np.float64 if exact else np.float32
        self.sums = np.zeros((self.n, self.n_classes, self.n_choices), self._dtype)
        size = np.array([len(rows) for rows in self.rows])
        self.few = size[:, None] + size <= _FEW
        np.fill_diagonal(self.few, val=False)
        self.number = np.zeros((self.n_classes, self.n_classes), np.intp)
        self.number[pairs_of(self.n_classes)] = np.arange(n_pairs(self.n_classes))
        self.large: dict[int, Weights] = {}
        self.gram = None if exact else self._all_products()
        self.unsolved, self._steps = np.arange(self.n_choices), 0

    @property
    def solver(self) -> Solver:
        """What found the weights at the last C."""
        if not self.few.any():
            return Solver("truncated Newton", self._tolerance, self._steps)
        if not self.large:
            return Solver("Newton on inner products", TOLERANCE, self._steps)
        return Solver("Newton on inner products, truncated for large pairs", self._tolerance, self._steps)

    def fit(self, C: float) -> None:
        """Fit all at the next C."""
        with ThreadPoolExecutor(default_jobs(), thread_name_prefix="pairs") as threads:
            solved = list(threads.map(lambda batch: self._solve_few(batch[0], batch[1], C), self._batches()))
        first, second = np.nonzero(np.triu(~self.few, 1))
        solved += [self._solve_many(i, j, C) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
        self.unsolved = np.flatnonzero(~np.all([good for good, _ in solved], axis=0))
        self._steps = max(steps for _, steps in solved)

    @property
    def converged(self) -> bool:
        """At the last C, all of them."""
        return not len(self.unsolved)

    def weights(self, i: int, j: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Of one pair in every choice: w (n_features, n_choices, 1) and b (1, n_choices, 1)."""
        known = self.large.get(int(self.number[i, j]))
        if known is not None:
            return known.w, known.b
        rows = np.concatenate([self.rows[i], self.rows[j]])
        own = np.concatenate([self.sums[self.rows[i], j], self.sums[self.rows[j], i]]).astype(np.float32)
        only = Design(self.design.X[rows], self.design.scale, self.design.shift)
        return only.transpose_product(own[:, :, None]), own.sum(axis=0)[None, :, None]

    def _batches(self) -> Iterator[tuple[int, list[int]]]:
        """A class, and others that it is solved against together: of like size, as all are padded to one."""
        for i in range(self.n_classes):
            others = sorted(
                np.flatnonzero(self.few[i, i + 1 :]).tolist(), key=lambda o: len(self.rows[i + 1 + o])
            )
            while others:
                m = len(self.rows[i]) + len(self.rows[i + 1 + others[-1]])
                taken = max(1, _BATCH // (m * m * self.n_choices))
                yield i, [i + 1 + o for o in others[-taken:]]
                del others[-taken:]

    def _solve_few(self, i: int, others: list[int], C: float) -> tuple[NDArray[np.bool_], int]:
        n, F = len(self.rows[i]), self.n_choices
        m = n + max(len(self.rows[j]) for j in others)
        choices = 1 if self.design.scale is None else F
        kernel = np.zeros((len(others), choices, m, m))
        signs, costs, start = np.zeros((3, len(others), F, m))
        for f in range(choices):
            own = self._products(i, i, f)
            for k, j in enumerate(others):
                end = n + len(self.rows[j])
                kernel[k, f, :n, :n] = own
                kernel[k, f, :n, n:end] = across = self._products(i, j, f)
                kernel[k, f, n:end, :n] = across.T
                kernel[k, f, n:end, n:end] = self._products(j, j, f)
        kernel += 1
        for k, j in enumerate(others):
            end = n + len(self.rows[j])
            signs[k, :, :n], signs[k, :, n:end] = -1, 1
            costs[k, :, :n], costs[k, :, n:end] = C * self._weights(i, j).T, C * self._weights(j, i).T
            start[k, :, :n] = self.sums[self.rows[i], j].T
            start[k, :, n:end] = self.sums[self.rows[j], i].T
        which = np.arange(len(others) * F)
        found, solved, steps = solve(
            kernel.reshape(-1, m, m),
            which if choices > 1 else which // F,
            *(part.reshape(-1, m) for part in (signs, costs, start)),
        )
        found = found.reshape(len(others), F, m)
        for k, j in enumerate(others):
            self.sums[self.rows[i], j] = found[k, :, :n].T
            self.sums[self.rows[j], i] = found[k, :, n : n + len(self.rows[j])].T
        return np.asarray(solved.reshape(-1, F).all(axis=0)), steps

    def _solve_many(self, i: int, j: int, C: float) -> tuple[NDArray[np.bool_], int]:
        rows, k = np.concatenate([self.rows[i], self.rows[j]]), int(self.number[i, j])
        only = Design(self.design.X[rows], self.design.scale, self.design.shift)
        signs = np.where(np.arange(len(rows)) < len(self.rows[i]), -1, 1).astype(np.float32)[:, None, None]
        costs = np.concatenate([self._weights(i, j), self._weights(j, i)]).astype(np.float32)[:, :, None]
        signs = np.broadcast_to(signs, costs.shape)
        scale = C * gradient_at_zero(only, SquaredHinge(signs, costs), self.n_choices, width=1)
        known = self.large.get(k)
        at = Weights.zeros(only, self.n_choices, 1) if known is None else known
        at.Z = only.scores(at.w, at.b)
        pair = self._counts[[i, j]]
        tolerance = self._tolerance * pair.min(axis=0) / pair.sum(axis=0)
        loss = SquaredHinge(signs, np.float32(C) * costs)
        solved, steps = minimise(only, loss, at, scale=scale, tolerance=tolerance)
        if not solved.all():
            solved, more = minimise(only, loss, at, scale=scale, tolerance=tolerance)
            steps += more
        self.large[k] = Weights(at.w, at.b, np.empty((0, self.n_choices, 1), np.float32))
        return solved, steps

    def _weights(self, c: int, other: int) -> NDArray[np.float64]:
        """What multiplies C for each row of a class against another, (n_c, n_choices)."""
        inside = self._inside[self.rows[c]].astype(np.float64)
        if not self._balanced:
            return inside
        weighted: NDArray[np.float64] = (
            inside * (self._counts[c] + self._counts[other]) / (2 * self._counts[c])
        )
        return weighted

    def _products(self, a: int, b: int, choice: int) -> NDArray[Any]:
        """Inner products of the rows of two classes, as a choice sees them."""
        if self.gram is not None:
            return self.gram[choice][np.ix_(self.rows[a], self.rows[b])]
        products: NDArray[Any] = (
            self._normalised(self.rows[a], choice) @ self._normalised(self.rows[b], choice).T
        )
        return products

    def _normalised(self, rows: NDArray[np.intp] | slice, choice: int) -> NDArray[Any]:
        X = self.design.X[rows].astype(self._dtype, copy=False)
        if self.design.scale is None or self.design.shift is None:
            return X
        normalised: NDArray[Any] = X * self.design.scale[:, choice, 0] + self.design.shift[:, choice, 0]
        return normalised

    def _all_products(self) -> list[NDArray[np.float32]] | None:
        """Inner products of all rows, as each choice sees them; None if they are too many."""
        choices = 1 if self.design.scale is None else self.n_choices
        if choices * self.n**2 > _LARGEST_GRAM or not self.few.any():
            return None
        products = []
        for choice in range(choices):
            X = self._normalised(slice(None), choice)
            products.append(Design(X).scores(X.T[:, :, None], np.zeros((1, self.n, 1), np.float32))[:, :, 0])
        return products


def fit_pairs(
    X: NDArray[np.float32], y: NDArray[np.intp], C: float, *, balanced: bool, tolerance: float
) -> Fitted:
    """The weights of every pair, fitted on all rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        Normalised.
    y : ndarray of shape (n,), intp
        Class codes from 0, each present.
    balanced, tolerance
        As `Pairs`.

    Returns
    -------
    Fitted
        `coef` of shape (n_pairs, n_features), in the order of `classify.classifier.votes`.
    """
    everything = np.ones((len(y), 1), np.bool_)
    pairs = Pairs(Design(X), y, everything, balanced=balanced, tolerance=tolerance, exact=True)
    pairs.fit(C)
    coef = np.zeros((n_pairs(pairs.n_classes), X.shape[1]))
    intercept = np.zeros(len(coef))
    for c, rows in enumerate(pairs.rows):
        held = pairs.sums[rows, :, 0]
        others = np.flatnonzero(pairs.few[c])
        numbers = np.where(others > c, pairs.number[c, others], pairs.number[others, c])
        coef[numbers] += held[:, others].T @ X[rows].astype(np.float64)
        intercept[numbers] += held[:, others].sum(axis=0)
    for k, known in pairs.large.items():
        coef[k], intercept[k] = known.w[:, 0, 0], known.b[0, 0, 0]
    return Fitted(coef, intercept, pairs.converged, solver=pairs.solver, one_vs_one=True)
