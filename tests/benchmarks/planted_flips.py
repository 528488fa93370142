"""How many labels flipped on purpose are among the first suspects.

``python -m tests.benchmarks.planted_flips FEATURES...``: of each cache 5 % of the labels are changed to
another class at random, three times; said is the share of flips among the first k suspects, k the number of
flips, among the first ten, and how many of the flips are among the first 2 k.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from fc7.classify.data.load import table_of
from fc7.classify.duplicates.find import find_duplicates
from fc7.classify.fit.out_of_fold import out_of_fold
from fc7.classify.fit.suspects import find_suspects
from fc7.extract.cache.reader import load_features

SHARE, DRAWS = 0.05, 3


def shares_found(path: str, seed: int) -> tuple[int, float, float, float]:
    """Flips planted; share of them among the first k, of the first ten, and found in the first 2 k."""
    found = load_features(path)
    labels = found.y.copy()
    classes = np.unique(labels)
    rng = np.random.default_rng(seed)
    flipped = rng.choice(len(labels), round(SHARE * len(labels)), replace=False)
    for row in flipped:
        labels[row] = rng.choice(classes[classes != labels[row]])
    table = table_of(replace(found, y=labels), given_split=False)
    copies = find_duplicates(table.X, table.rows, table.labels, table.content, table.groups, table.thumbnails)
    suspects = find_suspects(table, out_of_fold(table, alike=copies.group_names), copies.groups)
    rows = np.array([suspect.row for suspect in suspects])
    hit, k = np.isin(rows, flipped), len(flipped)
    return k, float(hit[:k].sum() / k), float(hit[:10].mean()), float(hit[: 2 * k].sum() / k)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        k, *shares = np.mean([shares_found(path, seed) for seed in range(DRAWS)], axis=0)
        first, ten, twice = (f"{share:.0%}" for share in shares)
        print(
            f"{Path(path).name}: {k:.0f} flips, {first} of the first {k:.0f} suspects are flips, "
            f"{ten} of the first 10, {twice} of the flips are in the first {2 * k:.0f}",
            flush=True,
        )
