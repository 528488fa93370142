"""What a classifier says of images or of cached features, a batch at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.matching import layer_for
from fc7.classify.predict.batching import batch_rows, batched
from fc7.classify.predict.networks import find_network
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import Failure, Listing, Rows
from fc7.extract.summary import note_ignored
from fc7.extract.worker.read_ahead import NO_CARE, Care
from fc7.extract.worker.worker import NetworkRun, on_this_machine
from fc7.models.common.errors import UsageError
from fc7.models.common.files import Inputs, each_of
from fc7.models.common.progress import Notify, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOT_FINITE = "its features hold NaN or infinity; extract --repair redoes them"
_HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")


@dataclass(frozen=True, slots=True)
class Scored:
    """Some images in listing order with what the classifier says of them.

    Attributes
    ----------
    labels : list of str or None
        The truth where the source has one.
    groups : list of str
        Empty where there is none.
    sha256 : list of str
        Content hashes.
    probabilities : ndarray of shape (n, n_classes), float32
        In the order of `classes_`.
    novelty : ndarray of shape (n,), float32
        As `Classifier.novelty_score`.
    failures : list of Failure
        Images of the same stretch that could not be read.
    """

    paths: list[str]
    labels: list[str | None]
    groups: list[str]
    sha256: list[str]
    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]
    failures: list[Failure]


def score_inputs(
    inputs: Sequence[str | Path] | Listing | Path,
    classifier: Classifier,
    run: ScoringRun,
    care: Care = NO_CARE,
) -> Generator[Scored]:
    """Probabilities for images, folders or one features.h5, a batch at a time.

    `inputs` may also be what `list_unless_cache` made of them. `care` is what is done on this machine about
    images that may end the process.

    Raises
    ------
    MismatchError
        If the cache is of another network, or the store does not have the classifier's network.
    """
    listing = inputs if isinstance(inputs, Path) else list_unless_cache(inputs, run.notify)
    if isinstance(listing, Listing):
        yield from _score_images(listing, classifier, run, care=care)
    else:
        yield from _score_cache(listing, classifier, run.progress)


def list_unless_cache(
    inputs: Inputs | Listing,
    notify: Notify,
    *,
    labels: Path | None = None,
    group_by: str | None = None,
    label_by: str | None = None,
    labelled: bool = True,
) -> Listing | Path:
    """The images of some inputs, or the one features.h5 that they are.

    Parameters
    ----------
    notify : callable
        Is told what is passed over since it is no image.
    labels : Path or None
        A manifest, as `extract.inputs.listing.list_inputs` takes it; a cache has its own labels.
    group_by : str or None
        As `extract.inputs.listing.list_inputs` takes it. The rows of a cache are the caller's to group.
    label_by : str or None
        As `extract.inputs.listing.list_inputs` takes it; a cache has its own labels.
    labelled : bool
        As `extract.inputs.listing.list_inputs` takes it.

    Raises
    ------
    UsageError
        If there is nothing, a cache among images, or a cache and labels.
    """
    if isinstance(inputs, Listing):
        return inputs
    inputs = each_of(inputs)
    cache = _as_cache(inputs)
    if cache is not None:
        option = "--labels" if labels is not None else "--label-by" if label_by is not None else ""
        if option:
            raise UsageError(
                f"{cache} is a feature cache and has its labels; give {option} to extract, or give images "
                "here"
            )
        return cache
    listing = list_inputs(
        inputs, labels=labels, group_by=group_by, label_by=label_by, notify=notify, labelled=labelled
    )
    note_ignored(listing, notify)
    return listing


def _as_cache(inputs: Sequence[str | Path]) -> Path | None:
    files = [path for path in map(Path, inputs) if path.suffix.lower() in _HDF5_SUFFIXES and path.is_file()]
    if not files:
        return None
    # h5py takes its time to load, and photos do not need it.
    from fc7.extract.inputs.arrays.hdf5_images import is_feature_cache

    caches = [path for path in files if is_feature_cache(path)]
    if not caches:
        return None
    if len(inputs) > 1:
        raise UsageError(
            f"{caches[0]} is a feature cache; give it alone, or give images and folders without it"
        )
    return caches[0]


def _score_cache(path: Path, classifier: Classifier, progress: Progress) -> Iterator[Scored]:
    from fc7.extract.cache.reader import CacheReader

    remedy = "extract the images with that network and preprocessing, or fit again"
    with CacheReader(path) as reader:
        layer = layer_for(reader, path, classifier.identity, remedy=remedy)
        progress.start(reader.n_rows, "classifying")
        failures = reader.failures()
        for rows, X in reader.iter_blocks(layer):
            columns = reader.columns(rows)
            sound = np.isfinite(X).all(axis=1)
            failures += [
                Failure(columns.path[i], _NOT_FINITE, int(columns.size[i]), mtime_ns=int(columns.mtime_ns[i]))
                for i in np.flatnonzero(~sound).tolist()
            ]
            kept = np.flatnonzero(sound).tolist()
            yield Scored(
                [columns.path[i] for i in kept],
                [columns.label[i] or None for i in kept],
                [columns.group[i] for i in kept],
                [columns.sha256[i] for i in kept],
                *classifier.proba_and_novelty(X if sound.all() else X[sound]),
                failures,
            )
            progress.advance(len(kept) + len(failures))
            failures = []
        progress.finish()


def _score_images(listing: Listing, classifier: Classifier, run: ScoringRun, care: Care) -> Iterator[Scored]:
    options, progress, notify = run.options, run.progress, run.notify
    stored, spec, layer = find_network(classifier.identity, progress, notify)
    if not spec.trained:
        notify(f"{spec.name} has random weights: good enough to try the tool, not to classify your images")

    network = NetworkRun(stored.graph_path, spec, (layer,), how=options)
    if options.cluster is None:
        done = on_this_machine(listing.images, network, clock=run.clock, notify=notify, care=care)
    else:
        # Most calls are not on a cluster, and the start of one photo's classification is what users wait for.
        from fc7.extract.cluster.driver import RunReport, on_cluster

        report = RunReport(run.clock, notify, run.nodes)
        done = on_cluster(listing.images, network, report, in_order=True)
    progress.start(len(listing.images), "classifying")
    # The traceback of what ends this keeps `done`, whose threads would read on.
    with closing(done):
        yield from score_finished(done, classifier, layer, progress=progress)
    progress.finish()


def score_finished(
    done: Iterable[Rows], classifier: Classifier, layer: str, progress: Progress
) -> Iterator[Scored]:
    """What a classifier says of rows as the network finishes them, several batches at a time if it is large.

    Parameters
    ----------
    done : iterable of Rows
        In listing order, with features.
    layer : str
        Whose features it takes.
    progress : Progress
        Is told of every batch; starting and finishing are the caller's.
    """
    for block in batched(done, batch_rows(classifier), progress):
        X = block.features[layer] if block.refs else np.empty((0, classifier.n_features), np.float32)
        yield Scored(
            [ref.path for ref in block.refs],
            [ref.label for ref in block.refs],
            [ref.group or "" for ref in block.refs],
            list(block.sha256),
            *classifier.proba_and_novelty(X),
            list(block.failures),
        )
