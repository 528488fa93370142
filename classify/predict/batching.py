"""Batches that wait for each other, so that the columns of a large head are read once for all of them.

The columns of 1000 classes (33 MB) do not stay in a core's cache while the network runs: 16 rows take
0.8 ms each, 128 rows 0.33 ms (tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fc7.classify.classifier.classifier import Classifier
from fc7.extract.records import Rows
from fc7.extract.worker.gathering import Gathered
from fc7.models.common.progress import Progress

# So many rows for every so many bytes of weights: of 1000 classes a row then pays for 0.3 MB, not for 2 MB.
_WEIGHTS, _ROWS = 4 << 20, 16
_MOST_ROWS = 128


def batch_rows(classifier: Classifier) -> int:
    """How many rows a product should have; 0 up to 127 classes on 4096 features, where none wait."""
    return min(_MOST_ROWS, classifier.coef_.nbytes // _WEIGHTS * _ROWS)


def batched(done: Iterable[Rows], n_rows: int, progress: Progress) -> Iterator[Rows]:
    """Finished batches in their order, joined until they are enough.

    Parameters
    ----------
    done : iterable of Rows
        With features.
    n_rows : int
        How many images are enough, failures counted; so are three seconds, and 32 MB.
    progress : Progress
        Is told of every batch when it comes.

    Yields
    ------
    Rows
        None with a row if every image of the stretch failed.

    Notes
    -----
    Where `done` raises, what waits is given out first: an interrupted run keeps the lines of all it did.
    """
    waiting, images = Gathered(), 0
    try:
        for rows in done:
            new = len(rows.refs) + len(rows.failures)
            waiting.add(rows)
            images += new
            if images >= n_rows or waiting.due():
                enough, waiting, images = waiting, Gathered(), 0
                yield enough.joined()
            progress.advance(new)
    except (Exception, KeyboardInterrupt):
        if images:
            yield waiting.joined()
        raise
    if images:
        yield waiting.joined()
