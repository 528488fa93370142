"""The command `similar`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.commands.options import CorrectionsArguments
from fc7.classify.commands.texts.similar_text import similar_json, similar_text, write_similar_csv
from fc7.classify.gallery.similar_sheet import write_similar_sheet
from fc7.classify.kinds import SIMILAR, SIMILAR_SHEET
from fc7.classify.similar.similar import SimilarOptions, similar_images
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.extract import AddressedCommand
from fc7.extract.commands.options import (
    ForceOption,
    JsonOption,
    QuietOption,
    RunArguments,
    VerboseOption,
    existing,
)
from fc7.extract.kinds import FEATURE_CACHE
from fc7.models.common.command_table import parsed_by, unpacked
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import wrapped

_FEATURES = "features.h5"


@parsed_by(AddressedCommand)
@unpacked
def similar(
    queries: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY",
            help="Photographs, folders, or paths of the feature cache; last the feature cache, if it is not "
            f"{_FEATURES}.",
        ),
    ],
    run: RunArguments,
    corrected: CorrectionsArguments,
    k: Annotated[int, typer.Option("-k", min=1, help="Nearest images of each query.")] = 12,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write them here, a line each.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a page that shows each query and them."),
    ] = None,
    layer: Annotated[
        str, typer.Option(help="Which layer of the feature cache; default: its only or last.")
    ] = "",
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="By an index, which is kept beside the feature cache and misses a few: for many queries.",
        ),
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find images of a feature cache that look like others.

    The features of each query are compared with every row by their cosine, which is 1 for the same
    direction. --approximate makes an index once and then looks at a few rows only; how much it finds is said.
    A query that is a path of the cache is not its own neighbour. For photographs and folders the
    cache's network must be in the network store.
    """
    images, features = _told_apart(queries)
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    if not images:
        raise UsageError(
            f"only the feature cache {features} was found; give what to look for before it: "
            f"`{command_line('similar', 'photo.jpg', str(features))}`"
        )
    guard = guard_for(images, features, corrected.corrections, force=force)
    csv_out = None if table is None else guard.claim(table, SIMILAR, "--csv")
    html_out = None if html is None else guard.claim(html, SIMILAR_SHEET, "--html", makes_folder=True)

    progress = make_progress(quiet)
    options = SimilarOptions(
        **run.fields,
        k=k,
        layer=layer or None,
        corrections=corrected.corrections,
        approximate=approximate,
    )
    say = notifier(quiet, verbose)
    found = similar_images(images, features, options, progress=progress, notify=say)
    wrote = [] if csv_out is None else [f"wrote {write_similar_csv(found, csv_out)}"]
    if html_out is not None:
        wrote.append(write_similar_sheet(found, html_out, progress).describe())
    typer.echo(
        json.dumps(similar_json(found), ensure_ascii=False, indent=2) if as_json else similar_text(found)
    )
    if not quiet:
        for line in wrote:
            typer.echo(wrapped(line), err=True)
    if found.failures:
        raise typer.Exit(1)


def _told_apart(queries: list[str]) -> tuple[list[str], Path]:
    """What is looked for, and the feature cache that comes last; an HDF5 file of images is a query."""
    *images, last = queries
    named = Path(last)
    if named.suffix.lower() in (".h5", ".hdf5", ".hdf") and (
        not named.exists() or FEATURE_CACHE.recognises(named)
    ):
        return images, named
    return queries, Path(_FEATURES)
