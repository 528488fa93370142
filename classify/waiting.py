"""Batches that wait for each other, so that the columns of a large head are read once for all of them.

The columns of 1000 classes (33 MB) do not stay in a core's cache while the network runs: 16 rows take
0.8 ms each, 112 rows 0.33 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from classify.classifier import Classifier
from extract.gathering import Gathered
from extract.stages import Failure, RowBlock
from extract.worker import Finished
from models.progress import Progress

# So many bytes of weights for every so many rows: a row then pays for no more than 256 KB of them.
_WEIGHTS, _ROWS = 4 << 20, 16
_MOST_ROWS = 128


def rows_to_wait_for(classifier: Classifier) -> int:
    """How many rows a product should have; 0 up to about 120 classes on 4096 features, where none wait."""
    return min(_MOST_ROWS, classifier.coef_.nbytes // _WEIGHTS * _ROWS)


def together(
    done: Iterable[Finished], n_rows: int, progress: Progress
) -> Iterator[tuple[RowBlock, list[Failure]]]:
    """Finished batches in their order, joined until they are enough.

    Parameters
    ----------
    done : iterable of Finished
        With features.
    n_rows : int
        How many images are enough, failures counted; so are three seconds, and 32 MB.
    progress : Progress
        Is told of every batch when it comes.

    Yields
    ------
    block : RowBlock
        Empty if every image of the stretch failed.
    failures : list of Failure
        Of the same stretch.

    Notes
    -----
    Where `done` raises, what waits is given out first: an interrupted run keeps the lines of all it did.
    """
    waiting, images = Gathered(), 0
    try:
        for finished in done:
            new = len(finished.block.refs) + len(finished.failures)
            waiting.add(finished.block, finished.failures)
            images += new
            if images >= n_rows or waiting.due():
                yield waiting.joined(), waiting.failures
                waiting, images = Gathered(), 0
            progress.advance(new)
    except (Exception, KeyboardInterrupt):
        if images:
            yield waiting.joined(), waiting.failures
        raise
    if images:
        yield waiting.joined(), waiting.failures
