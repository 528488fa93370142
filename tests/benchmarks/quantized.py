"""What recipes of quantisation keep: ``python -m tests.benchmarks.quantized SET... --network NAME``.

Every recipe makes a network of 8-bit integers of NAME, on 96 images of the first set. Said are, for every
set (a folder of folders), the cosine to single precision, how often the class with the largest probability is
the same, and the change of a linear SVM's accuracy on the same splits. With ``--speed`` processor time for an
image is measured on every engine, in turn, and nothing else. NNCF's recipe is tried where it is installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.quantise.accuracy import accuracy_change
from fc7.extract.cache.reader import FeatureSet, load_features
from fc7.extract.engine.session import open_session
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import ExtractOptions, RunOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.quantise.network import QuantiseOptions, quantise
from fc7.extract.quantise.pixels import calibration_pixels
from fc7.extract.quantise.search import cosines
from fc7.models.common.progress import Silent
from fc7.models.graph.files import load_whole_graph, save_graph
from fc7.models.graph.intake import take_in
from fc7.models.graph.quantised import layers_of_quantised, to_quantise
from fc7.models.network.spec import PreprocessSpec
from fc7.models.store import store
from fc7.models.store.store import StoredNetwork, save

if TYPE_CHECKING:
    from onnx import ModelProto

Images = NDArray[np.float32]
_CALIBRATION = 96
_NAME = "benchmark-of-quantisation"


def fed(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> Images:
    """What a network of (N, C, H, W) is fed, by NumPy."""
    x = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    x = x[:, ::-1] if spec.channel_order == "BGR" else x
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (spec.mean, spec.std))
    return np.ascontiguousarray((x * np.float32(spec.scale) - mean) / std)


def by_onnxruntime(model: ModelProto, images: Images, method: str, **options: Any) -> ModelProto:
    """`onnxruntime.quantization.quantize_static` as it comes, but for a scale a channel."""
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

    class Reader:
        def __init__(self) -> None:
            self.left = [{model.graph.input[0].name: image[None]} for image in images[::-1]]

        def get_next(self) -> dict[str, Images] | None:
            return self.left.pop() if self.left else None

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.onnx"
        quantize_static(
            model,
            str(out),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=getattr(CalibrationMethod, method),
            **options,
        )
        return load_whole_graph(out)


def by_nncf(model: ModelProto, images: Images) -> ModelProto:
    """`nncf.quantize` with its defaults."""
    import nncf

    name = model.graph.input[0].name
    feeds = nncf.Dataset([{name: image[None]} for image in images])
    made: ModelProto = nncf.quantize(model, feeds, subset_size=len(images))
    return made


_WEIGHTED = ["Conv", "Gemm", "MatMul"]
_INPUTS_ONLY = {
    "OpTypesToExcludeOutputQuantization": _WEIGHTED,
    "QDQKeepRemovableActivations": True,
    "QuantizeBias": False,
}
RECIPES: dict[str, Callable[[ModelProto, Images], ModelProto]] = {
    "all operators, least to largest": partial(by_onnxruntime, method="MinMax"),
    "all operators, entropy": partial(by_onnxruntime, method="Entropy"),
    "all operators, percentile": partial(by_onnxruntime, method="Percentile"),
    "inputs of products, least to largest": partial(
        by_onnxruntime, method="MinMax", op_types_to_quantize=_WEIGHTED, extra_options=_INPUTS_ONLY
    ),
    "inputs of products, percentile": partial(
        by_onnxruntime, method="Percentile", op_types_to_quantize=_WEIGHTED, extra_options=_INPUTS_ONLY
    ),
}
if find_spec("nncf") is not None:
    RECIPES["NNCF's defaults"] = by_nncf


def made_by(recipe: str, stored: StoredNetwork, pixels: NDArray[np.uint8]) -> StoredNetwork:
    """The network of a recipe, in the store."""
    model = to_quantise(load_whole_graph(stored.graph_path), stored.spec.name)
    graph = take_in(RECIPES[recipe](model, fed(pixels, stored.spec.preprocess)), recipe)
    spec = dataclasses.replace(
        stored.spec, name=_NAME, arch="onnx", layers=layers_of_quantised(graph, stored.spec.layers)
    )
    return save(spec, lambda folder: save_graph(graph, folder), replace=True)


def ours(stored: StoredNetwork, folder: Path) -> StoredNetwork:
    """What `models quantize` makes, in the store."""
    how = RunOptions()
    made = quantise(stored, list_inputs([folder]), QuantiseOptions(_NAME, None, True), how, Silent(), print)
    return made.network


def rows(folder: Path, network: StoredNetwork, layer: str, precision: Any) -> FeatureSet:
    """Of a set; on the engine that `extract` takes."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "rows.h5"
        options = ExtractOptions(network=network.spec.name, layers=(layer,), precision=precision)
        extract_features([folder], out, options)
        return load_features(out)


