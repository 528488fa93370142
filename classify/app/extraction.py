"""Features of new images, made and labelled as those of the feature cache that is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, cast

from fc7.classify.app.files import AppFiles
from fc7.classify.app.jobs import Job
from fc7.extract.cache.format.header import CacheHeader
from fc7.extract.cache.reader import CacheReader, RowColumns
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import ExtractOptions, RunOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.records import Listing
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted
from fc7.models.network.spec import Pool


def extract_options(files: AppFiles, network: str | None, cache: CacheHeader | None) -> ExtractOptions:
    """How to extract: as the cache was made; without one, by a network that was chosen.

    Parameters
    ----------
    network : str or None
        Chosen on the page; it goes before that of `files`.
    cache : CacheHeader or None
        Of the feature cache, if there is one.
    """
    run: dict[str, Any] = {each.name: getattr(files.run, each.name) for each in fields(RunOptions)}
    if cache is None:
        return ExtractOptions(network=network or files.network, **run)
    made = cache.identity
    recipe = {each.name: getattr(made.preprocess, each.name) for each in fields(made.preprocess)}
    return ExtractOptions(
        network=network or made.network,
        layers=made.layers,
        preprocess=recipe,
        pool=cast(Pool, made.pool),
        storage=cache.storage,
        **run,
    )


def extraction(files: AppFiles, options: ExtractOptions, done: Callable[[], None]) -> Callable[[Job], str]:
    """The job that reads what is in the folder of images; `done` is called after it."""

    def work(job: Job) -> str:
        listing = list_inputs([str(files.images)], notify=job.note)
        if files.features.is_file():
            with CacheReader(files.features) as reader:
                listing = as_before(listing, reader.columns(), job.note)
        found = extract_features(listing, files.features, options, progress=job, notify=job.note)
        done()
        failed = f", {counted(len(found.failures), 'image')} could not be read" if found.failures else ""
        return f"{counted(found.extracted, 'image')} read, {found.reused} were read before{failed}"

    return work


def as_before(listing: Listing, known: RowColumns, notify: Notify) -> Listing:
    """A listing in which images that a cache knows keep the label, group and split that they have there.

    They may be those of a table or a pattern (`extract --labels`, `--label-by`, `--group-by`), which the app
    does not know.
    """
    columns = zip(known.path, known.label, known.group, known.split, strict=True)
    before = {path: tuple(each or None for each in what) for path, *what in columns}
    images = [ref.marked(*before[ref.path]) if ref.path in before else ref for ref in listing.images]
    n_new = sum(ref.path not in before for ref in images)
    if n_new and any(known.group):
        call = command_line("extract", *listing.roots, "--group-by", "PATTERN")
        notify(f"{counted(n_new, 'new image')} without a group, which others have; `{call}` gives groups")
    return replace(listing, images=images)
