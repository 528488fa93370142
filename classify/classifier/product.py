"""All that a classifier says of a row, from one matrix product in float64.

Normalising, the head and the novelty reference each read every feature. Written out, they need a row's
products with the head's weights, with the reference's mean and with its axes, and its length: so they are
the columns of one matrix, made once and laid out for the product, and rows are converted to float64 once.
For unit rows u, mean m and orthonormal axes A

    |u - m|² - |A (u - m)|² = |u|² - 2 u m + |m|² - |A u - A m|²

whose terms are of the size of 1: cancellation costs digits of float64 that the float32 result does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.normalizer import TINY, Normalizer
from fc7.classify.classifier.products import each_part

if TYPE_CHECKING:
    from fc7.classify.classifier.novelty import NoveltyReference

# 256 rows of 4096 features are 8 MB in float64. Larger blocks only add pages to touch.
_BLOCK_ROWS = 256
# Narrower products pack the rows more often: of 1000 classes in parts of 256 they took a quarter longer.
_BLOCK_COLUMNS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class RowProduct:
    """The columns, and what is added to their products.

    Attributes
    ----------
    columns : ndarray of shape (n_features, n_classes + 1 + n_axes), float64
        Weights, mean and axes; the weights alone without a reference.
    intercept : ndarray of shape (n_classes,), float64
        For features as they are: of standardised ones the means are counted in.
    of_unit_rows : bool
        Whether scores are of rows scaled to unit length.
    """

    columns: NDArray[np.float64]
    intercept: NDArray[np.float64]
    of_unit_rows: bool
    novelty: NoveltyReference | None

    @classmethod
    def of(
        cls,
        coef: NDArray[np.float64],
        intercept: NDArray[np.float64],
        normalizer: Normalizer,
        novelty: NoveltyReference | None,
    ) -> RowProduct:
        """Of a head (n_classes, n_features) on normalised features, and where the training rows lie."""
        if normalizer.mean is not None and normalizer.std is not None:
            coef = coef / normalizer.std
            intercept = intercept - coef @ normalizer.mean
        if novelty is not None:
            coef = np.concatenate([coef, novelty.mean[None], novelty.axes], dtype=np.float64)
        columns = np.ascontiguousarray(coef.T)
        return cls(columns, intercept, normalizer.kind == "l2", novelty)

    def scores_and_novelty(self, X: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Scores and novelty of rows.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float32
            Features as extracted.

        Returns
        -------
        scores : ndarray of shape (n, n_classes), float64
            A NaN or infinite feature makes every score of its row NaN or infinite.
        novelty : ndarray of shape (n,), float32
            NaN without a reference.
        """
        n, n_classes = len(X), len(self.intercept)
        products = np.empty((n, self.columns.shape[1]))
        square = np.empty(n)

        def work(part: slice) -> None:
            rows = X[part].astype(np.float64)
            np.einsum("ij,ij->i", rows, rows, out=square[part])
            if n <= _BLOCK_ROWS:
                self._multiply(rows, products)
            else:
                np.matmul(rows, self.columns, out=products[part])

        # BLAS threads wait for each other by spinning: beside busy programs a product of 0.7 ms took 30.
        with one_blas_thread():
            each_part(work, n, float(X.size) * self.columns.shape[1], step=_BLOCK_ROWS)
        length = np.maximum(np.sqrt(square), TINY)
        scores = products[:, :n_classes]
        if self.of_unit_rows:
            scores = scores / length[:, None]
        scores = scores + self.intercept
        if self.novelty is None:
            return scores, np.full(n, np.nan, np.float32)
        along = products[:, n_classes:] / length[:, None]
        return scores, self.novelty.of_products(square / length**2, along[:, 0], along[:, 1:])

    def _multiply(self, rows: NDArray[np.float64], products: NDArray[np.float64]) -> None:
        """Few rows: columns in their thousands, as pairs of classes have, are shared out to the cores."""

        def work(some: slice) -> None:
            np.matmul(rows, self.columns[:, some], out=products[:, some])

        n_columns = self.columns.shape[1]
        each_part(work, n_columns, float(rows.size) * n_columns, step=_BLOCK_COLUMNS)
