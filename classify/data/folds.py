"""Cross-validation folds inside the train set: stratified, groups whole, no class ever absent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fc7.classify.data.split_groups import count_table

# Five folds: the usual compromise of bias, variance and cost (Kohavi 1995, "A study of
# cross-validation and bootstrap", recommends ten for accuracy's sake; C needs only a ranking).
MOST_FOLDS = 5
# The fold of a row that trains in every fold and is never validated.
ALWAYS_TRAINS = -1


def make_folds(y: NDArray[np.intp], group: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """Deal groups out to folds so that each fold has its share of every class.

    Parameters
    ----------
    y : ndarray of shape (n,), intp
        Class codes.
    group : ndarray of shape (n,), intp
        Rows of one group stay together; groups are dealt in their order.

    Returns
    -------
    ndarray of shape (n,), intp
        Fold from 0 to 4, or `ALWAYS_TRAINS`. There are as many folds as the largest class has groups,
        five at most. A class of fewer groups is validated in fewer folds, a class of one group in none:
        whichever fold is held out, the rest holds every class.
    """
    table = count_table(y, group, n_classes)
    units_of = [0] * n_classes
    for counts in table:
        for c in counts:
            units_of[c] += 1
    n_folds = min(max(units_of, default=0), MOST_FOLDS)
    total = np.bincount(y, minlength=n_classes).tolist()
    have = [[0] * n_classes for _ in range(n_folds)]
    size = [0] * n_folds
    dealt = []
    for counts in table:
        fold = min(
            range(n_folds),
            key=lambda f: (sum(n * have[f][c] / total[c] for c, n in counts.items()), size[f]),
        )
        for c, n in counts.items():
            have[fold][c] += n
        size[fold] += sum(counts.values())
        dealt.append(fold)
    # A class whose groups all fell into one fold would be unknown when that fold is held out.
    lonely = {(f, c) for c in range(n_classes) for f in range(n_folds) if have[f][c] == total[c] > 0}
    for u, counts in enumerate(table):
        if any((dealt[u], c) in lonely for c in counts):
            dealt[u] = ALWAYS_TRAINS
    return np.array(dealt, np.intp)[group] if len(group) else np.empty(0, np.intp)
