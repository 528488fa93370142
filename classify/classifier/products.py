"""Products of a row matrix with many columns, on all cores, with the same bits on any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.cores import default_jobs

Floats = NDArray[np.float32]
# What one core multiplies at a time. Fixed, so that the cores decide about no bit of the result.
_PART = 512
# Products below this (multiplications; about 1 ms) are not worth handing to other threads.
_SMALL = 2e7


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(default_jobs(), thread_name_prefix="products")


def each_part(work: Callable[[slice], None], size: int, cost: float, step: int = _PART) -> None:
    """Call `work` for every `step` of `size` rows, on all cores if `cost` (multiplications) is worth it."""
    parts: Iterable[slice] = (slice(start, start + step) for start in range(0, size, step))
    if cost < _SMALL or size <= step:
        for part in parts:
            work(part)
        return
    for _ in _threads().map(work, parts):
        pass


@dataclass(frozen=True, slots=True)
class Design:
    """The rows, seen by each problem through a scaling of its own.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float32
    scale, shift : ndarray of shape (n_features, n_problems, 1), float32, or None
        Problem j sees ``X * scale[:, j] + shift[:, j]``; None is X itself.
    """

    X: Floats
    scale: Floats | None = None
    shift: Floats | None = None

    def only(self, kept: NDArray[np.intp]) -> Design:
        """For some of the problems."""
        if self.scale is None or self.shift is None:
            return self
        return replace(self, scale=self.scale[:, kept], shift=self.shift[:, kept])

    def scores(self, w: Floats, b: Floats) -> Floats:
        """Rows times weights of shape (n_features, n_problems, width), plus `b`."""
        constant = b
        if self.scale is not None and self.shift is not None:
            constant = b + (self.shift * w).sum(axis=0, keepdims=True)
            w = w * self.scale
        d, B, k = w.shape
        flat = w.reshape(d, B * k)
        out = np.empty((len(self.X), B * k), np.float32)

        def work(part: slice) -> None:
            np.matmul(self.X[part], flat, out=out[part])

        each_part(work, len(self.X), float(self.X.size) * B * k)
        out += constant.reshape(1, B * k)
        return out.reshape(len(self.X), B, k)

    def transpose_product(self, D: Floats) -> Floats:
        """Transposed rows times `D` of shape (n, n_problems, width)."""
        n, B, k = D.shape
        flat = D.reshape(n, B * k)
        out = np.empty((self.X.shape[1], B * k), np.float32)

        def work(part: slice) -> None:
            np.matmul(self.X[:, part].T, flat, out=out[part])

        each_part(work, len(out), float(self.X.size) * B * k)
        product = out.reshape(-1, B, k)
        if self.scale is not None and self.shift is not None:
            product *= self.scale
            product += self.shift * D.sum(axis=0, keepdims=True)
        return product
