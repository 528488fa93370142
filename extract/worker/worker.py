"""What one worker does, in this process or in another: files to finished rows, or to a finished segment."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fc7.extract.cache.commit.features import rounded
from fc7.extract.cache.commit.segments import SegmentHeader, write_segment
from fc7.extract.cache.format.header import Storage
from fc7.extract.clock import Clock
from fc7.extract.engine.trial import check, tried_layers
from fc7.extract.options import RunOptions
from fc7.extract.patience import loaded
from fc7.extract.records import Features, ImageRef, Pixels, Rows
from fc7.extract.worker.decoders import decoder, decoder_apart
from fc7.extract.worker.gathering import Gathered
from fc7.extract.worker.read_ahead import NO_CARE, Care, Decode, DecodeSlots, Watch
from fc7.extract.worker.stream import Decoding, feature_blocks
from fc7.models.common.cores import default_jobs
from fc7.models.common.progress import Notify
from fc7.models.network.spec import NetworkSpec

if TYPE_CHECKING:
    from fc7.extract.engine.session import Session


@dataclass(frozen=True, slots=True)
class NetworkRun:
    """Which network runs how; it can be sent to another process.

    Attributes
    ----------
    graph_path : Path
        ``network.onnx``.
    how : RunOptions
        Its cluster is left to whoever chose this process.
    thumbnails : bool
        Whether rows get `extract.images.thumbnails` of their images: those that are kept.
    """

    graph_path: Path
    spec: NetworkSpec
    layers: tuple[str, ...]
    how: RunOptions = field(default_factory=RunOptions)
    thumbnails: bool = False

    @property
    def jobs(self) -> int:
        """Images decoded at once."""
        return self.how.jobs or default_jobs()

    def decoder(
        self, n_images: int | None = None, notify: Notify = lambda note: None
    ) -> AbstractContextManager[Decode]:
        """What turns an image into the network's pixels; `extract.worker.decoders.decoder`."""
        return decoder(
            self.spec.preprocess, self.how.exact_decode, self.jobs, n_images=n_images, notify=notify
        )

    def decoder_apart(self, care: Care, notify: Notify) -> AbstractContextManager[Decode | None]:
        """What decodes images in other processes, however few; `extract.worker.decoders.decoder_apart`."""
        return decoder_apart(self.spec.preprocess, self.how.exact_decode, self.jobs, care=care, notify=notify)

    def open(self, notify: Notify | None = None, n_images: int | None = None) -> Session:
        """Load the network.

        Parameters
        ----------
        notify : callable or None
            Is told when batches become smaller because memory ran out.
        n_images : int or None
            How many there are to run, where that is known.

        Raises
        ------
        HungError
            If it does not come to an end.
        Fc7Error
            As `extract.engine.session.open_session`; as `extract.engine.trial.check` where a layer is run
            that an import did not try.
        """
        return loaded(lambda: self._opened(notify, n_images))

    def _opened(self, notify: Notify | None, n_images: int | None) -> Session:
        from fc7.extract.engine.session import open_session

        session = open_session(
            self.graph_path,
            self.spec,
            self.layers,
            how=self.how,
            n_images=None if n_images is None else n_images * self.spec.preprocess.crops,
            notify=notify,
        )
        # What rows of the graphs that we build depend on is known.
        if self.spec.arch == "onnx" and not set(self.layers).issubset(tried_layers(self.spec)):
            check(session, self.graph_path, self.spec)
        return session


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where and how a worker keeps its rows.

    Attributes
    ----------
    folder : Path
        The cache's folder of segments.
    header : SegmentHeader
        All but how this worker makes its rows.
    storage : {"float32", "float16"}
        How the cache will store them.
    number : str
        What the names of this run's segments begin with: they count as newer than those before.
    """

    folder: Path
    header: SegmentHeader
    storage: Storage
    number: str = ""


def provenance_of(session: Session, run: NetworkRun) -> dict[str, str]:
    """How a session makes rows."""
    engine = session.engine
    return {
        "provider": engine.provider,
        "precision": engine.precision,
        engine.runtime: engine.version,
        "decode": "exact" if run.how.exact_decode else "draft",
    }


def on_this_machine(
    images: Sequence[ImageRef], run: NetworkRun, *, clock: Clock, notify: Notify, care: Care = NO_CARE
) -> Generator[Rows]:
    """Run images in this process, a batch at a time, in their order.

    Parameters
    ----------
    clock : Clock
        Is told where the time went.
    notify : callable
        Is told which engine was chosen.
    care : Care
        What is done about images that may end this process; its decoding process is started here.

    Raises
    ------
    Fc7Error
        If the network cannot be loaded, or fails.

    Examples
    --------
    >>> from fc7.extract.inputs.listing import list_inputs
    >>> from fc7.models.store.store import load
    >>> tiles, notes = load("tiles"), []
    >>> run = NetworkRun(tiles.graph_path, tiles.spec, ("tiles",), RunOptions(device="cpu", batch_size=20))
    >>> images = list_inputs(["drawn"]).images
    >>> done = on_this_machine(images, run, clock=Clock(), notify=notes.append)
    >>> [rows.features["tiles"].shape for rows in done]
    [(20, 192), (12, 192)]
    """
    opened: list[Session] = []

    def open_session() -> Session:
        opened.append(run.open(notify, len(images)))
        notify(opened[0].engine.why)
        return opened[0]

    with run.decoder(len(images), notify) as decode, run.decoder_apart(care, notify) as apart:
        for rows in feature_blocks(
            images,
            Decoding(decode, run.jobs, run.thumbnails),
            open_session,
            clock=clock,
            care=dataclasses.replace(care, decode=apart),
        ):
            yield dataclasses.replace(rows, provenance=provenance_of(opened[0], run) if opened else None)


class Worker:
    """A loaded network that is given chunks of a listing, some of them at the same time.

    While one chunk is at its end and its last batch runs, the next one's first images are decoded;
    so a worker that is given two chunks at a time never waits between them.

    Parameters
    ----------
    keeping : Keeping or None
        None hands rows back instead of writing segments.
    n_images : int or None
        The most that there are to run, where that is known.
    """

    def __init__(self, run: NetworkRun, keeping: Keeping | None, n_images: int | None = None) -> None:
        self._run = run
        # Two chunks at a time decode no more images at once than one does.
        self._slots = DecodeSlots(run.jobs)
        # Open until this process ends: what decodes for it ends then too.
        self._open = ExitStack()
        self._decode = self._open.enter_context(run.decoder(n_images))
        self._keeping = keeping
        self.session = run.open(n_images=n_images)
        self.provenance = provenance_of(self.session, run)
        self._network = _TakingTurns(self.session)

    def process(self, refs: Sequence[ImageRef], name: str, watch: Watch = nullcontext) -> tuple[Rows, Clock]:
        """Finish some images.

        Parameters
        ----------
        name : str
            Of the segment.
        watch : callable
            As for `extract.worker.read_ahead.Care`.

        Returns
        -------
        rows : Rows
            `kept` if they were written; durable then.
        clock : Clock

        Raises
        ------
        Fc7Error
            If the engine or the file system fails.
        """
        clock, gathered = Clock(), Gathered()
        for block in feature_blocks(
            refs,
            Decoding(self._decode, self._slots, self._run.thumbnails),
            lambda: self._network,
            clock=clock,
            care=Care(watch),
        ):
            gathered.add(block)
        rows = dataclasses.replace(gathered.joined(), provenance=self.provenance)
        if self._keeping is None:
            return rows, clock
        for layer, features in rows.features.items():
            rounded(features, np.dtype(self._keeping.storage), layer)
        header = dataclasses.replace(self._keeping.header, provenance=self.provenance)
        write_segment(self._keeping.folder, name, header, block=rows)
        return dataclasses.replace(rows, features={}, thumbnails=None, kept=True), clock


class _TakingTurns:
    """A network for the calls of several chunks: no more of them at once than it takes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._slots = threading.Semaphore(session.calls_at_once)

    @property
    def batch_size(self) -> int:
        return self._session.batch_size

    @property
    def calls_at_once(self) -> int:
        return self._session.calls_at_once

    def run(self, images: Pixels) -> dict[str, Features]:
        with self._slots:
            return self._session.run(images)
