"""A network on a device: batches of pixels in, rows of features out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fc7.extract.engine.engine import Engine, Sharing, open_engine, this_machine
from fc7.extract.engine.fastest import fastest_first
from fc7.extract.engine.providers import Candidate, candidates
from fc7.extract.options import RunOptions
from fc7.extract.records import Features, Pixels
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import DeviceMemoryError, ProviderError, UsageError
from fc7.models.common.progress import Notify
from fc7.models.graph.prepare import Runnable, runnable
from fc7.models.network.spec import NetworkSpec
from fc7.models.store.integrity import unchanged

CALLS_AT_ONCE = 2
"""One call computes while the other waits: for the slowest of its threads at the end of an operator, for a
copy to the device, for Python. On two cores, BVLC AlexNet in two calls of one thread each took 16 % less
processor time than in one call of two (tests/benchmarks/NOTES.md); more calls would take more memory."""


Opened = tuple[Engine, Callable[[], None]]
"""An engine, and what raises if the network's files are no longer those that it opened."""


class Session:
    """A network cut at `layers`: the product's one `FeatureNetwork`. Use `open_session`.

    Attributes
    ----------
    batch_size : int
        The most images in one call; fewer are padded where the engine compiles for one size.
    calls_at_once : int
        How many threads should call `run` at the same time.
    """

    def __init__(
        self,
        open_engine: Callable[[int | None], Opened],
        prepared: Runnable,
        layers: Sequence[str],
        batch_size: int | None,
        notify: Notify,
        calls_at_once: int = 1,
    ) -> None:
        self.engine, self._compare_files = open_engine(batch_size)
        self._open_engine = open_engine
        self._prepared = prepared
        self._layers = tuple(layers)
        self.batch_size = self.engine.batch_size
        self.calls_at_once = calls_at_once
        self._notify = notify
        self._shared_lock = _SharedLock()

    def run(self, images: Pixels) -> dict[str, Features]:
        """Features of images, `batch_size` at a time.

        A batch that does not fit into the device's memory is halved, and so are those that follow.

        Parameters
        ----------
        images : ndarray of shape (n, crop_height, crop_width, 3), uint8
            RGB, 0-255.

        Returns
        -------
        dict of str to ndarray of shape (n, dim), float32

        Raises
        ------
        DeviceMemoryError
            If not even one image fits.
        UsageError
            If a layer does not have one row for each image.
        WeightsError
            If the network was replaced since it was opened.
        Fc7Error
            If the engine fails.
        """
        parts: list[list[Features]] = []
        done = 0
        while done < len(images):
            full = False
            try:
                with self._shared_lock.shared():
                    size = self.batch_size
                    parts.append(self._run_batch(images[done : done + size]))
                done += len(parts[-1][0])
            except DeviceMemoryError:
                if size == 1 or self._prepared.batch is not None:
                    raise
                full = True
            if full:
                # Out of the handler, whose traceback keeps the old session and its memory alive.
                with self._shared_lock.alone():
                    self._halve(size)
        columns = zip(self._layers, zip(*parts, strict=True), strict=True)
        return {layer: rows[0] if len(rows) == 1 else np.concatenate(rows) for layer, rows in columns}

    def _run_batch(self, images: Pixels) -> list[Features]:
        self._compare_files()
        n = len(images)
        any_batch = self.engine.any_batch and self._prepared.batch is None
        if n < self.batch_size and not any_batch:
            padded = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
            padded[:n] = images
            images = padded
        names = [self._prepared.outputs[layer] for layer in self._layers]
        results = self.engine.run(names, {self._prepared.input: images})
        for layer, rows in zip(self._layers, results, strict=True):
            if len(rows) != len(images):
                # Swin's windows, tokens in front of a transformer: shape inference does not tell them apart.
                raise UsageError(
                    f"layer {layer!r} has {len(rows)} rows for {len(images)} images, and one for each was "
                    "needed; choose another layer"
                )
        return [rows[:n] for rows in results]

    def _halve(self, size: int) -> None:
        if self.batch_size != size:
            # The other call met the same before.
            return
        while True:
            self.batch_size //= 2
            self._notify(f"out of memory: going on with batches of {self.batch_size}; -b sets them")
            # Its memory is given back before the next one asks for some. What it says of itself stays
            # readable: other threads ask meanwhile, and there may be no next one.
            self.engine.close()
            try:
                self.engine, self._compare_files = self._open_engine(self.batch_size)
                return
            except DeviceMemoryError:
                if self.batch_size == 1:
                    raise


class _SharedLock:
    """Many calls share the engine; whoever replaces it waits for them and is alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._sharing)
            yield


def open_session(
    graph_path: Path,
    spec: NetworkSpec,
    layers: Sequence[str],
    how: RunOptions | None = None,
    *,
    n_images: int | None = None,
    notify: Notify | None = None,
) -> Session:
    """Load a network of the store.

    Parameters
    ----------
    graph_path : Path
        The store's ``network.onnx``.
    layers : sequence of str
        Names in `spec`; the graph ends at them.
    how : RunOptions or None
        Its device, precision, batch and threads; None takes the defaults.
    n_images : int or None
        How many there are to run, crops counted. A default batch is not larger: one image would cost
        as much as a full batch where the engine compiles for one size; and few are shared out among the
        calls that run at the same time.
    notify : callable or None
        Is told in one line when the batch was halved, or a GPU cannot be used as it should be.

    Raises
    ------
    ProviderError
        If the device, the precision or the batch is not to be had.
    WeightsError
        If ONNX Runtime refuses the graph, or the network's files are not those that `spec` was made of.
    DeviceMemoryError
        If there is not enough memory to open it.

    Examples
    --------
    >>> from fc7.models.store.store import load
    >>> tiles = load("tiles")
    >>> session = open_session(tiles.graph_path, tiles.spec, ["tiles"], how=RunOptions(device="cpu"))
    >>> session.run(np.zeros((2, 32, 32, 3), np.uint8))["tiles"].shape
    (2, 192)
    """
    prepared, how = runnable(graph_path, spec, layers), how or RunOptions()
    if prepared.batch is not None and how.batch_size not in (None, prepared.batch):
        raise ProviderError(
            f"network {spec.name!r} is bound to batches of {prepared.batch}, -b asks for {how.batch_size}; "
            "leave out -b"
        )
    cores = how.threads or default_jobs()
    sharing = Sharing(min(CALLS_AT_ONCE, cores), cores)
    largest = 4 * max((math.prod(layer.shape) for layer in spec.layers), default=0)
    share = None if n_images is None else max(1, -(-n_images // sharing.calls))
    say = notify or (lambda note: None)

    def prepare(half: bool) -> Runnable:
        return runnable(graph_path, spec, layers, fp16=True) if half else prepared

    def session(possible: Sequence[Candidate]) -> Session:
        def engine(batch: int | None) -> Opened:
            def size(chosen: Candidate) -> int:
                default = chosen.batch_size(largest)
                return batch or min(default, share or default)

            with unchanged(graph_path, spec) as compare_files:
                opened = open_engine(
                    prepare, spec.name, possible, batch_size=size, sharing=sharing, notify=say
                )
            return opened, compare_files

        return Session(
            engine,
            prepared=prepared,
            layers=layers,
            batch_size=prepared.batch or how.batch_size,
            notify=say,
            calls_at_once=sharing.calls,
        )

    possible = candidates(how.device, how.precision, this_machine(how.device))
    # A worker of several has been told its threads: what it measured would be what the others leave it.
    alone = (lambda one: session([one])) if how.threads is None else None
    return session(fastest_first(possible, spec, cores, n_images=n_images, open_one=alone))
