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
    force: bool = False,
    say: Notify = print,
    progress: Progress | None = None,
) -> list[Path]:
    """Make shapes, extract, fit both heads, classify a 4x4 sheet of new shapes, draw the result.

    Parameters
    ----------
    folder : str or Path
    force : bool
        Replace what stands where these files go, whatever it is.
    say : callable
        Is told each step in a line.
    progress : Progress or None

    Returns
    -------
    list of Path
        The files that were made.

    Raises
    ------
    UsageError
        If something else stands where one of them goes; nothing is made then.
    """
    from classify.fitting import FitOptions
    from classify.from_cache import fit_cache
    from classify.kinds import CLASSIFIER, PREDICTIONS
    from classify.predict import classify_images
    from extract.drawing import montage, save_png
    from extract.kinds import DRAWING, FEATURE_CACHE
    from extract.options import ExtractOptions
    from extract.pipeline import extract_features
    from extract.shapes import make_shapes
    from extract.summary import summary_text
    from models.outputs import Guard

    root, heads = Path(folder), ("svm", "softmax")
    shapes, features = root / "shapes", root / "features.h5"
    tiles_at = [f"tiles/tile-{i:02}.png" for i in range(_SHEET_SIDE**2)]
    kinds = {features.name: FEATURE_CACHE, "predictions.csv": PREDICTIONS}
    kinds |= {f"{head}.onnx": CLASSIFIER for head in heads}
    kinds |= dict.fromkeys(("sheet.png", "montage.png", *tiles_at), DRAWING)
    files = Guard(force=force).folder(root, kinds, "FOLDER").files
    bar = progress or Silent()
    network = choose_network(say)

    say(f"1. drawing {4 * _COUNT} shapes into {shapes}")
    make_shapes(shapes, _COUNT, _SEED, bar, force=force)

    say("2. extracting features, once")
    options = ExtractOptions(network=network, force=force)
    summary = extract_features([shapes], files[features.name], options, progress=bar, notify=say)
    say(summary_text(summary))

    say("3. fitting two classifiers, each judged on the 30 % it has not seen")
    models = {head: root / f"{head}.onnx" for head in heads}
    for head, model in models.items():
        result = fit_cache(features, files[model.name], FitOptions(head=head))  # type: ignore[arg-type]
        low, high = result.metrics.accuracy_interval
        say(
            f"   {head}: {result.metrics.accuracy:.1%} of {result.metrics.n} held-out shapes right "
            f"(95 % interval {low:.1%} to {high:.1%}), C = {result.C:g}"
        )

    say("4. classifying a sheet of 16 new shapes, cut into tiles")
    truth, tiles = sheet()
    tile_folder = root / "tiles"
    rows = [np.concatenate(tiles[i : i + _SHEET_SIDE], axis=1) for i in range(0, len(tiles), _SHEET_SIDE)]
    sheet_file = save_png(np.concatenate(rows), files["sheet.png"])
    for tile, name in zip(tiles, tiles_at, strict=True):
        save_png(tile, files[name])
    predictions = root / "predictions.csv"
    classify_images([tile_folder], models["svm"], files[predictions.name], progress=bar, notify=say)
    found = read_first_choices(predictions)
    right = sum(label == wanted for (label, _), wanted in zip(found, truth, strict=True))
    say(f"   {right} of {len(truth)} right")

    captions = [f"{label} {score:.2f}" for label, score in found]
    picture = montage(tiles, captions, _SHEET_SIDE, files["montage.png"])

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
