"""The whole job on drawn shapes and two photographs, step by step."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from fc7.classify.fit.fit import FitOptions
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.kinds import CLASSIFIER, PREDICTIONS
from fc7.classify.predict.imagenet import ImagenetOptions, classifier_layer, imagenet_images
from fc7.classify.predict.predict import classify_images
from fc7.extract.cache.reader import CacheReader
from fc7.extract.drawn.drawing import Tile, montage, save_png
from fc7.extract.drawn.shapes import CLASSES, draw_shape, make_shapes
from fc7.extract.kinds import DRAWING, FEATURE_CACHE
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.summary import summary_text
from fc7.models.catalog.catalog import UNTRAINED
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.outputs.outputs import CallFiles
from fc7.models.store.availability import ready_networks
from fc7.models.store.default import default_network
from fc7.models.store.ensure import ensure_network

if TYPE_CHECKING:
    from fc7.classify.metrics.metrics import Metrics
    from fc7.extract.records import Pixels
    from fc7.models.network.spec import NetworkSpec
    from fc7.models.outputs.outputs import Destination

COUNT = 40
"""Pictures of each class to learn from."""
SHAPES, TILES, FEATURES, PREDICTIONS_FILE = "shapes", "tiles", "features.h5", "predictions.csv"
MONTAGE, ANSWERS = "montage.png", "photographs.csv"
_COLUMNS = _ROWS = 4
# In the place where training pictures have their class, 0 to 3: the new shapes have a stream of their own.
_NEW = 1000
_SHOWN = 3

Head = Literal["svm", "softmax"]
HEADS: tuple[Head, ...] = ("svm", "softmax")


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What `run_demo` did and made.

    Attributes
    ----------
    folder : Path
        Holds everything that was made.
    metrics : mapping of str to Metrics
        Of the SVM and the softmax on the held-out shapes.
    n_right, n_tiles : int
        New shapes that the SVM classified right, of how many.
    photographs : tuple of Path
        Those that went through the network's own classifier; none with random weights.
    """

    folder: Path
    seed: int
    network: NetworkSpec
    metrics: Mapping[Head, Metrics]
    n_right: int
    n_tiles: int
    photographs: tuple[Path, ...]


def run_demo(
    folder: str | Path = "fc7-demo",
    seed: int = 0,
    *,
    force: bool = False,
    say: Notify = print,
    progress: Progress | None = None,
) -> DemoSummary:
    """Draw shapes, extract, fit both heads, classify 16 new shapes, draw the result, look at photographs.

    The network is the best trained one of the store, else of the installed packages (`choose_network`);
    without any it is the one with random weights. Nothing is downloaded.

    Parameters
    ----------
    folder : str or Path
        New, or an earlier demo's, of which the shapes are used again. What else it holds stays.
    seed : int
        Of the shapes, of the split and of the new shapes; at least 0.
    force : bool
        Replace what stands where its files go, whatever it is.
    say : callable
        Is told each step in a line.

    Raises
    ------
    UsageError
        If something else stands where one of its files goes, a shape of another seed too; nothing is made
        then.
    """
    # Three steps start an engine, and each says which.
    root, bar, say = Path(folder), progress or Silent(), _once(say)
    files = _claimed(root, force)
    network = choose_network(bar)
    say(f"network: {network.name}, " + ("trained" if network.trained else "random weights"))

    say(f"1. drawing {COUNT * len(CLASSES)} shapes into {root / SHAPES}")
    make_shapes(root / SHAPES, COUNT, seed, progress=bar, force=force)

    say("2. extracting features, once")
    # The features of an earlier demo may be another network's.
    options = ExtractOptions(network=network.name, force=True)
    summary = extract_features([root / SHAPES], files[FEATURES], options, progress=bar, notify=say)
    say(summary_text(summary))

    say("3. fitting two classifiers, each tested on the 30% held out")
    metrics = fit_heads(root, files, seed, progress=bar)
    for head, found in metrics.items():
        say(f"   {head}: {found.n_correct} of {found.n} right")

    say(f"4. classifying {_ROWS * _COLUMNS} new shapes")
    n_right, n_tiles = classify_new_shapes(root, files, seed, say=say, progress=bar)
    say(f"   {n_right} of {n_tiles} new shapes right; wrote {root / MONTAGE}")

    say("5. the network's own 1000 classes on photographs")
    photographs = name_photographs(files[ANSWERS], network, say, progress=bar)
    return DemoSummary(
        root,
        seed=seed,
        network=network,
        metrics=metrics,
        n_right=n_right,
        n_tiles=n_tiles,
        photographs=photographs,
    )


