"""The command `suspects`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fc7.classify.commands.duplicates import say_copied
from fc7.classify.commands.options import (
    ClassWeightArgument,
    CorrectionsArguments,
    SelectionArguments,
    parse_C,
)
from fc7.classify.commands.texts.suspects_text import suspects_json, suspects_text, write_suspects_csv
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.suspects_from_cache import cache_suspects
from fc7.classify.gallery.copies import copy_from_cache, new_folder
from fc7.classify.kinds import SUSPECTS
from fc7.classify.predict.same_truth import other_truth_beside
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, existing
from fc7.models.common.command_table import unpacked
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress
from fc7.models.common.terminal import wrapped


@unpacked
def suspects(
    selection: SelectionArguments,
    corrected: CorrectionsArguments,
    features: Annotated[Path, typer.Argument(help="The feature cache that extract made.")] = Path(
        "features.h5"
    ),
    top: Annotated[int, typer.Option(min=1, help="Suspects that are printed.")] = 30,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Also write all suspects here, the most suspicious first; with the column label edited a "
            "file for --corrections.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also list labels that are contradicted less surely.")
    ] = False,
    copy: Annotated[
        Path | None,
        typer.Option(
            "--copy", metavar="DIR", help="Also copy the printed suspects into folders of this new folder."
        ),
    ] = None,
    layer: Annotated[
        str, typer.Option(help="Which layer of the feature cache; default: its only or last.")
    ] = "",
    C: Annotated[
        str, typer.Option("-C", help="auto (cross-validated over all labelled rows) or a number.")
    ] = "auto",
    normalize: Annotated[
        Literal["l2", "standard", "none"], typer.Option(help="What is done to a feature row first.")
    ] = "l2",
    class_weight: ClassWeightArgument = "none",
    seed: Annotated[int, typer.Option(min=0, help="Decides the folds.")] = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List images whose label may be wrong, the most suspicious first.

    Copies of one image with different labels come first. Then every labelled image is classified by
    softmax heads that have not seen it, its copies or its group; the less probable its own label, the
    higher it stands. Listed are labels far less probable than is usual for their class, with an estimate
    of how many are wrong. Nothing is changed: look at them, correct the column label of the file of --csv
    (empty takes the image out), and give that file to fit --corrections.
    """
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    guard = guard_for((), features, corrected.corrections, force=force)
    out = None if table is None else guard.claim(table, SUSPECTS, "--csv")
    folder = None if copy is None else new_folder(copy, "--copy")

    options = FitOptions(
        C=parse_C(C),
        normalize=normalize,
        class_weight=class_weight,
        include=tuple(selection.include or ()),
        exclude=tuple(selection.exclude or ()),
        duplicates=selection.duplicates,
        seed=seed,
        corrections=corrected.corrections,
    )
    progress = make_progress(quiet)
    found = cache_suspects(features, options, layer=layer or None, progress=progress)
    listed = found.listed(every)
    if out is not None:
        write_suspects_csv(listed, out, found.corrected)
    notes = other_truth_beside(features, found.corrected, writes=table is not None)
    typer.echo(
        json.dumps(suspects_json(found, listed[:top], notes), ensure_ascii=False, indent=2)
        if as_json
        else wrapped(suspects_text(found, listed, top, notes=notes))
    )
    if table is not None and not quiet:
        typer.echo(f"wrote {table}", err=True)
    if folder is not None:
        wanted = [(each.path, f"{each.label}, suggested {each.suggested}") for each in listed[:top]]
        copied = copy_from_cache(features, wanted, folder, option="--copy", progress=progress)
        say_copied(copied, quiet)
