"""From labelled rows to a split: classes chosen, duplicates grouped, sets drawn or taken as given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.data.group_hint import group_hint
from fc7.classify.data.options import SplitOptions
from fc7.classify.data.record import NEITHER, TEST, TRAIN
from fc7.classify.data.rows import Table, check_classes, codes_of
from fc7.classify.data.selection import choose_classes, trim_to_smallest
from fc7.classify.data.split import Split, column_split, stratified_split
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.data.split_values import SplitValues
from fc7.classify.duplicates.find import Duplicates, find_duplicates
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.label_names import in_order, natural_key
from fc7.models.common.progress import Progress


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is fitted and evaluated on; positions count within `table`.

    Attributes
    ----------
    table : Table
        Of the chosen classes.
    classes : list of str
        Those that can be predicted.
    group : ndarray of shape (n,), intp
        Rows of one group stay together, in the split and in every fold.
    duplicates : Duplicates or None
        None if they were not searched for.
    untied_split : Split or None
        The split that had been drawn without regard to copies, if there are any that it parts; None for
        a given split.
    straddling : ndarray of intp
        Test rows of `untied_split` (of `split`, if that was given) with a copy in training.
    group_hint : str or None
        What `classify.data.group_hint` says; a note of `split` too. None for a given split.
    """

    table: Table
    classes: list[str]
    split: Split
    group: NDArray[np.intp]
    duplicates: Duplicates | None
    untied_split: Split | None
    straddling: NDArray[np.intp]
    group_hint: str | None = None

    def labels(self, positions: NDArray[np.intp]) -> list[str]:
        """Of some rows."""
        return [self.table.labels[i] for i in positions]

    def codes(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """The labels of some rows, all of known classes, as indices into `classes`."""
        return codes_of(self.labels(positions), self.classes)

    @property
    def known(self) -> NDArray[np.intp]:
        """Training and test rows whose class can be predicted, ascending."""
        rows = np.sort(np.concatenate([self.split.train, self.split.test]))
        classes = set(self.classes)
        return rows[np.array([label in classes for label in self.labels(rows)], np.bool_)]


def prepare_split(table: Table, options: SplitOptions, progress: Progress | None = None) -> Prepared:
    """Choose the classes, group the duplicates and split.

    Parameters
    ----------
    progress : Progress or None
        Is told how far the comparison of images has come.

    Raises
    ------
    UsageError
        If a class was asked for that is not there.
    DataError
        If what is left cannot be split; see `check_classes`, `stratified_split`, `column_split`.

    Examples
    --------
    >>> from fc7.classify.data.load import table_of
    >>> from fc7.extract.cache.reader import load_features
    >>> table = table_of(load_features("features.h5"))
    >>> prepared = prepare_split(table, SplitOptions(test_size=0.25, exclude=("star",)))
    >>> prepared.classes, len(prepared.split.train), len(prepared.split.test)
    (['circle', 'rectangle', 'triangle'], 18, 6)
    """
    table = choose_classes(table, options.include, options.exclude)
    sides = SplitValues.parse(options.split)
    ignored_split = table.splits is not None and sides is None
    if sides is None:
        table = replace(table, splits=None)
    if table.splits is None:
        check_classes(table.labels, table.content, halved=True)
    duplicates = duplicates_of(table, options, progress)
    group = _make_groups(table, options, duplicates, copies=True)
    apart = _make_groups(table, options, None, copies=False)
    if table.splits is not None and sides is not None:
        split = column_split(table.splits, sides, group, name=table.name)
        classes = check_classes([table.labels[i] for i in split.train], None, halved=False)
        asked = {
            "--ordered": options.ordered,
            "--per-class": options.per_class is not None,
            "--keep-split": options.keep_split is not None,
        }
        ignored = [name for name, on in asked.items() if on]
        if ignored:
            split = _noted(split, f"the split is given with the data; without effect: {', '.join(ignored)}")
        straddling = _straddling(split, group)
        return Prepared(
            table,
            classes=classes,
            split=_balanced(table, split, group, options=options),
            group=group,
            duplicates=duplicates,
            untied_split=None,
            straddling=straddling,
        )
    classes = in_order(table.labels)
    split = _drawn(table, group, options, classes=classes)
    hint = group_hint(table.paths, table.labels, table.groups, ordered=options.ordered)
    if hint is not None:
        split = _noted(split, hint)
    if ignored_split:
        split = _noted(split, "--split draw: the split that the data came with is not used")
    untied_split = None
    straddling = np.empty(0, np.intp)
    if options.duplicates != "off":
        untied_split = replace(_drawn(table, apart, options, classes=classes), notes=())
        straddling = _straddling(untied_split, group)
    return Prepared(
        table,
        classes=classes,
        split=split,
        group=group,
        duplicates=duplicates,
        untied_split=untied_split if len(straddling) else None,
        straddling=straddling,
        group_hint=hint,
    )


def duplicates_of(table: Table, options: SplitOptions, progress: Progress | None) -> Duplicates | None:
    """The near-duplicates that `SplitOptions.duplicates` asks for; None if it asks for none."""
    if options.duplicates in ("off", "exact"):
        return None
    cosine = None if options.duplicates == "auto" else float(options.duplicates)
    return find_duplicates(
        table.X,
        table.rows,
        table.labels,
        known=ImageColumns(sha256=table.content, groups=table.groups, thumbnails=table.thumbnails),
        cosine=cosine,
        progress=progress,
    )


def _make_groups(
    table: Table, options: SplitOptions, duplicates: Duplicates | None, *, copies: bool
) -> NDArray[np.intp]:
    keys, group_names = row_keys(table.groups, table.content, table.paths)
    if not copies or options.duplicates == "off":
        group_names = [table.groups] if table.groups is not None else []
    if duplicates is not None:
        group_names = [*group_names, duplicates.group_names]
    return make_groups(keys, group_names, options.seed, place=_order(table) if options.ordered else None)


def _order(table: Table) -> list[int]:
    """The place of each row by its path, numbers in it read as numbers; without paths its position."""
    if table.paths is None:
        return list(range(len(table.labels)))
    place = [0] * len(table.paths)
    by_path = sorted(range(len(place)), key=lambda i: natural_key(table.paths[i] if table.paths else ""))
    for n, i in enumerate(by_path):
        place[i] = n
    return place


def _drawn(table: Table, group: NDArray[np.intp], options: SplitOptions, classes: list[str]) -> Split:
    y = codes_of(table.labels, classes)
    fixed, notes = _kept(table, group, options)
    split = stratified_split(
        y, group, options.test_size, classes=classes, per_class=options.per_class, fixed=fixed
    )
    return _balanced(table, replace(split, notes=(*notes, *split.notes)), group, options=options)


def _kept(table: Table, group: NDArray[np.intp], options: SplitOptions) -> tuple[dict[int, bool], list[str]]:
    """Group -> whether it trains, of those that `SplitOptions.keep_split` knows; and what to say of it.

    Where images of both sides have become one group, as a copy was added that joins them, it trains: a test
    image with a copy in training would test nothing.
    """
    if options.keep_split is None:
        return {}, []
    part = options.keep_split.part_of(table.content, table.paths)
    fixed = dict.fromkeys(group[part == TEST].tolist(), False)
    fixed |= dict.fromkeys(group[part == TRAIN].tolist(), True)
    moved = sum(fixed[u] for u in group[part == TEST].tolist())
    said = f"{np.count_nonzero(part != NEITHER) - moved} of {len(part)} images keep their side"
    if moved:
        said += f"; {moved} of the test set are grouped with training images, and train"
    return fixed, [f"--keep-split: {said}"]


def _balanced(table: Table, split: Split, group: NDArray[np.intp], options: SplitOptions) -> Split:
    if not options.balance:
        return split
    classes = in_order(table.labels)
    keys, _ = row_keys(None, table.content, table.paths)
    y = codes_of(table.labels, classes)
    kept = trim_to_smallest(split.train, y, group, keys=keys or [str(i) for i in range(len(y))])
    dropped = len(split.train) - len(kept)
    if not dropped:
        return split
    fewest = int(np.bincount(y[kept]).max())
    return _noted(
        replace(split, train=kept),
        f"--balance: every class trains on {fewest} images, as the smallest does; {dropped} training images "
        "were left out, and the test set is as it was",
    )


def _straddling(split: Split, group: NDArray[np.intp]) -> NDArray[np.intp]:
    return split.test[np.isin(group[split.test], group[split.train])]


def _noted(split: Split, note: str) -> Split:
    return replace(split, notes=(*split.notes, note))
