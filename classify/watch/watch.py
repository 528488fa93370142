"""Classify what arrives in a folder, and add a line for it to a file of predictions.

`watchfiles` tells when something in the folder changed; what is new is seen by looking at the folder. So no
event that gets lost loses an image, and one listing serves folders that are moved in, links and odd names as
everywhere.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.kinds import WATCHED
from fc7.classify.predict.networks import find_network
from fc7.classify.predict.predictions import Prediction
from fc7.classify.predict.recovery import recover_from_crash
from fc7.classify.predict.score import score_finished
from fc7.classify.watch.appended import AppendedPredictions, appended_predictions
from fc7.classify.watch.arrivals import Arrivals
from fc7.extract.call_inputs import guard_for
from fc7.extract.inputs.places.folders import VANISHED, FolderOrigin, FolderWalk
from fc7.extract.options import RunOptions
from fc7.extract.records import Failure, ImageRef, Listing, Rows, start_of
from fc7.extract.worker.read_ahead import Watch
from fc7.extract.worker.worker import NetworkRun, Worker
from fc7.models.common.errors import UsageError
from fc7.models.common.program import pip_install
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.outputs.outputs import Destination, Output

# Of images that arrive one by one few come together; an engine that is compiled for one size pads to it.
_TOGETHER = 4
# Images whose lines are written together: what a kill can cost.
_BATCH = 64
# To look at the folder takes at most this share of the time. Some network shares tell nothing of changes made
# elsewhere, so it is looked at every so many seconds anyway.
_LISTING_SHARE, _ANYWAY = 0.1, 30.0


@dataclass(slots=True)
class Watched:
    """What was done so far.

    Attributes
    ----------
    counts : dict of str to int
        Images of each label.
    failures : int
        Images that could not be read.
    """

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    seconds: float = 0.0

    @property
    def classified(self) -> int:
        """Images that have a label."""
        return sum(self.counts.values())

    def add(self, written: Prediction) -> None:
        """Count a line."""
        if written.error:
            self.failures += 1
        else:
            self.counts[written.label] = self.counts.get(written.label, 0) + 1


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a folder is watched.

    Attributes
    ----------
    settle : float
        Seconds for which a file must not have changed before it is read.
    once : bool
        Stop when all that is there is classified.
    top_k : int
        Label-score pairs in a line.
    run : RunOptions
        How the network is run.
    tell : callable
        Is told of every line.
    """

    settle: float = 1.0
    once: bool = False
    top_k: int = 5
    run: RunOptions = field(default_factory=RunOptions)
    tell: Callable[[Prediction], None] = lambda prediction: None


