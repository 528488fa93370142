"""Features of several networks, one split, a classifier for each: what the command `choose` does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fc7.classify.data.rows import check_classes, make_table
from fc7.classify.data.selection import choose_classes
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.classify.network_choice.candidates import caches_of, candidates_of
from fc7.classify.network_choice.extracted import Extracted, extract_all
from fc7.classify.network_choice.fitted import fit_all
from fc7.classify.network_choice.result import NetworkChoice
from fc7.extract.call_inputs import guard_for
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.extract.options import ExtractOptions
from fc7.extract.records import Failure, Listing
from fc7.models.common.durable import explained
from fc7.models.common.errors import Fc7Error, StoppedError
from fc7.models.common.files import Inputs
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.outputs.outputs import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceOptions:
    """Which networks are compared, and how each is extracted and fitted.

    Attributes
    ----------
    networks : tuple of str
        Each ``NETWORK``, ``NETWORK:LAYER`` or ``all``; empty for all networks of the network store.
    extract : ExtractOptions
        Its `network` and `layers` are those of `networks`.
    fit : FitOptions
        One split for all networks: what any of them takes for one picture stays on one side.

    Examples
    --------
    >>> options = ChoiceOptions(networks=("alexnet:pool5", "tiles"), fit=FitOptions(head="svm"))
    >>> options.fit.head, options.extract.device
    ('svm', 'auto')
    """

    networks: tuple[str, ...] = ()
    extract: ExtractOptions = field(default_factory=ExtractOptions)
    fit: FitOptions = field(default_factory=FitOptions)


def choose_network(
    images: Inputs | Listing,
    folder: str | Path | Folder = "choose",
    options: ChoiceOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> NetworkChoice:
    """Compare networks on one's own images: accuracy on one test set, speed and size.

    Every network is run once over the images, as `extract` does; what its feature cache holds already is
    kept. On the images of which all networks have a row, one split is drawn, and a classifier is fitted on
    the features of each network, which are held in memory one network at a time.

    Parameters
    ----------
    images : str, Path, sequence of these, or Listing
        As `extract_features` takes them; they need labels.
    folder : str, Path or Folder
        Where the feature caches go: ``NETWORK.h5``.
    notify : callable
        Is given one-line notes: which network it is, what is fetched, how fast it was.

    Raises
    ------
    UsageError
        If a network is not known, a label is missing where one is needed, or something else stands at a
        feature cache.
    Fc7Error
        If no network gives features. One that fails beside others is named in `NetworkChoice.failed`.
    StoppedError
        After Ctrl-C; what was done is kept.

    Examples
    --------
    ``drawn`` holds four folders of eight images; ``tiles`` is a network in the store.

    >>> import fc7
    >>> choice = fc7.choose_network(["drawn"], "choose", fc7.ChoiceOptions(networks=("tiles",)))
    >>> choice.best.network, choice.best.dim, choice.n_train, len(choice.paths)
    ('tiles', 192, 24, 8)
    """
    started = time.perf_counter()
    options, progress = options or ChoiceOptions(), progress or Silent()
    candidates = candidates_of(options.networks)
    given = options.extract
    # Read before the networks take their time.
    fit = replace(options.fit, corrections=corrections_given(options.fit.corrections))
    guard = guard_for(images, labels=given.labels, force=given.force)
    place = guard.folder(folder, caches_of(candidates), "-o")
    listing = images
    if not isinstance(listing, Listing):
        listing = list_inputs(
            listing, labels=given.labels, group_by=given.group_by, label_by=given.label_by, notify=notify
        )
    _check_labels(listing, fit)
    if not options.networks:
        notify(f"no --networks, so all of the network store: {', '.join(c.network for c in candidates)}")
    with explained(place.path, "-o"):
        place.path.mkdir(parents=True, exist_ok=True)
    try:
        extracted, failed = extract_all(
            candidates, listing, place.files, options=given, progress=progress, notify=notify
        )
        if not extracted:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed)
            raise Fc7Error(f"no network gave features of these images: {reasons}")
        fitted = fit_all(extracted, fit, progress)
    except KeyboardInterrupt as exc:
        raise StoppedError(
            f"stopped; the features that were extracted are kept in {place.path}: run the same command again "
            "to go on"
        ) from exc
    return NetworkChoice(
        results=fitted.results,
        comparisons=fitted.comparisons,
        failed=(*failed, *fitted.failed),
        paths=fitted.split.paths,
        truth=fitted.split.truth,
        n_train=fitted.split.n_train,
        failures=_unread(extracted),
        notes=fitted.notes,
        seconds=time.perf_counter() - started,
    )


def _check_labels(listing: Listing, options: FitOptions) -> None:
    """Refuse labels that cannot be fitted on before the networks take their time.

    Raises
    ------
    UsageError
    """
    if options.corrections is not None:
        return  # which labels there are is known when the contents are
    images = listing.images
    labels, paths = [image.label for image in images], [image.path for image in images]
    table = make_table(None, labels, ImageColumns(paths=paths, sha256=None, groups=None, splits=None))
    chosen = choose_classes(table, options.include, options.exclude)
    check_classes(chosen.labels, None, halved=not any(image.split for image in images))


def _unread(extracted: Sequence[Extracted]) -> list[Failure]:
    found = {
        failure.path: failure
        for each in extracted
        for failure in (*each.summary.failures, *each.summary.stale)
    }
    return [found[path] for path in sorted(found)]
