"""The command that mends a cache, made of what the cache says of the run that made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fc7.extract.cache.format.header import CacheHeader
from fc7.extract.inputs.tables.list_lines import STDIN
from fc7.models.common.errors import Fc7Error
from fc7.models.common.program import command_line
from fc7.models.network.spec import PreprocessSpec
from fc7.models.store import store

IMAGES = "IMAGES"
"""Stands for what the user gave as images, where a cache does not say it."""


def extract_again(path: Path, header: CacheHeader | None, images: Sequence[str], *options: str) -> str:
    """The line that runs `extract` as the cache was made.

    Parameters
    ----------
    path : Path
        The cache.
    header : CacheHeader or None
        None where the cache does not say how it was made.
    images : sequence of str
        Where they lie; empty for where they lay.
    *options : str
        What is to be done, such as ``--repair``.
    """
    given = list(images or (() if header is None else header.roots))
    if not given or STDIN in given:
        given = [IMAGES]
    made = [] if header is None else list(_as_it_was_made(header))
    return command_line("extract", *given, *made, "-o", path, *options)


def _as_it_was_made(header: CacheHeader) -> Iterator[str]:
    identity = header.identity
    yield from ("--network", identity.network, "--layer", ",".join(identity.layers))
    own, pool = _of_the_network(identity.network)
    found = identity.preprocess
    if own is None or _resizing(own) != _resizing(found):
        yield from ("--resize", _resizing(found))
    if own is None or own.antialias != found.antialias:
        yield "--antialias" if found.antialias else "--no-antialias"
    if own is None or own.crops != found.crops:
        yield from ("--crops", str(found.crops))
    if pool != identity.pool:
        yield from ("--pool", identity.pool)
    if header.storage == "float16":
        yield "--float16"


def _of_the_network(name: str) -> tuple[PreprocessSpec | None, str | None]:
    """How a network of the store prepares images and pools maps; None for both if it is not there."""
    try:
        spec = store.load(name).spec
    except Fc7Error:
        return None, None
    return spec.preprocess, spec.pool


def _resizing(spec: PreprocessSpec) -> str:
    return f"{spec.resize}:{spec.resize_height}x{spec.resize_width}"
