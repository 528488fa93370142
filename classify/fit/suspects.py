"""Images whose label may be wrong: copies that disagree first, then what out-of-fold heads contradict.

The order is that of confident learning's "self-confidence" (Northcutt, Jiang & Chuang 2021, "Confident
learning: estimating uncertainty in dataset labels", section 3.2): the probability that heads which have not
seen the image give to its label, lowest first. With 5 % of the labels of small photograph sets flipped at
random it put more flips among the first than that paper's normalised margin (that probability less the
largest other one), 0.66 to 0.28 of the first 43 on 860 traffic signs: a flip is improbable however sure the
head is of anything else, while two classes that look alike have large margins without any error.

A contradiction is not yet an error: where the heads are weak, most of what they contradict is right. Named
are labels that pass two thresholds. One is the class's own: a fifth of the mean self-confidence of the images
that bear the label, which mean is the threshold of that paper (section 3.1); heads unsure of a class say
little of one image of it. The other is on the odds: were `PRIOR` of the labels changed at random to another
class, Bayes' rule gives the probability that this one was; one in ten is asked, and the sum is how many of
the named ones to expect to be wrong. With 5 % flipped, two networks and four sets, three draws each, the
first k, k flips, hold as many flips as before, and 0.9 to 2.1 times k are named, where 1 to 10 times k were
contradicted. A tenth of the mean names nearly the same, one in twenty up to 2.9 times k with no more flips
among the first k; the paper's own rule (the confident joint's cells off the diagonal) named up to 8 times k,
and fewer of the flips (`python -m tests.benchmarks.planted_flips`).

`cleanlab` (2.9.0) gives the same number (`self_confidence`), at 84 MB with pandas and 3.0 s of processor
time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.data.rows import Table
from fc7.classify.fit.out_of_fold import OutOfFold
from fc7.extract.inputs.tables.corrections import Corrected
from fc7.models.common.record_repr import one_line_repr
from fc7.models.common.terminal import counted

PRIOR = 0.05
"""Share of wrong labels that is taken for granted. Ten much used test sets have 3.3 % on average, 0.2 to 10 %
(Northcutt, Athalye & Mueller 2021, "Pervasive label errors in test sets destabilize machine learning
benchmarks", table 1)."""
_LEAST_WRONG = 0.1
_OF_CLASS_MEAN = 0.2
# Of what heads that were right on 75 to 95 % named, 55 to 100 % were flips; where they were right on 50 to
# 70 %, 40 to 43 % (the same draws).
_WEAK = 0.7


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label should be looked at.

    Attributes
    ----------
    row : int
        Of the features.
    path, label, suggested : str
        `suggested` is another label: that of most of its copies, or the most probable one.
    confidence : float
        Probability of `label` by heads that have not seen the image; NaN where there is none.
    suggested_confidence : float
        The same of `suggested`.
    p_wrong : float
        Probability that `label` is wrong, by Bayes' rule, had `PRIOR` of the labels been changed at random;
        1 for one that exact copies outvote, and a half for one that near-copies do and no head has seen.
    twin : str
        Path of a copy labelled `suggested`; empty if it has none.
    sha256 : str
        Of its file; empty where it is not known.
    """

    row: int
    path: str
    label: str
    suggested: str
    confidence: float
    suggested_confidence: float
    p_wrong: float
    twin: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Suspects:
    """Labels that something contradicts.

    Attributes
    ----------
    named : tuple of Suspect
        Those to look at: first rows whose copies mostly bear another label (in a tie the less probable
        labels), then rows that pass both thresholds; within both by rising `confidence`.
    others : tuple of Suspect
        Rows that have a more probable label than their own, and do not pass; by rising `confidence`.
    labelled : int
        Images with a label.
    n_unknown : int
        Those among them that nothing could classify: the only image or group of their class.
    accuracy : float
        Share of the others to whose label the heads gave the largest probability; NaN if there are none.
    C : float
        Of the heads.
    problem : str
        Which folds' heads did not converge; empty if all did.
    corrected : Corrected or None
        What corrections did to the labels.
    """

    named: tuple[Suspect, ...]
    others: tuple[Suspect, ...]
    labelled: int
    n_unknown: int
    accuracy: float
    C: float
    problem: str = ""
    corrected: Corrected | None = None

    __repr__ = one_line_repr

    def listed(self, every: bool = False) -> tuple[Suspect, ...]:
        """`named`, and where `every` label is asked for that something contradicts, `others` behind them."""
        return (*self.named, *self.others) if every else self.named

    @property
    def expected_wrong(self) -> float:
        """How many of `named` to expect to be wrong: the sum of their `p_wrong`."""
        return sum(suspect.p_wrong for suspect in self.named)

    @property
    def is_weak(self) -> bool:
        """Whether to expect less than half of `named` to be wrong, or the heads err often."""
        few_wrong = bool(self.named) and 2 * self.expected_wrong < len(self.named)
        return few_wrong or self.accuracy < _WEAK

    def describe(self) -> list[str]:
        """How many labels are named, how many of them to expect to be wrong, and on which basis."""
        lines = [] if self.corrected is None else list(self.corrected.lines)
        lines.append(f"{len(self.named)} of {counted(self.labelled, 'label')} may be wrong")
        if self.named:
            lines.append(
                f"about {max(1, round(self.expected_wrong))} of them would be wrong if {PRIOR:.0%} of all "
                "labels were changed at random"
            )
        lines.append(
            f"basis: softmax (C = {self.C:g}), fitted without the image, its copies and its group, gives "
            f"{self.accuracy:.1%} of the images their own label"
        )
        if self.is_weak:
            why = "more of them may be hard images than wrong labels" if self.named else "little can be found"
            lines.append(
                f"caution: {why}, as the classifier errs often; another network or layer, or more images, "
                "makes the list better"
            )
        if self.n_unknown:
            images = counted(self.n_unknown, "image")
            lines.append(f"{images} could not be classified: no other image of the class is left to fit on")
        return lines


def find_suspects(
    table: Table, held_out: OutOfFold, alike: Iterable[Sequence[int]] | None = None
) -> Suspects:
    """Rank the labelled rows whose label something contradicts.

    Parameters
    ----------
    held_out : OutOfFold
        Of this table.
    alike : iterable of sequences of int, or None
        Positions among the labelled rows that show one image; None takes those of equal content.
    """
    own = held_out.probabilities[np.arange(len(held_out.y)), held_out.y]
    others = held_out.probabilities.copy()
    others[np.arange(len(held_out.y)), held_out.y] = -1
    best = others.argmax(axis=1)
    p_wrong = _p_wrong(own, len(held_out.classes))
    copied: dict[int, tuple[int, int]] = {}  # position -> (suggested class, position of a twin)
    for group in _copies(table) if alike is None else alike:
        copied.update(_outvoted(list(group), held_out))

    def odds(i: int, twin: int) -> float:
        if twin >= 0 and table.content is not None and table.content[i] == table.content[twin] != "":
            return 1.0
        # That two images look the same may be wrong: heads that have not seen them say more.
        return float(p_wrong[i]) if held_out.known[i] else 0.5

    def suspect(i: int) -> Suspect:
        c, twin = copied.get(i, (int(best[i]), -1))
        return Suspect(
            row=int(table.rows[i]),
            path=_path(table, i),
            label=table.labels[i],
            suggested=held_out.classes[c],
            confidence=float(own[i]),
            suggested_confidence=float(held_out.probabilities[i, c]),
            p_wrong=odds(i, twin),
            twin="" if twin < 0 else _path(table, twin),
            sha256="" if table.content is None else table.content[i],
        )

    ahead = held_out.known & (others.max(axis=1) > own)
    contradicted = [int(i) for i in np.flatnonzero(ahead) if int(i) not in copied]
    passes = (p_wrong > _LEAST_WRONG) & (own < _OF_CLASS_MEAN * _class_means(own, held_out)[held_out.y])
    return Suspects(
        named=(
            *map(suspect, _by_confidence(copied, own)),
            *map(suspect, _by_confidence((i for i in contradicted if passes[i]), own)),
        ),
        others=tuple(map(suspect, _by_confidence((i for i in contradicted if not passes[i]), own))),
        labelled=len(held_out.y),
        n_unknown=int(np.count_nonzero(~held_out.known)),
        accuracy=float(np.mean(~ahead[held_out.known])) if held_out.known.any() else float("nan"),
        C=held_out.C,
        problem=held_out.problem,
        corrected=table.corrected,
    )


def _path(table: Table, i: int) -> str:
    return f"row {table.rows[i]}" if table.paths is None else table.paths[i]


def _p_wrong(own: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Bayes' rule: the image is of class j with probability p_j, and its label was changed or was not."""
    changed = PRIOR / (n_classes - 1) * (1 - own)
    kept = (1 - PRIOR) * own
    result: NDArray[np.float64] = changed / (changed + kept)
    return result


def _class_means(own: NDArray[np.float64], held_out: OutOfFold) -> NDArray[np.float64]:
    """The mean self-confidence of each class's images; NaN for a class without any that heads saw."""
    y, known = held_out.y, held_out.known
    count = np.bincount(y[known], minlength=len(held_out.classes))
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.bincount(y[known], own[known], len(held_out.classes)) / count
    return means


def _by_confidence(positions: Iterable[int], own: NDArray[np.float64]) -> list[int]:
    return sorted(positions, key=lambda i: (own[i] if own[i] == own[i] else np.inf, i))


def _copies(table: Table) -> list[list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for i, content in enumerate(table.content or ()):
        if content:
            found[content].append(i)
    return [group for group in found.values() if len(group) > 1]


def _outvoted(group: list[int], held_out: OutOfFold) -> dict[int, tuple[int, int]]:
    """Those of some copies that bear another label than most: position -> (that label, one that bears it)."""
    votes = Counter(int(held_out.y[i]) for i in group)
    if len(votes) < 2:
        return {}
    known = [i for i in group if held_out.known[i]]
    mean = held_out.probabilities[known].mean(axis=0) if known else np.zeros(len(held_out.classes))
    winner = max(votes, key=lambda c: (votes[c], mean[c], -c))
    twin = next(i for i in group if held_out.y[i] == winner)
    return {i: (winner, twin) for i in group if held_out.y[i] != winner}
