"""The network's own ImageNet classes for images, before anything is learned from the user's."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

import numpy as np

from fc7.classify.kinds import PREDICTIONS
from fc7.classify.predict.prediction_file import prediction_file
from fc7.classify.predict.predictions import (
    ListedFailures,
    PredictionFormat,
    best_first,
    is_stdout,
    open_predictions,
    shown_root,
)
from fc7.classify.predict.recovery import recover_from_crash
from fc7.extract.call_inputs import guard_for
from fc7.extract.clock import Clock
from fc7.extract.engine.trial import try_network
from fc7.extract.inputs.sources import list_images
from fc7.extract.options import ExtractOptions
from fc7.extract.records import Failure, Listing
from fc7.extract.summary import note_ignored
from fc7.extract.worker.read_ahead import Care
from fc7.extract.worker.worker import NetworkRun, on_this_machine
from fc7.models.common.errors import UsageError
from fc7.models.common.files import Inputs, each_of
from fc7.models.common.names import shortened
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.terminal import one_line
from fc7.models.network.imagenet_classes import ImagenetClass, imagenet_classes
from fc7.models.network.spec import IMAGENET_CLASSES, LayerSpec, NetworkSpec, Pool, PreprocessSpec
from fc7.models.outputs.outputs import Destination, Output
from fc7.models.store.ensure import ensure_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fc7.models.store.store import StoredNetwork

ImagenetForm = Literal["table", "csv"]
# With what stands beside it on a line of 100 columns.
_WIDEST_NAME = 76
# A row of float16 probabilities adds up to 1 within a few thousandths.
_SUM_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class ImagenetSummary:
    """What `imagenet_images` did; images = classified + failures.

    Attributes
    ----------
    out : Path or None
        None if the lines went to stdout.
    """

    out: Path | None
    images: int
    classified: int
    failures: list[Failure]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagenetOptions(ExtractOptions):
    """How to name ImageNet's classes; of `ExtractOptions` what says how the network is run and prepared.

    Attributes
    ----------
    top_k : int
        Classes a line, at most 1000.
    form : {"table", "csv"} or None
        None goes by the suffix of the file: CSV for ``.csv``, else the table. CSV has the columns of
        `classify.predict.predictions`, a label being WordNet id and name.
    """

    top_k: int = 5
    form: ImagenetForm | None = None


class _Writer(Protocol):
    def write(
        self, paths: Sequence[str], probabilities: NDArray[np.float32], failures: Sequence[Failure]
    ) -> object: ...


def imagenet_images(
    inputs: Inputs | Listing,
    out: Destination | None = None,
    options: ImagenetOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> ImagenetSummary:
    """Say which of ImageNet's 1000 classes a pretrained network sees in images.

    Parameters
    ----------
    inputs : sequence of str or Path, or Listing
        Images and folders.
    out : str, Path, Output or None
        The file to write, which appears when it is complete; None or ``-`` is stdout.
    notify : callable
        Is given one-line notes.

    Returns
    -------
    ImagenetSummary
        An image that cannot be read is a line with its reason and one of `failures`.

    Raises
    ------
    UsageError
        If the network has no classifier of ImageNet's classes, or random weights; or if something else
        stands at `out`, or nothing can be written there.
    UnknownNetworkError, DownloadError
        If it is not to be had.
    """
    started = time.perf_counter()
    if out is not None and not isinstance(out, Output) and not is_stdout(out):
        out = guard_for(inputs, again=True).claim(out, PREDICTIONS)
    progress, options = progress or Silent(), options or ImagenetOptions()
    stored = ensure_network(options.network, progress, need="classes", notify=notify, trial=try_network)
    run = _network_run(stored, options)
    listing = inputs if isinstance(inputs, Listing) else list_images(each_of(inputs))
    note_ignored(listing, notify)
    failures: list[Failure] = []
    classified = 0
    with (
        recover_from_crash(listing, out, notify) as (listing, care),
        _open(out, options, shown_root(listing)) as writer,
        closing(_scored(run, listing, progress, notify=notify, care=care)) as scored,
    ):
        early = ListedFailures(listing.failures)
        for paths, probabilities, failed in scored:
            due = early.merged_into(paths, failed)
            writer.write(paths, probabilities, due)
            failures += due
            classified += len(paths)
        writer.write([], np.empty((0, len(imagenet_classes())), np.float32), early.left)
        failures += early.left
    return ImagenetSummary(
        out.path if isinstance(out, Output) else None,
        classified + len(failures),
        classified,
        failures=failures,
        seconds=time.perf_counter() - started,
    )


def classifier_layer(spec: NetworkSpec) -> LayerSpec:
    """The layer with a score or a probability for each of ImageNet's classes.

    Raises
    ------
    UsageError
        If the network has none, or none that means anything.
    """
    if not spec.trained:
        raise UsageError(
            f"network {spec.name!r} has random weights, so its 1000 outputs mean nothing; choose a trained "
            f"--network (`{command_line('models', 'list')}`)"
        )
    layer = spec.layer(spec.output) if spec.output is not None else None
    if layer is None or layer.dim("avg") not in IMAGENET_CLASSES:
        raise UsageError(
            f"network {spec.name!r} has no classifier of ImageNet's 1000 classes: its file ends before "
            "it, or was trained for others; choose another --network, or use its features (extract, fit)"
        )
    return layer


def class_probabilities(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of the 1000 classes from what a network gives.

    Parameters
    ----------
    rows : ndarray of shape (n, 1000) or (n, 1001)
        Probabilities or the scores before the softmax, told apart row by row. With 1001 the first is
        the background class, which TensorFlow's networks put in front.

    Returns
    -------
    ndarray of shape (n, 1000), float32
        They add up to 1, or with a background to what it leaves over.
    """
    values = rows.astype(np.float64)
    likely = (values >= 0).all(1) & (np.abs(values.sum(1) - 1) <= _SUM_TOLERANCE)
    raised = np.exp(values - values.max(1, keepdims=True))
    result = np.where(likely[:, None], values, raised / raised.sum(1, keepdims=True))
    return np.asarray(result[:, -len(imagenet_classes()) :], np.float32)


