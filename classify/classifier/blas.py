"""One BLAS thread while fitting."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> Any:
    # Finding the BLAS libraries of the process takes 3 ms, too long to do it for every fit.
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """A block in which matrix products use one core.

    The bits of the result then do not depend on how many cores there are. And products of this size
    gain little: on two cores that others used too, two spinning threads made a softmax fit of
    600 x 600 with 43 classes eight times as slow. Cores are used by fitting folds side by side.
    """
    block: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return block
