"""How many labels flipped on purpose are among the first suspects.

``python -m tests.benchmarks.planted_flips FEATURES...``: of each cache 5 % of the labels are changed to
another class at random, three times; said is the share of flips among the first k suspects, k the number of
flips, among the first ten, how many are named and how many of these are flips, and how many of them
`suspects` expects to be wrong. Then the same with nothing flipped.
"""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from fc7.classify.data.load import table_of
from fc7.classify.duplicates.find import find_duplicates
from fc7.classify.fit.out_of_fold import out_of_fold
from fc7.classify.fit.suspects import find_suspects
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import load_features

SHARE, DRAWS = 0.05, 3


@dataclass(frozen=True)
class Draw:
    """What one draw gave."""

    flips: int
    of_first_k: float
    of_first_ten: float
    named: int
    named_flips: int
    expected: float


def drawn(path: str, seed: int, share: float) -> Draw:
    """Flip some labels and look for them."""
    found = load_features(path)
    labels = found.y.copy()
    classes = np.unique(labels)
    rng = np.random.default_rng(seed)
    flipped = rng.choice(len(labels), round(share * len(labels)), replace=False)
    for row in flipped:
        labels[row] = rng.choice(classes[classes != labels[row]])
    table = table_of(replace(found, y=labels), given_split=False)
    known = ImageColumns(sha256=table.content, groups=table.groups, thumbnails=table.thumbnails)
    copies = find_duplicates(table.X, table.rows, table.labels, known)
    suspects = find_suspects(table, out_of_fold(table, alike=copies.group_names), copies.groups)
    hit, k = np.isin([suspect.row for suspect in suspects.listed(every=True)], flipped), len(flipped)
    named = len(suspects.named)
    return Draw(
        k,
        hit[:k].sum() / max(k, 1),
        hit[:10].sum() / max(len(hit[:10]), 1),
        named,
        hit[:named].sum(),
        suspects.expected_wrong,
    )


if __name__ == "__main__":
    for path in sys.argv[1:]:
        draws = [drawn(path, seed, SHARE) for seed in range(DRAWS)]
        k, first, ten, named, flips, expected = np.mean([astuple(draw) for draw in draws], axis=0)
        most = max(draw.named / draw.flips for draw in draws)
        plain = drawn(path, 0, 0)
        print(
            f"{Path(path).name}: {k:.0f} flips, {first:.0%} of the first {k:.0f} suspects are flips, "
            f"{ten:.0%} of the first 10; {named:.1f} named, {flips:.1f} of them flips, {expected:.1f} "
            f"expected to be wrong; at most {most:.2f} times k named. "
            f"Nothing flipped: {plain.named} named, {plain.expected:.1f} expected to be wrong",
            flush=True,
        )