def watch_folder(
    folder: str | Path,
    model: str | Path = "classifier.onnx",
    out: Destination = "watched.csv",
    options: WatchOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> Watched:
    """Classify the images of a folder that `out` has no line for, and go on with those that arrive.

    Parameters
    ----------
    folder : str or Path
        With all folders below it.
    out : str, Path or Output
        Lines are added at its end, each batch on the disk before the next is read. CSV, or JSON lines if its
        suffix is ``.jsonl``; as `classify` writes them. An image that is replaced gets one line more.
    progress : Progress or None
        Is told how far the network is, if it has to be fetched.

    Returns
    -------
    Watched
        When Ctrl-C was pressed, or with `WatchOptions.once` when nothing is left to do.

    Raises
    ------
    UsageError
        If the folder is not there, or `out` holds something else.
    MismatchError
        If the network store does not have the classifier's network.
    Fc7Error
        If `out` cannot be written; what it holds stays.

    Examples
    --------
    >>> done = watch_folder("drawn/star", "classifier.onnx", "arrived.csv", WatchOptions(settle=0, once=True))
    >>> done.classified, done.failures, len(Path("arrived.csv").read_text().splitlines())
    (8, 0, 9)
    """
    options = options or WatchOptions()
    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: not a folder; give the folder in which images arrive")
    if not isinstance(out, Output):
        out = guard_for([folder], model).claim(out, WATCHED, makes_folder=True)
    classifier = load_classifier(Path(model))
    stored, spec, layer = find_network(classifier.identity, progress or Silent(), notify)
    network = NetworkRun(stored.graph_path, spec, (layer,), how=options.run)
    done, started = Watched(out.path), time.monotonic()
    origin = FolderOrigin(str(folder), os.path.realpath(folder))
    with appended_predictions(out, classifier, options.top_k, root=start_of(origin.name)) as lines:
        arrivals = Arrivals(options.settle, _known(origin, lines))
        batches = _ArrivalBatches(classifier, network, lines, notify=notify)
        # Ctrl-C is how watching ends. A batch that it breaks off has no line, and is done by the next run.
        with suppress(KeyboardInterrupt):
            for listing in _listings(origin, arrivals, options, notify=notify):
                refs, failures = arrivals.settled(listing, time.monotonic())
                for written in batches.classified(refs, failures):
                    done.add(written)
                    options.tell(written)
    done.seconds = time.monotonic() - started
    return done


class _ArrivalBatches:
    """Images to lines in the file; the network is loaded when the first image has come."""

    def __init__(
        self, classifier: Classifier, network: NetworkRun, lines: AppendedPredictions, notify: Notify
    ) -> None:
        self._classifier, self._network, self._lines, self._notify = classifier, network, lines, notify
        self._worker: Worker | None = None

    def classified(self, refs: Sequence[ImageRef], failures: Sequence[Failure]) -> Iterator[Prediction]:
        """Lines of these images, each batch when it is on the disk."""
        for start in range(0, max(len(refs), bool(failures)), _BATCH):
            self._write(refs[start : start + _BATCH], failures if start == 0 else ())
            yield from self._lines.commit()

    def _write(self, refs: Sequence[ImageRef], failures: Sequence[Failure]) -> None:
        listing = Listing(list(refs), failures, {}, roots=(self._network.spec.name,))
        with recover_from_crash(listing, self._lines.out, self._notify) as (listing, care):
            finished = [self._finished(listing.images, care.watch)] if listing.images else []
            (layer,) = self._network.layers
            failed = [*listing.failures]
            for scored in score_finished(finished, self._classifier, layer, progress=Silent()):
                # What was moved away before it was read has not arrived here.
                failed += [each for each in scored.failures if each.reason != VANISHED]
                self._lines.writer.write(
                    scored.paths,
                    scored.probabilities,
                    failed,
                    rejected=self._classifier.rejected(scored.probabilities),
                    novelty=scored.novelty,
                )
                failed = []
            if failed:
                empty = np.empty((0, len(self._classifier.classes_)), np.float32)
                self._lines.writer.write([], empty, failed)

    def _finished(self, refs: Sequence[ImageRef], watch: Watch) -> Rows:
        if self._worker is None:
            self._worker = Worker(self._network, None, _TOGETHER)
            self._notify(self._worker.session.engine.why)
        return self._worker.process(refs, "", watch)[0]


def _known(origin: FolderOrigin, lines: AppendedPredictions) -> dict[str, tuple[int, int]]:
    """Images that have a line, and have not changed since the last one was written."""
    root = start_of(origin.name)
    return {
        ref.path: (ref.size, ref.mtime_ns)
        for ref in _listed(origin).images
        if root + ref.path in lines.paths and ref.mtime_ns <= lines.written_ns
    }


def _listed(origin: FolderOrigin) -> Listing:
    walk = FolderWalk(origin)
    walk.add_folders([""])
    return walk.listing()


def _listings(
    origin: FolderOrigin, arrivals: Arrivals, options: WatchOptions, notify: Notify
) -> Iterator[Listing]:
    """The folder, whenever something may be new in it."""
    next_look = last_look = -math.inf
    changed = gone = False
    for woken in _wakings(origin.folder, options):
        changed |= woken
        now = time.monotonic()
        if now < next_look or not (changed or arrivals.waits or now - last_look > _ANYWAY):
            continue
        changed = False
        try:
            listing = _listed(origin)
        except UsageError as exc:
            # A share that is away for a moment; what was there has its lines.
            if not gone:
                notify(f"{exc}; it is looked for again")
            gone, last_look = True, now
            continue
        gone, last_look = False, now
        next_look = now + (time.monotonic() - now) / _LISTING_SHARE
        yield listing
        if options.once and not arrivals.waits:
            return


def _wakings(folder: str, options: WatchOptions) -> Iterator[bool]:
    """Whether something changed, whenever that is so and about as often as a file may have settled."""
    pause = min(max(options.settle, 0.05), 1.0)
    if options.once:
        yield True
        while True:
            time.sleep(pause)
            yield False
    try:
        from watchfiles import watch
    except ImportError as exc:
        raise UsageError(
            f"to wait for images the package watchfiles is needed: {pip_install('fc7[watch]')}; --once does "
            "without"
        ) from exc
    # No filter: which files count is the listing's to say.
    wakings = watch(
        folder,
        watch_filter=None,
        step=50,
        debounce=int(1000 * pause),
        rust_timeout=int(1000 * pause),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    for changes in wakings:
        yield bool(changes)
