"""How many altered copies of pictures are found: ``python -m tests.benchmarks.planted_duplicates``.

Of every set (a folder of folders) up to 120 pictures are altered in each of sixteen ways (`altered`), and
all features are extracted once. Then, five times, 15 % of the set's pictures get one copy each, altered in
one of the ways at random; 30 % of the copies lie under a wrong label. Said are the copies that share a
group with their picture, those of `duplicates` that lie under a wrong label and of these how many are
among the first conflicts, the images tied to another picture for each hundred of the set, and the
accuracies of `fit` with the copies on both sides of the split and with each picture on one side.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fc7.classify.duplicates.find import Duplicates, find_duplicates
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import FeatureSet, load_features
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from tests.benchmarks.altered import ALTERATIONS
from tests.benchmarks.drawn import drawn_set

SOURCES, DRAWS, SHARE, WRONG = 120, 5, 0.15, 0.3
_KINDS = tuple(ALTERATIONS)


@dataclass(frozen=True)
class Material:
    """A set, and altered copies: copy i is of row ``source[i]``, altered by kind ``kind[i]``."""

    own: FeatureSet
    copies: FeatureSet
    source: NDArray[np.intp]
    kind: NDArray[np.intp]
    tracks: NDArray[np.str_]


@dataclass(frozen=True)
class Planted:
    """A set with some copies added: `of` and `kind` are about the last rows."""

    X: NDArray[np.float32]
    thumbnails: NDArray[np.uint8]
    labels: list[str]
    paths: list[str]
    content: list[str]
    of: NDArray[np.intp]
    kind: NDArray[np.intp]
    wrong: NDArray[np.bool_]


def prepare(folder: Path, network: str, track: str | None, work: Path) -> Material:
    """Alter pictures, extract them and the set."""
    extract_features([folder], work / "own.h5", ExtractOptions(network=network))
    own = load_features(work / "own.h5")
    chosen = sorted(random.Random(0).sample(range(len(own.paths)), min(SOURCES, len(own.paths))))
    for row in chosen:
        with Image.open(folder / own.paths[row]) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        for number, alter in enumerate(ALTERATIONS.values()):
            below = work / "copies" / f"{number:02}"
            below.mkdir(parents=True, exist_ok=True)
            alter(picture).save(below / f"{row:06}.png", compress_level=1)
    extract_features([work / "copies"], work / "copies.h5", ExtractOptions(network=network))
    copies = load_features(work / "copies.h5")
    names = [(int(Path(path).parent.name), int(Path(path).stem)) for path in copies.paths]
    kind, source = np.array(names, np.intp).T
    found = [re.search(track, path) if track else None for path in own.paths]
    tracks = [match.group(1) if match else path for match, path in zip(found, own.paths, strict=True)]
    return Material(own, copies, source, kind, np.array(tracks, np.str_))


def plant(material: Material, seed: int) -> Planted:
    """Draw pictures, an alteration for each, and wrong labels."""
    own, rng = material.own, np.random.default_rng(seed)
    of = rng.permutation(np.unique(material.source))[: max(1, round(SHARE * len(own.paths)))]
    kind = (np.arange(len(of)) + rng.integers(len(_KINDS))) % len(_KINDS)
    places = enumerate(zip(material.source.tolist(), material.kind.tolist(), strict=True))
    at = {pair: i for i, pair in places}
    rows = np.array([at[pair] for pair in zip(of.tolist(), kind.tolist(), strict=True)], np.intp)
    labels = own.y[of].tolist()
    wrong = rng.random(len(of)) < WRONG
    classes = sorted(set(own.y.tolist()))
    for i in np.flatnonzero(wrong).tolist():
        labels[i] = str(rng.choice([c for c in classes if c != labels[i]]))
    return Planted(
        np.concatenate([own.X, material.copies.X[rows]]),
        np.concatenate([own.thumbnails, material.copies.thumbnails[rows]]),
        [*own.y.tolist(), *labels],
        [*own.paths, *(f"copy/{row}" for row in rows.tolist())],
        [*own.sha256, *(material.copies.sha256[row] for row in rows.tolist())],
        of,
        kind,
        wrong,
    )


def tied_to_others(found: Duplicates, pictures: NDArray[np.str_]) -> int:
    """Images in a group that is mostly another picture."""
    return sum(
        len(rows) - int(np.unique(pictures[rows], return_counts=True)[1].max()) for rows in found.groups
    )


def measure(material: Material, say: Callable[[str], None]) -> None:
    """Print what is found of a set."""
    n = len(material.own.paths)
    hits, totals = np.zeros(len(_KINDS)), np.zeros(len(_KINDS))
    false, wrong_found, wrong_all, first = [], 0, 0, 0
    accuracies = []
    for seed in range(DRAWS):
        some = plant(material, seed)
        rows = np.arange(len(some.labels))
        known = ImageColumns(paths=some.paths, sha256=some.content, thumbnails=some.thumbnails)
        found = find_duplicates(some.X, rows, some.labels, known)
        hit = found.group[some.of] == found.group[n:]
        np.add.at(hits, some.kind, hit)
        np.add.at(totals, some.kind, 1)
        false.append(tied_to_others(found, np.concatenate([material.tracks, material.tracks[some.of]])))
        planted = {(int(row), n + i) for i, row in enumerate(some.of.tolist()) if some.wrong[i]}
        conflicts = [
            (pair.first, pair.second)
            for pair in found.pairs
            if some.labels[pair.first] != some.labels[pair.second]
        ]
        wrong_all += len(planted)
        wrong_found += len(planted & set(conflicts))
        first += len(planted & set(conflicts[: len(planted)]))
        options = FitOptions(head="svm", C=1.0, seed=seed)
        fitted = fit_classifier(some.X, some.labels, known, options=options)
        if fitted.leakage is not None:
            accuracies.append((fitted.leakage.both_sides.accuracy, fitted.leakage.one_side.accuracy))
    for name, hit_of, all_of in zip(_KINDS, hits, totals, strict=True):
        say(f"  {name:20} {hit_of / all_of:5.0%} of {all_of:.0f}" if all_of else f"  {name:20} none drawn")
    say(f"  all kinds            {hits.sum() / totals.sum():6.1%} of {totals.sum():.0f}")
    say(f"  images tied to another picture, for each 100 of the set: {100 * np.mean(false) / n:.2f}")
    say(f"  pairs under two labels: {wrong_found} of {wrong_all} listed, {first} among the first {wrong_all}")
    if accuracies:
        both, one = np.mean(accuracies, axis=0)
        say(
            f"  fit --svm -C 1: {both:.1%} with copies on both sides of the split, {one:.1%} with each on "
            f"one (mean of {len(accuracies)})"
        )


def main() -> None:
    """Each folder in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.planted_duplicates")
    parser.add_argument("folders", nargs="*", type=Path, help="sets, each a folder of folders")
    parser.add_argument("--drawn", action="store_true", help="a set of shapes drawn in ten colours too")
    parser.add_argument("--network", default="alexnet", help="a network of the store")
    parser.add_argument(
        "--track", help="a pattern on paths; what it captures is one picture, as frames of a film"
    )
    parser.add_argument("--work", type=Path, help="keep copies and features here, for the next time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        below = chosen.work or Path(temporary)
        for folder in [*chosen.folders, *([drawn_set(below)] if chosen.drawn else [])]:
            work = below / chosen.network / folder.name
            work.mkdir(parents=True, exist_ok=True)
            material = prepare(folder, chosen.network, chosen.track, work)
            print(f"{folder.name}, {len(material.own.paths)} images, {chosen.network}:", flush=True)
            measure(material, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
