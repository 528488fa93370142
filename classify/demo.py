"""The whole job on drawn shapes, step by step, with the commands that do the same by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.progress import Notify, Progress, Silent

if TYPE_CHECKING:
    from extract.stages import Pixels

_COUNT, _SEED = 40, 0
# The sheet's shapes come from another seed than the training shapes: they are new.
_SHEET_SEED, _SHEET_SIDE = 1000, 4


def run_demo(
    folder: str | Path = "fc7-demo",
    *,
    say: Notify = print,
    progress: Progress | None = None,
) -> list[Path]:
    """Make shapes, extract, fit both heads, classify a 4x4 sheet of new shapes, draw the result.

    Parameters
    ----------
    folder : str or Path
    say : callable
        Is told each step in a line.
    progress : Progress or None

    Returns
    -------
    list of Path
        The files that were made.
    """
    from classify.fitting import FitOptions
    from classify.from_cache import fit_cache
    from classify.predict import classify_images
    from extract.drawing import montage, save_png
    from extract.options import ExtractOptions
    from extract.pipeline import extract_features
    from extract.shapes import make_shapes
    from extract.summary import summary_text

    root = Path(folder)
    shapes, features = root / "shapes", root / "features.h5"
    bar = progress or Silent()
    network = choose_network(say)

    say(f"1. drawing {4 * _COUNT} shapes into {shapes}")
    make_shapes(shapes, _COUNT, _SEED, bar)

    say("2. extracting features, once")
    summary = extract_features([shapes], features, ExtractOptions(network=network), progress=bar, notify=say)
    say(summary_text(summary))

    say("3. fitting two classifiers, each judged on the 30 % it has not seen")
    models = {head: root / f"{head}.onnx" for head in ("svm", "softmax")}
    for head, model in models.items():
        result = fit_cache(features, model, FitOptions(head=head))  # type: ignore[arg-type]
        low, high = result.metrics.accuracy_interval
        say(
            f"   {head}: {result.metrics.accuracy:.1%} of {result.metrics.n} held-out shapes right "
            f"(95 % interval {low:.1%} to {high:.1%}), C = {result.C:g}"
        )

    say("4. classifying a sheet of 16 new shapes, cut into tiles")
    truth, tiles = sheet()
    sheet_file, tile_folder = root / "sheet.png", root / "tiles"
    tile_folder.mkdir(exist_ok=True)
    rows = [np.concatenate(tiles[i : i + _SHEET_SIDE], axis=1) for i in range(0, len(tiles), _SHEET_SIDE)]
    save_png(np.concatenate(rows), sheet_file)
    for i, tile in enumerate(tiles):
        save_png(tile, tile_folder / f"tile-{i:02}.png")
    predictions = root / "predictions.csv"
    classify_images([tile_folder], models["svm"], predictions, progress=bar, notify=say)
    found = read_first_choices(predictions)
    right = sum(label == wanted for (label, _), wanted in zip(found, truth, strict=True))
    say(f"   {right} of {len(truth)} right")

    picture = root / "montage.png"
    montage(tiles, [f"{label} {score:.2f}" for label, score in found], _SHEET_SIDE, picture)

    made = [features, *models.values(), sheet_file, predictions, picture]
    say("\nmade:\n" + "\n".join(f"  {path}" for path in [shapes, tile_folder, *made]))
    say("\nthe same by hand:\n" + "\n".join(f"  {line}" for line in by_hand(root, network)))
    return made


def choose_network(say: Notify) -> str:
    """A trained AlexNet of the store, else the one with random weights, said plainly."""
    from models import store
    from models.architectures import ARCHITECTURES
    from models.importing import UNTRAINED

    for name in sorted(store.names(), key=lambda name: (name not in ARCHITECTURES, name)):
        spec = store.load(name).spec
        if spec.trained and spec.arch in ARCHITECTURES and spec.default_layer == "fc7":
            say(f"network: {name}, trained")
            return name
    say(
        f"network: {UNTRAINED}. No trained AlexNet is in the store, so these weights are random: better than "
        "guessing (25 %), no more. `fc7 models pull alexnet` fetches a trained one, then run the demo again"
    )
    return UNTRAINED


def sheet() -> tuple[list[str], list[Pixels]]:
    """Sixteen new shapes, four of each, in a mixed order: labels and 227x227 RGB tiles."""
    from extract.shapes import CLASSES, draw_shape

    rng = np.random.Generator(np.random.PCG64(_SHEET_SEED))
    labels = [label for label in CLASSES for _ in range(_SHEET_SIDE * _SHEET_SIDE // len(CLASSES))]
    labels = [labels[i] for i in rng.permutation(len(labels))]
    return labels, [draw_shape(label, rng) for label in labels]


def read_first_choices(predictions: Path) -> list[tuple[str, float]]:
    """Label and score of every line of a predictions.csv."""
    import csv

    with predictions.open(newline="", encoding="utf-8") as stream:
        return [(line["label"], float(line["score"])) for line in csv.DictReader(stream)]


def by_hand(root: Path, network: str) -> list[str]:
    """The commands that do what the demo did."""
    return [
        f"fc7 shapes {root}/shapes --count {_COUNT} --seed {_SEED}",
        f"fc7 extract {root}/shapes --network {network} -o {root}/features.h5",
        f"fc7 fit {root}/features.h5 --svm -o {root}/svm.onnx",
        f"fc7 fit {root}/features.h5 --softmax -o {root}/softmax.onnx",
        f"fc7 classify {root}/tiles -m {root}/svm.onnx -o {root}/predictions.csv",
    ]
