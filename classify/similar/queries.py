"""What similar images are wanted of: photographs, folders, or rows of the feature cache itself."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.data.load import identity_of
from fc7.classify.predict.networks import find_network
from fc7.classify.predict.predictions import shown_root
from fc7.classify.predict.recovery import recover_from_crash
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.extract.cache.reader import CacheReader
from fc7.extract.cache.rows import RowColumns
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.inputs.tables.list_lines import STDIN
from fc7.extract.records import Failure, Listing
from fc7.extract.summary import note_ignored
from fc7.extract.worker.worker import NetworkRun, on_this_machine
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line


@dataclass(frozen=True, slots=True)
class Queries:
    """Feature rows of what is looked for.

    Attributes
    ----------
    paths : list of str
        As they are shown.
    sha256 : list of str
        Of their contents.
    X : ndarray of shape (n, n_features), float32
    own_rows : ndarray of shape (n,), int64
        The row of the cache that a query is; -1 for an image that was read.
    listing : Listing or None
        The images that were read.
    failures : list of Failure
        Images that could not be read.
    """

    paths: list[str]
    sha256: list[str]
    X: NDArray[np.float32]
    own_rows: NDArray[np.int64]
    listing: Listing | None
    failures: list[Failure]


def read_queries(
    wanted: Sequence[str | Path], reader: CacheReader, columns: RowColumns, layer: str, run: ScoringRun
) -> Queries:
    """Take rows out of the cache, and run its network over images that are given.

    Parameters
    ----------
    wanted : sequence of str or Path
        Paths as the cache has them are its rows, unless a file or folder of that name is there; all else is
        whatever `extract` takes.
    columns : RowColumns
        Of all rows of the cache.

    Raises
    ------
    UsageError
        If something is neither.
    MismatchError
        If the network store does not have the cache's network.
    """
    number = {path: row for row, path in enumerate(columns.path)}
    given = list(map(str, wanted))
    rows = [number[name] for name in given if name in number and not Path(name).exists()]
    images = [name for name in given if name not in number or Path(name).exists()]
    for name in images:
        # Not every shell expands a pattern.
        elsewhere = is_address(name) or name == STDIN or glob.has_magic(name)
        if not elsewhere and not Path(name).exists():
            raise UsageError(
                f"{name}: neither a file or folder here nor an image of {reader.path}; `"
                f"{command_line('cache', 'to-npz', reader.path, '-o', 'features.npz')}` lists its paths"
            )
    own = np.array(rows, np.int64)
    found = Queries(
        [columns.path[row] for row in rows],
        sha256=[columns.sha256[row] for row in rows],
        X=reader.take(own, layer),
        own_rows=own,
        listing=None,
        failures=[],
    )
    return _with_images(found, images, reader, layer=layer, run=run) if images else found


def _with_images(
    known: Queries, images: Sequence[str], reader: CacheReader, layer: str, run: ScoringRun
) -> Queries:
    owner = str(reader.path)
    identity = identity_of(reader.identity, layer)
    stored, spec, found_layer = find_network(
        identity,
        run.progress,
        run.notify,
        owner=owner,
        otherwise="name images of the feature cache by their paths",
    )
    listed = list_inputs(images, labelled=False, notify=run.notify)
    note_ignored(listed, run.notify)
    network = NetworkRun(stored.graph_path, spec, (found_layer,), how=run.options)
    paths, sha256, parts, root = list(known.paths), list(known.sha256), [known.X], shown_root(listed)
    failures: list[Failure] = []
    with recover_from_crash(listed, None, run.notify) as (listing, care):
        failures += listing.failures
        run.progress.start(len(listing.images), "reading")
        with closing(
            on_this_machine(listing.images, network, clock=run.clock, notify=run.notify, care=care)
        ) as done:
            for finished in done:
                failures += finished.failures
                if finished.refs:
                    paths += [root + ref.path for ref in finished.refs]
                    sha256 += finished.sha256
                    parts.append(finished.features[found_layer])
                run.progress.advance(len(finished.refs) + len(finished.failures))
        run.progress.finish()
    X = np.concatenate(parts).astype(np.float32, copy=False)
    own = np.concatenate([known.own_rows, np.full(len(paths) - len(known.paths), -1, np.int64)])
    return Queries(paths, sha256=sha256, X=X, own_rows=own, listing=listed, failures=failures)