def _network_run(stored: StoredNetwork, options: ExtractOptions) -> NetworkRun:
    """The network with its classifier's layer as its only output."""
    layer = classifier_layer(stored.spec)
    # A map of scores for each place of the image (a fully convolutional net) is averaged to one row.
    pool: Pool = "flatten" if layer.dim() == layer.dim("avg") else "avg"
    changed: PreprocessSpec = dataclasses.replace(stored.spec.preprocess, **options.preprocess)  # type: ignore[arg-type]
    spec = dataclasses.replace(stored.spec, preprocess=changed, pool=pool)
    return NetworkRun(stored.graph_path, spec, (layer.name,), how=options)


def _scored(
    run: NetworkRun, listing: Listing, progress: Progress, notify: Notify, care: Care
) -> Generator[tuple[list[str], NDArray[np.float32], list[Failure]]]:
    (layer,) = run.layers
    progress.start(len(listing.images), "classifying")
    with closing(on_this_machine(listing.images, run, clock=Clock(), notify=notify, care=care)) as done:
        for finished in done:
            refs = finished.refs
            rows = finished.features[layer] if refs else np.empty((0, 1000), np.float32)
            yield [ref.path for ref in refs], class_probabilities(rows), list(finished.failures)
            progress.advance(len(refs) + len(finished.failures))
    progress.finish()


class _TableWriter:
    """For people: the path, and below it the classes with their probabilities."""

    def __init__(self, stream: TextIO, top_k: int, root: str) -> None:
        self._stream, self._k, self._root = stream, top_k, root

    def write(
        self, paths: Sequence[str], probabilities: NDArray[np.float32], failures: Sequence[Failure]
    ) -> None:
        """One block of lines for each image, failures merged in by path."""
        classes = imagenet_classes()
        order = best_first(probabilities, self._k)
        blocks = [
            (
                path,
                [f"  {row[c]:6.1%}  {_named(classes[c])}" for c in best],
            )
            for path, row, best in zip(paths, probabilities, order, strict=True)
        ]
        blocks += [(failure.path, [f"  unreadable: {failure.reason}"]) for failure in failures]
        for path, lines in sorted(blocks):
            print(one_line(self._root + path), *map(one_line, lines), sep="\n", file=self._stream)


def _named(known: ImagenetClass) -> str:
    return f"{shortened(known.name, _WIDEST_NAME)} ({known.wnid})"


@contextmanager
def _open(out: Destination | None, options: ImagenetOptions, root: str) -> Iterator[_Writer]:
    place = "-" if out is None else out
    suffix = place.path.suffix if isinstance(place, Output) else ""
    if options.form == "csv" or (options.form is None and suffix.lower() == ".csv"):
        labels = [found.label for found in imagenet_classes()]
        with open_predictions(place, PredictionFormat(labels, options.top_k, root, form="csv")) as writer:
            yield writer
        return
    if is_stdout(place):
        yield _TableWriter(sys.stdout, options.top_k, root)
        return
    with prediction_file(place) as stream:
        yield _TableWriter(stream, options.top_k, root)
