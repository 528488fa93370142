"""A network on a device: batches of pixels in, rows of features out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from extract.engines import Device, Engine, Precision, open_engine
from extract.stages import Features, Pixels
from models.errors import ProviderError
from models.prepare import Runnable, runnable
from models.spec import NetworkSpec

DEFAULT_BATCH = 32


class Session:
    """A network cut at `layers`: the product's one `FeatureNetwork`. Use `open_session`."""

    def __init__(self, engine: Engine, prepared: Runnable, layers: Sequence[str], batch_size: int) -> None:
        self.engine = engine
        self._prepared = prepared
        self._layers = tuple(layers)
        self._batch_size = batch_size

    @property
    def batch_size(self) -> int:
        """Images in one call; fewer are padded, so that a row never depends on its neighbours."""
        return self._batch_size

    def run(self, images: Pixels) -> dict[str, Features]:
        """Features of at most `batch_size` images.

        Parameters
        ----------
        images : ndarray of shape (n, crop_height, crop_width, 3), uint8
            RGB, 0-255.

        Returns
        -------
        dict of str to ndarray of shape (n, dim), float32

        Raises
        ------
        Fc7Error
            If the engine fails.
        """
        n = len(images)
        if n < self._batch_size:
            padded = np.zeros((self._batch_size, *images.shape[1:]), np.uint8)
            padded[:n] = images
            images = padded
        names = [self._prepared.outputs[layer] for layer in self._layers]
        results = self.engine.run(names, {self._prepared.input: images})
        return {layer: rows[:n] for layer, rows in zip(self._layers, results, strict=True)}


def open_session(
    graph_path: Path,
    spec: NetworkSpec,
    layers: Sequence[str],
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
) -> Session:
    """Load a network of the store.

    Parameters
    ----------
    graph_path : Path
        The store's ``network.onnx``.
    spec : NetworkSpec
    layers : sequence of str
    device : {"auto", "cuda", "cpu"}
        "cuda" is an error unless the live session really has the CUDA provider; "cpu" is ONNX
        Runtime's own; "auto" is CUDA, then OpenVINO where it is installed, then the CPU.
    precision : {"auto", "fp32", "fp16", "bf16"}
        "auto" is bf16 for OpenVINO on a CPU that multiplies it natively, else fp32.
    batch_size : int or None
        None takes `DEFAULT_BATCH`; a graph with a fixed batch keeps its own.
    threads : int or None
        Inside one operator, on the CPU; None takes every core.

    Raises
    ------
    ProviderError
        If the device, the precision or the batch is not to be had.
    WeightsError
        If ONNX Runtime refuses the graph.
    """
    prepared = runnable(graph_path, spec, layers)
    if prepared.batch is not None and batch_size not in (None, prepared.batch):
        raise ProviderError(
            f"network {spec.name!r} is bound to batches of {prepared.batch}, -b asks for {batch_size}; "
            "leave out -b"
        )
    size = prepared.batch or batch_size or DEFAULT_BATCH
    threads = threads or os.cpu_count() or 1
    engine = open_engine(prepared, spec.name, device, precision, batch_size=size, threads=threads)
    return Session(engine, prepared, layers, size)