def report(
    recipe: str, folders: list[Path], single: StoredNetwork, other: StoredNetwork, splits: int
) -> None:
    """A line for each set."""
    layer, output = single.spec.default_layer, single.spec.output
    for folder in folders:
        a, b = rows(folder, single, layer, "fp32"), rows(folder, other, layer, "auto")
        same = float("nan")
        if output is not None:
            tops = [
                rows(folder, network, output, precision).X.argmax(axis=1)
                for network, precision in ((single, "fp32"), (other, "auto"))
            ]
            same = 100 * float((tops[0] == tops[1]).mean())
        found = cosines(a.X, b.X)
        change = accuracy_change(a, b, "svm", Silent(), splits)
        print(
            f"{folder.name}, {recipe}: cosine {found.mean():.5f} (least {found.min():.5f}), same class "
            f"{same:.1f} %, SVM {change.before:.2f} to {change.after:.2f} %, {change.change:+.2f} points "
            f"(standard error {change.standard_error:.2f}, {splits} splits)",
            flush=True,
        )


def speed(networks: list[StoredNetwork], rounds: int) -> None:
    """Processor milliseconds for an image, medians of interleaved rounds."""
    ways = {
        "CPU provider fp32": RunOptions(device="cpu"),
        "auto fp32": RunOptions(precision="fp32"),
        "auto": RunOptions(),
    }
    sessions = {}
    for network in networks:
        for way, how in ways.items():
            layer = network.spec.default_layer
            how = dataclasses.replace(how, batch_size=16)
            session = open_session(network.graph_path, network.spec, [layer], how)
            engine = f"{session.engine.provider} {session.engine.precision}"
            sessions[f"{network.spec.name}, {way} ({engine})"] = session, network.spec.preprocess
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for measured in range(rounds + 1):
        for name, (session, spec) in sessions.items():
            shape = (session.batch_size, spec.crop_height, spec.crop_width, 3)
            pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            began = time.process_time()
            session.run(pixels)
            if measured:
                times[name].append(1000 * (time.process_time() - began) / session.batch_size)
    first = next(iter(times.values()))
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(first, found, strict=True))
        print(f"{name}: {statistics.median(found):.2f} ms an image, {ratio:.2f} times as fast as the first")


def main() -> None:
    """Each recipe in turn, then what `models quantize` makes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.quantized")
    parser.add_argument("folders", nargs="*", type=Path, help="sets, each a folder of folders")
    parser.add_argument("--network", required=True, help="a network of the store")
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--recipe", choices=[*RECIPES, "ours"], action="append")
    parser.add_argument("--rounds", type=int, default=5, help="with --speed")
    parser.add_argument("--speed", metavar="INTEGERS", help="compare speed with this network of the store")
    chosen = parser.parse_args()
    stored = store.load(chosen.network)
    if chosen.speed:
        speed([stored, store.load(chosen.speed)], chosen.rounds)
        return
    images = list_inputs(chosen.folders[:1])
    step = max(1, len(images.images) // _CALIBRATION)
    few = dataclasses.replace(images, images=images.images[::step][:_CALIBRATION])
    pixels = calibration_pixels(few, stored.spec.preprocess, Silent())
    try:
        for recipe in chosen.recipe or [*RECIPES, "ours"]:
            by_us = recipe == "ours"
            other = ours(stored, chosen.folders[0]) if by_us else made_by(recipe, stored, pixels)
            report(recipe, chosen.folders, stored, other, chosen.splits)
    finally:
        if _NAME in store.names():
            store.remove(_NAME)


if __name__ == "__main__":
    main()
