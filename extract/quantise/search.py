"""Which layers stay in single precision: those whose integers move the features most, as far as is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.extract.patience import loaded
from fc7.extract.records import Features, Pixels
from fc7.models.common.errors import WeightsError
from fc7.models.common.progress import Detail, Notify, Progress
from fc7.models.graph.files import GRAPH_FILE, load_graph, save_graph
from fc7.models.graph.quantised import in_single, with_both

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from fc7.models.network.spec import NetworkSpec

LEAST_COSINE = 0.9995
"""Mean cosine to the features of single precision from which on no further layer is left out.

Above it, no linear SVM's accuracy fell by more than 0.3 points; below, at 0.997, some did
(tests/benchmarks/NOTES.md).
"""
# One layer's share of the loss shows on few images, and there are many layers.
_FEW = 24


@dataclass(frozen=True, slots=True)
class TrialRun:
    """What it takes to try a graph.

    Attributes
    ----------
    folder : Path
        Empty; the graphs that are tried go there, with one file of arrays for all.
    spec : NetworkSpec
        Of the network that was quantised.
    pixels : ndarray of shape (n, crop_height, crop_width, 3), uint8
    how : RunOptions
        The device, and the precision of what is not in integers.
    """

    folder: Path
    spec: NetworkSpec
    layer: str
    pixels: Pixels
    how: RunOptions

    def features(self, graph_path: Path, pixels: Pixels, how: RunOptions | None = None) -> Features:
        """Rows of the graph in a file."""
        session = loaded(lambda: open_session(graph_path, self.spec, [self.layer], how=how or self.how))
        size = session.batch_size
        return np.concatenate(
            [session.run(pixels[i : i + size])[self.layer] for i in range(0, len(pixels), size)]
        )


@dataclass(frozen=True, slots=True)
class Found:
    """The graph that keeps enough.

    Attributes
    ----------
    single : tuple of str
        Nodes that stay in single precision, the first that was left out first.
    quantised : tuple of str
        Nodes in integers, in the order of the graph.
    cosine : float
        Mean, to the features of single precision, on the images of the calibration.
    """

    graph: ModelProto
    single: tuple[str, ...]
    quantised: tuple[str, ...]
    cosine: float


def cosines(rows: Features, others: Features) -> np.ndarray:
    """Of each row with the other's; 1 for two that are zero.

    Returns
    -------
    ndarray of shape (n,), float64
        From -1 to 1.
    """
    a, b = rows.astype(np.float64), others.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~(a.any(axis=1) | b.any(axis=1))
    found = np.divide((a * b).sum(axis=1), lengths, out=np.zeros(len(a)), where=lengths > 0)
    return np.where(both_zero, 1.0, found)


def leave_out_the_worst(
    quantised: ModelProto,
    original: tuple[Path, ModelProto],
    names: Sequence[str],
    measured: TrialRun,
    progress: Progress,
    notify: Notify,
) -> Found:
    """Put layers back into single precision until the features are close enough to the original's.

    All layers in integers are tried first, then all but the first one. Only where that is not enough, each of
    the others is tried alone, and they are put back by how far it moves the features.

    Parameters
    ----------
    original : (Path, onnx.ModelProto)
        The file of the network, and its graph with its arrays.
    names : sequence of str
        The nodes that are in integers in `quantised`.

    Raises
    ------
    WeightsError
        If no layer can be in integers.
    """
    graph_path, model = original
    variants = _Variants(measured.folder, quantised, model)
    few = np.linspace(0, len(measured.pixels) - 1, min(_FEW, len(measured.pixels))).round().astype(int)
    wanted = measured.features(graph_path, measured.pixels, replace(measured.how, precision="fp32"))

    def cosine(single: Collection[str], pixels: Pixels, rows: Features) -> float:
        return float(cosines(rows, measured.features(variants.write(single), pixels)).mean())

    single: list[str] = []
    order = [names[0]]
    while (found := cosine(single, measured.pixels, wanted)) < LEAST_COSINE:
        in_integers = f"{len(names) - len(single)} of {len(names)} layers in integers"
        notify(Detail(f"cosine {found:.5f} with {in_integers}"))
        if len(single) == 1 and len(order) == 1:
            progress.start(len(names) - 1, "each layer alone")
            alone = {}
            for name in names[1:]:
                alone[name] = cosine([n for n in names if n != name], measured.pixels[few], wanted[few])
                progress.advance()
            progress.finish()
            order += sorted(alone, key=alone.__getitem__)
        if len(single) + 1 == len(names):
            raise WeightsError(
                f"network {measured.spec.name!r} cannot be quantised: no layer of it keeps a mean cosine of "
                f"{LEAST_COSINE} ({found:.5f} with one); leave it in single precision"
            )
        single.append(order[len(single)])
    left = tuple(name for name in names if name not in single)
    return Found(variants.graph(single), tuple(single), left, cosine=found)


class _Variants:
    """Graphs that differ in which layers are in integers, over one file of arrays."""

    def __init__(self, folder: Path, quantised: ModelProto, original: ModelProto) -> None:
        self._path = folder / GRAPH_FILE
        self._originals: Sequence[NodeProto] = original.graph.node
        save_graph(with_both(quantised, original), folder)
        self._both = load_graph(self._path)

    def graph(self, single: Collection[str]) -> ModelProto:
        """Its arrays lie in the folder."""
        return in_single(self._both, self._originals, single)

    def write(self, single: Collection[str]) -> Path:
        self._path.write_bytes(self.graph(single).SerializeToString())
        return self._path