def _once(say: Notify) -> Notify:
    """Says every line but those that it has said."""
    said: set[str] = set()

    def say_new(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return say_new


def _claimed(root: Path, force: bool) -> Mapping[str, Destination]:
    """The places of all files, tried before the work: name -> output."""
    kinds = {PREDICTIONS_FILE: PREDICTIONS, ANSWERS: PREDICTIONS, MONTAGE: DRAWING}
    kinds |= {f"{head}.onnx": CLASSIFIER for head in HEADS}
    kinds |= dict.fromkeys(map(_tile, range(_ROWS * _COLUMNS)), DRAWING)
    guard = CallFiles(force=force, again=True)
    features = guard.claim(root / FEATURES, FEATURE_CACHE, "FOLDER", makes_folder=True, spare=_not_of_shapes)
    return {FEATURES: features, **guard.folder(root, kinds, "FOLDER").files}


def _not_of_shapes(cache: Path) -> str | None:
    """Why features are not a demo's, for `CallFiles.claim`: `features.h5` is what anybody's are called."""
    with suppress(Fc7Error), CacheReader(cache) as reader:
        if [Path(root).name for root in reader.header.roots] == [SHAPES]:
            return None
    return "which holds no features of the demo's shapes"


def _tile(number: int) -> str:
    return f"{TILES}/tile-{number:02}.png"


def choose_network(progress: Progress) -> NetworkSpec:
    """The default that somebody chose, if it is here and trained; else the best trained network that is here.

    The most accurate one of the store goes before that of the installed packages, random weights are last.

    Raises
    ------
    UsageError
        If a network was chosen that nobody knows.
    """
    default = default_network()
    chosen = default.name if default.why else None
    ready = sorted(ready_networks(), key=lambda network: (network.name != chosen, network.where != "store"))
    return ensure_network(ready[0].name if ready else UNTRAINED, progress).spec


def fit_heads(
    root: Path, files: Mapping[str, Destination], seed: int, progress: Progress
) -> dict[Head, Metrics]:
    """Fit and write an SVM and a softmax on a demo's features; their metrics on the same test set."""
    return {
        head: fit_cache(
            root / FEATURES, files[f"{head}.onnx"], FitOptions(head=head, seed=seed), progress=progress
        ).metrics
        for head in HEADS
    }


def classify_new_shapes(
    root: Path, files: Mapping[str, Destination], seed: int, say: Notify, progress: Progress
) -> tuple[int, int]:
    """Draw new shapes, classify them with the SVM and draw a montage; how many are right, of how many."""
    truth, tiles = new_shapes(seed)
    for i, tile in enumerate(tiles):
        save_png(tile, files[_tile(i)])
    predictions = files[PREDICTIONS_FILE]
    classify_images([root / TILES], root / "svm.onnx", predictions, progress=progress, notify=say)
    # The folder may hold pictures of the user's own; they are classified too, and are not counted.
    lines = {"/".join(Path(line["path"]).parts[-2:]): line for line in _lines(root / PREDICTIONS_FILE)}
    found = [(line["label"], float(line["score"])) for line in (lines[_tile(i)] for i in range(len(tiles)))]
    shown = [
        Tile(tile, (f"{label} {score:.0%}", f"truth: {wanted}"), label == wanted)
        for tile, wanted, (label, score) in zip(tiles, truth, found, strict=True)
    ]
    montage(shown, _COLUMNS, files[MONTAGE])
    return sum(tile.right is True for tile in shown), len(shown)


def new_shapes(seed: int) -> tuple[list[str], list[Pixels]]:
    """Sixteen new shapes, four of each, in a mixed order: labels and 227x227 RGB tiles."""
    rng = np.random.Generator(np.random.PCG64([seed, _NEW]))
    labels = [label for label in CLASSES for _ in range(_ROWS * _COLUMNS // len(CLASSES))]
    labels = [labels[i] for i in rng.permutation(len(labels))]
    return labels, [draw_shape(label, rng) for label in labels]


def name_photographs(
    out: Destination, network: NetworkSpec, say: Notify, progress: Progress
) -> tuple[Path, ...]:
    """Say what the network sees in scikit-learn's photographs; gives those that it was asked about."""
    try:
        classifier_layer(network)
    except UsageError as exc:
        say(f"   left out: {exc}")
        return ()
    photographs = sample_photographs()
    if not photographs:
        say("   left out: scikit-learn's sample photographs are not installed")
        return ()
    options = ImagenetOptions(network=network.name)
    predictions = imagenet_images(photographs, out, options, progress=progress, notify=say).out
    for line in _lines(predictions) if predictions is not None else ():
        say(f"   {Path(line['path']).name}: {line['error'] or _first_predictions(line)}")
    say(f"   (scikit-learn's sample photographs, CC BY 2.0: {photographs[0].parent / 'README.txt'})")
    return tuple(photographs)


def _first_predictions(line: Mapping[str, str]) -> str:
    """``palace 30%, bell cote 17%, monastery 7%`` of a line of `imagenet`."""
    # A label is a WordNet id and names: "n01440764 tench, Tinca tinca".
    return ", ".join(
        f"{line[f'label_{i}'].partition(' ')[2].partition(',')[0]} {float(line[f'score_{i}']):.0%}"
        for i in range(1, _SHOWN + 1)
    )


def _lines(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def sample_photographs() -> list[Path]:
    """The photographs that scikit-learn brings, china.jpg and flower.jpg; none if a package leaves them out.

    The README.txt beside them names their authors and the licence, Creative Commons Attribution 2.0.
    """
    import sklearn

    folder, here = Path(sklearn.__file__).parent / "datasets/images", Path.cwd()
    short = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return sorted(short.glob("*.jpg"))
