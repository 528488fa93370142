"""The images of a feature cache that are nearest to some images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.predict.scoring_run import ScoringRun
from fc7.classify.similar.approximate import Recall, near_index
from fc7.classify.similar.nearest import nearest_rows
from fc7.classify.similar.queries import read_queries
from fc7.extract.cache.reader import CacheReader, RowColumns
from fc7.extract.inputs.tables.corrections import Corrected, Corrections
from fc7.extract.options import RunOptions
from fc7.extract.records import Failure, Listing
from fc7.models.common.errors import UsageError
from fc7.models.common.files import Inputs, each_of
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.record_repr import one_line_repr


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An image of the cache.

    Attributes
    ----------
    row : int
        Its row.
    label : str
        Empty if it has none.
    cosine : float
        Of its features and the query's, -1 to 1.
    same_file : bool
        It has the query's very content.
    """

    path: str
    label: str
    sha256: str
    row: int
    cosine: float
    same_file: bool


@dataclass(frozen=True, slots=True)
class Query:
    """An image that similar ones were wanted of, and the nearest of them, the nearest first."""

    path: str
    sha256: str
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True, repr=False)
class SimilarImages:
    """What `similar_images` found.

    Attributes
    ----------
    queries : list of Query
        Rows of the cache first, then images in the order of their listing.
    failures : list of Failure
        Images that could not be read.
    rows : int
        Of the cache, all of which were compared.
    seconds : float
        Of comparing and reading the cache.
    roots : tuple of str
        Where the cache's images lay.
    listing : Listing or None
        The images that were read.
    corrected : Corrected or None
        What corrections did to the labels.
    recall : Recall or None
        How much the index finds; None if every row was compared.
    """

    features: Path
    layer: str
    queries: list[Query]
    failures: list[Failure]
    rows: int
    seconds: float
    roots: tuple[str, ...]
    listing: Listing | None
    corrected: Corrected | None = None
    recall: Recall | None = None

    __repr__ = one_line_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarOptions(RunOptions):
    """What counts as near; with what `RunOptions` has, by which the network is run over images.

    Attributes
    ----------
    k : int
        Nearest images of each, at least 1.
    layer : str or None
        The only or last layer if None.
    corrections : Corrections, str, Path or None
        As `load_features` takes them: the labels of neighbours.
    approximate : bool
        By an index that is kept beside the cache (`classify.similar.approximate`): it misses a few.

    Examples
    --------
    >>> SimilarOptions(k=3).approximate
    False
    >>> SimilarOptions(k=0)
    Traceback (most recent call last):
    fc7.models.common.errors.UsageError: -k 0 was found; give a number of at least 1
    """

    k: int = 12
    layer: str | None = None
    corrections: Corrections | str | Path | None = None
    approximate: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"-k {self.k} was found; give a number of at least 1")


def similar_images(
    queries: Inputs,
    features: str | Path = "features.h5",
    options: SimilarOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> SimilarImages:
    """Find the images of a feature cache that look most like others, to its network.

    Every row is compared, a part of the features at a time, unless an index is asked for.

    Parameters
    ----------
    queries : str, Path, or sequence of these
        Photographs and folders, or paths as the cache has them. Where a file of that name is there it is the
        file that is meant.

    Returns
    -------
    SimilarImages
        A query that is a row of the cache is not its own neighbour; another row of the same content is.

    Raises
    ------
    UsageError
        If a query is neither an image nor a path of the cache, k is below 1, or corrections cannot be used.
    MismatchError
        If images are given and the network store does not have the cache's network.
    CacheError, CacheCorruptError, UnknownLayerError

    Examples
    --------
    >>> found = similar_images("star/0000.jpg", "features.h5", SimilarOptions(k=2))
    >>> first, second = found.queries[0].neighbours
    >>> found.rows, first.label, first.cosine > second.cosine, first.same_file
    (32, 'star', True, False)
    """
    options = options or SimilarOptions()
    run = ScoringRun(options, progress or Silent(), notify)
    with CacheReader(features, options.corrections) as reader:
        layer = reader.layer(options.layer)
        columns, roots, n_rows = reader.columns(), reader.header.roots, reader.n_rows
        wanted = read_queries(each_of(queries), reader, columns, layer=layer, run=run)
        started = time.perf_counter()
        recall = None
        if options.approximate:
            index = near_index(reader, layer, run.progress)
            found, recall = index.nearest(wanted.X, options.k, wanted.own_rows), index.recall
        else:
            found = nearest_rows(
                wanted.X, reader.iter_blocks(layer, rows=4096), options.k, own_rows=wanted.own_rows
            )
        seconds = time.perf_counter() - started
    answers = [
        Query(path, sha256, tuple(_neighbours(columns, found.rows[i], found.cosines[i], sha256=sha256)))
        for i, (path, sha256) in enumerate(zip(wanted.paths, wanted.sha256, strict=True))
    ]
    return SimilarImages(
        Path(features),
        layer=layer,
        queries=answers,
        failures=wanted.failures,
        rows=n_rows,
        seconds=seconds,
        roots=roots,
        listing=wanted.listing,
        corrected=reader.corrected,
        recall=recall,
    )


def _neighbours(
    columns: RowColumns, rows: NDArray[np.int64], cosines: NDArray[np.float32], sha256: str
) -> Iterator[Neighbour]:
    for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True):
        if row >= 0:
            content = columns.sha256[row]
            yield Neighbour(
                columns.path[row],
                label=columns.label[row],
                sha256=content,
                row=row,
                cosine=cosine,
                same_file=content == sha256,
            )
