"""Features of new images, made as those of the feature cache that is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

from fc7.classify.app.files import AppFiles
from fc7.classify.app.jobs import Job
from fc7.extract.cache.format.header import CacheHeader
from fc7.extract.options import ExtractOptions, RunOptions
from fc7.extract.pipeline import extract_features
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
        found = extract_features([str(files.images)], files.features, options, progress=job, notify=job.note)
        done()
        failed = f", {counted(len(found.failures), 'image')} could not be read" if found.failures else ""
        return f"{counted(found.extracted, 'image')} read, {found.reused} were read before{failed}"

    return work
