"""A network is tried before it is believed: three pictures alone, once more, and in a full batch.

`models import`, `models pull` and whatever fetches a network on first use hand `try_network` to
`models.store.importing`, which has no engine; a network that does not pass never enters the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fc7.extract.engine.providers import OPENVINO
from fc7.extract.options import RunOptions
from fc7.extract.patience import loaded
from fc7.extract.records import Features, Pixels
from fc7.models.common.errors import DeviceMemoryError, Fc7Error, UsageError, WeightsError
from fc7.models.common.progress import Notify
from fc7.models.network.spec import NetworkSpec

if TYPE_CHECKING:
    from fc7.extract.engine.session import Session

TOLERANCE = 1e-3
"""How far the features of a picture in a batch may lie from those it has alone, of their length.

Between rounding and the least of what depends on a batch, both measured (tests/benchmarks/NOTES.md).
"""
REPEATED = 1e-5
"""The same for a picture that is run again as it was: only the order of a sum may differ then."""
MISREAD = 0.2
"""How far the features of one engine may lie from those of ONNX Runtime's CPU provider.

Ten times what bfloat16 rounds (a cosine of 0.9998 is 0.02), and far below what a graph gives that is read
wrong.
"""

_WHY_ONE = "the network is dead there, or its images are to be prepared in another way"


def try_network(graph_path: Path, spec: NetworkSpec, notify: Notify) -> None:
    """Run a network on three pictures, on the engine that `extract` would choose for it.

    It is run at its default layer and its class output: another layer may be of no use where these are.
    `check` tries that one when features are taken from it.

    Parameters
    ----------
    graph_path : Path
        ``network.onnx``, in the store or on its way there.
    notify : callable
        Is told in one line if all three give the same class scores.

    Raises
    ------
    WeightsError
        If the engine refuses the graph or fails at it, `check` does not pass, OpenVINO gives other features
        than ONNX Runtime, or all pictures, `plain` ones too, give the same features.
    UsageError
        If a layer has no row for each image.
    DeviceMemoryError
        If a batch of one picture does not fit into memory.
    HungError
        If it does not come to an end.
    """
    session, features = loaded(lambda: _opened(graph_path, spec))
    for layer, rows in features.items():
        if not _are_one(rows):
            continue
        if layer != spec.default_layer:
            notify(f"{spec.name}: three different pictures give the same {layer!r}; {_WHY_ONE}")
        elif _are_one(np.concatenate([rows, _plain_features(session, spec)[layer]])):
            raise WeightsError(
                f"network {spec.name!r} cannot be used: layer {layer!r} is one and the same vector for "
                f"every picture that was tried; {_WHY_ONE}. Choose another layer with --layer, or say with "
                "--preprocess, --mean, --std and --scale how its images are prepared"
            )


def _opened(graph_path: Path, spec: NetworkSpec) -> tuple[Session, dict[str, Features]]:
    """A session and what `check` gives for it."""
    # The engine is loaded when there is something to try: most runs of `extract` fetch nothing.
    from fc7.extract.engine.session import open_session

    def opened(how: RunOptions) -> Session:
        try:
            return open_session(graph_path, spec, tried_layers(spec), how=how)
        except WeightsError as exc:
            raise WeightsError(
                f"{exc}; export it in float32 with ONNX's own operators, or take a newer ONNX Runtime"
            ) from exc

    session = opened(RunOptions())
    features = check(session, graph_path, spec)
    if session.engine.provider == OPENVINO:
        # It reads ONNX by itself, and gives zeros where ONNX Runtime fails at an index out of bounds.
        _compare(features, check(opened(RunOptions(device="cpu")), graph_path, spec), spec)
    return session, features


def _compare(features: dict[str, Features], reference: dict[str, Features], spec: NetworkSpec) -> None:
    for layer, rows in reference.items():
        if (apart := _distance(rows, features[layer])) > MISREAD:
            raise WeightsError(
                f"network {spec.name!r} cannot be used: OpenVINO gives features of layer {layer!r} "
                f"{_percent(apart)} away from those of ONNX Runtime; with FC7_DEVICE=cpu in the environment "
                "ONNX Runtime runs every network"
            )


def tried_layers(spec: NetworkSpec) -> list[str]:
    """The layers that `try_network` runs: the default one, and the class output if there is one."""
    return list(dict.fromkeys(filter(None, (spec.default_layer, spec.output))))


def check(session: Session, graph_path: Path, spec: NetworkSpec) -> dict[str, Features]:
    """See that a session gives a picture the same features, whenever and beside whichever others it is run.

    Parameters
    ----------
    spec : NetworkSpec
        What it was opened with.

    Returns
    -------
    dict of str to ndarray of shape (3, dim), float32
        Each layer's features of `pictures`, run one at a time.

    Raises
    ------
    WeightsError
        If the engine fails, a number is not finite, the same picture gives other numbers when it is run
        again, or when others are in its batch; with the operators that this may come from.
    UsageError
        If a layer has no row for each image.
    DeviceMemoryError
        If a batch of one picture does not fit into memory.
    """
    shown = pictures(spec.preprocess.crop_height, spec.preprocess.crop_width)
    # Whichever batch the engine is opened for is filled, so that no row of it is left untried.
    which = np.arange(max(len(shown), session.batch_size)) % len(shown)
    try:
        alone, again = (_one_by_one(session, shown) for _ in range(2))
        together = session.run(shown[which])
    except (DeviceMemoryError, UsageError):
        raise
    except Fc7Error as exc:
        raise WeightsError(f"network {spec.name!r} cannot be run: {exc}") from exc
    for layer, rows in alone.items():
        tensors = [spec.layer(layer).tensor]
        fault = None
        if not all(np.isfinite(run).all() for run in (rows, again[layer], together[layer])):
            fault = (
                "has NaN or infinite numbers. Its weights are damaged, its images are to be prepared in "
                "another way, or half precision overflows (then export it in float32)"
            )
        elif (apart := _distance(rows, again[layer])) > REPEATED:
            fault = (
                f"draws at random: the same picture gives other features when it is run again, "
                f"{_percent(apart)} away{_named('random', graph_path, tensors)}. Export it for "
                "inference (in PyTorch model.eval())"
            )
        elif (apart := _distance(rows[which], together[layer])) > TOLERANCE:
            fault = (
                f"depends on the batch: beside others a picture gives features {_percent(apart)} away from "
                f"those it gives alone{_named('mixing', graph_path, tensors)}. Export it without "
                "that (for inference; quantised statically), or with a fixed batch of 1, which fc7 keeps: "
                "python -m onnxruntime.tools.make_dynamic_shape_fixed --dim_param NAME --dim_value 1 IN.onnx "
                "OUT.onnx, NAME being that of its batch"
            )
        if fault:
            raise WeightsError(f"network {spec.name!r} cannot be used: layer {layer!r} {fault}")
    return alone


def pictures(height: int, width: int) -> Pixels:
    """Three pictures like photographs: smooth colours, a little noise, less and less contrast.

    Returns
    -------
    ndarray of shape (3, height, width, 3), uint8
        RGB; the same for the same size.
    """
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-128, 128, (3, 6, 6, 3))
    smooth = np.einsum("hi,nijc,wj->nhwc", _stretched(6, height), coarse, _stretched(6, width))
    contrast = np.array([1.0, 0.5, 0.25]).reshape(3, 1, 1, 1)
    noise = rng.normal(0, 8, smooth.shape)
    shown: Pixels = np.clip(128 + contrast * smooth + noise, 0, 255).astype(np.uint8)
    return shown


def plain(height: int, width: int) -> Pixels:
    """Five pictures unlike photographs: black, white, noise, stripes and a coarse chessboard.

    A network may see nothing in smooth colours, and something here.

    Returns
    -------
    ndarray of shape (5, height, width, 3), uint8
        RGB; the same for the same size.
    """
    rows, columns = np.indices((height, width))
    shown: Pixels = np.zeros((5, height, width, 3), np.uint8)
    shown[1] = 255
    shown[2] = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    shown[3] = np.where(columns % 2, 255, 0)[..., None]
    shown[4] = np.where((rows // 8 + columns // 8) % 2, 255, 0)[..., None]
    return shown


def _plain_features(session: Session, spec: NetworkSpec) -> dict[str, Features]:
    return _one_by_one(session, plain(spec.preprocess.crop_height, spec.preprocess.crop_width))


def _are_one(rows: Features) -> bool:
    """Whether all rows are one vector, but for rounding."""
    return max(_distance(rows[:1], rows[i : i + 1]) for i in range(1, len(rows))) <= REPEATED


def _stretched(few: int, many: int) -> NDArray[np.float64]:
    """A matrix that interpolates `few` numbers linearly to `many`."""
    at = np.linspace(0, few - 1, many)
    weights: NDArray[np.float64] = np.stack([np.interp(at, np.arange(few), one) for one in np.eye(few)], 1)
    return weights


def _one_by_one(session: Session, shown: Pixels) -> dict[str, Features]:
    runs = [session.run(shown[i : i + 1]) for i in range(len(shown))]
    return {layer: np.concatenate([run[layer] for run in runs]) for layer in runs[0]}


def _distance(rows: Features, others: Features) -> float:
    """The largest distance of two vectors, of the length of the first; 0 for two that are zero."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    apart = np.linalg.norm(rows.astype(np.float64) - others, axis=1)
    # Of a vector that is all but zero beside the others, rounding would be a large part.
    least = max(1e-3 * lengths.max(), np.finfo(np.float32).tiny)
    return float((apart / np.maximum(lengths, least)).max())


def _percent(share: float) -> str:
    return f"{100 * share:.2g}% of their length"


def _named(cause: Literal["random", "mixing"], graph_path: Path, tensors: Sequence[str]) -> str:
    """The first operator that may be the cause, and how many more there are; nothing if none is known."""
    # onnx takes its time to load, and most networks pass.
    from fc7.models.graph.unsafe_operators import mixing_operators, random_operators

    operators = (random_operators if cause == "random" else mixing_operators)(graph_path, tensors)
    if not operators:
        return ""
    return f" ({operators[0]}" + (f", and {len(operators) - 1} more)" if len(operators) > 1 else ")")
