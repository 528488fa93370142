"""The command `next`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.active_learning.next_images import next_images
from fc7.classify.commands.options import CorrectionsArguments
from fc7.classify.commands.texts.next_text import next_json, next_text, write_next_csv
from fc7.classify.gallery.next_sheet import write_next_sheet
from fc7.classify.kinds import NEXT, NEXT_SHEET
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, existing
from fc7.models.common.command_table import unpacked
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress
from fc7.models.common.terminal import wrapped


@unpacked
def next_(
    corrected: CorrectionsArguments,
    features: Annotated[Path, typer.Argument(help="The feature cache that extract made.")] = Path(
        "features.h5"
    ),
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 50,
    model: Annotated[
        Path | None,
        typer.Option(
            "-m", "--model", help="The classifier that is to become surer; default: one fitted on the labels."
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Also write them here; with the column label filled in a file for --corrections.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page that shows them.")
    ] = None,
    layer: Annotated[
        str, typer.Option(help="Which layer of the feature cache; default: its only or last.")
    ] = "",
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Choose the images to label next: unsure ones that differ from each other.

    Of the images without a label those are chosen whose two most probable labels are nearest to each other,
    and of these the ones that differ most; never two of one picture, nor one of a picture that has a label.
    Without labels of two classes they stand for all images. Fill in the column label of the file of --csv,
    give it to fit --corrections, and to next --corrections for the round after that.
    """
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    if model is not None:
        existing(model, f"make it with `{command_line('fit')}`, or leave out -m")
    guard = guard_for((), features, model, corrected.corrections, force=force)
    csv_out = None if table is None else guard.claim(table, NEXT, "--csv")
    html_out = None if html is None else guard.claim(html, NEXT_SHEET, "--html", makes_folder=True)

    progress = make_progress(quiet)
    chosen = next_images(
        features, n, model=model, layer=layer or None, corrections=corrected.corrections, progress=progress
    )
    wrote = [] if csv_out is None else [f"wrote {write_next_csv(chosen, csv_out)}"]
    if html_out is not None:
        wrote.append(write_next_sheet(chosen, features, html_out, progress=progress).describe())
    typer.echo(
        json.dumps(next_json(chosen), ensure_ascii=False, indent=2) if as_json else wrapped(next_text(chosen))
    )
    if not quiet:
        for line in wrote:
            typer.echo(wrapped(line), err=True)
