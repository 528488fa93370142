"""The command `duplicates`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fc7.classify.commands.options import CorrectionsArguments
from fc7.classify.commands.texts.duplicates_text import (
    duplicates_csv,
    duplicates_json,
    duplicates_report,
    folders_of,
)
from fc7.classify.fit.duplicates_of_cache import duplicates_of_cache
from fc7.classify.gallery.copies import copy_from_cache, new_folder
from fc7.classify.kinds import DUPLICATES
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, VerboseOption, existing
from fc7.models.common.command_table import unpacked
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress
from fc7.models.common.terminal import wrapped

if TYPE_CHECKING:
    from fc7.classify.gallery.copies import Copied


@unpacked
def duplicates(
    corrected: CorrectionsArguments,
    features: Annotated[Path, typer.Argument(help="The feature cache that extract made.")] = Path(
        "features.h5"
    ),
    threshold: Annotated[
        str,
        typer.Option(help="auto (calibrated on this cache) or a cosine of centred features, such as 0.9."),
    ] = "auto",
    layer: Annotated[
        str, typer.Option(help="Which layer of the feature cache; default: its only or last.")
    ] = "",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Also write every such image as a line of this file.")
    ] = None,
    copy: Annotated[
        Path | None,
        typer.Option(
            "--copy",
            metavar="DIR",
            help="Also copy the images of each picture into a folder of this new folder.",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """List images that are one picture: exact copies, and near-duplicates by features and by thumbnails.

    Pairs under two labels come first: where both show one picture, one label is wrong. Near-duplicates are
    what a network can hardly tell apart, and what is the same in 8 x 8 greys, unless the colours differ:
    copies stored again, scaled, cropped or brightened a little, and frames of one film. The file of --csv,
    its column label edited, is one for fit --corrections.
    """
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    guard = guard_for((), features, corrected.corrections, force=force)
    out = None if csv_file is None else guard.claim(csv_file, DUPLICATES, "--csv")
    folder = None if copy is None else new_folder(copy, "--copy")
    progress = make_progress(quiet)
    found = duplicates_of_cache(
        features, threshold, layer=layer or None, corrections=corrected.corrections, progress=progress
    )
    if out is not None:
        duplicates_csv(found, out)
    if as_json:
        typer.echo(json.dumps(duplicates_json(found), ensure_ascii=False, indent=2))
    else:
        typer.echo(wrapped(duplicates_report(found, verbose)))
        if csv_file is not None and not quiet:
            typer.echo(f"wrote {csv_file}", err=True)
    if folder is not None:
        say_copied(
            copy_from_cache(features, folders_of(found), folder, option="--copy", progress=progress), quiet
        )


def say_copied(copied: Copied, quiet: bool) -> None:
    """Tell what was copied on stderr; exit code 1 if an image was not."""
    if not quiet:
        typer.echo(copied.describe(), err=True)
    if copied.skipped:
        raise typer.Exit(1)
