"""The command `learning-curve`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.commands.options import (
    ClassWeightArgument,
    CorrectionsArguments,
    HeadArguments,
    NormalizeArgument,
    OneSeArgument,
    SelectionArguments,
    SplitArguments,
    fit_options,
)
from fc7.classify.commands.texts.summaries import learning_curve_report
from fc7.classify.fit.learning_curve_from_cache import learning_curve_of_cache
from fc7.classify.kinds import CURVE
from fc7.classify.predict.same_truth import other_truth_beside
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, VerboseOption, existing
from fc7.models.common.command_table import unpacked
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress
from fc7.models.common.terminal import wrapped
from fc7.models.outputs.csv_rows import write_table


@unpacked
def learning_curve(
    head: HeadArguments,
    split: SplitArguments,
    selection: SelectionArguments,
    corrected: CorrectionsArguments,
    features: Annotated[Path, typer.Argument(help="The feature cache that extract made.")] = Path(
        "features.h5"
    ),
    normalize: NormalizeArgument = "l2",
    one_se: OneSeArgument = False,
    class_weight: ClassWeightArgument = "none",
    layer: Annotated[
        str, typer.Option(help="Which layer of the feature cache; default: its only or last.")
    ] = "",
    repeats: Annotated[int, typer.Option(help="Repeats of each size.")] = 5,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every repeat.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how accuracy grows with the images of each class, and whether more would help.

    The test set, head, C and normalisation are those of fit with the same options. Of the train set 1/2,
    1/4, 1/8, ... are drawn.
    """
    options = fit_options(
        head,
        selection,
        split,
        normalize=normalize,
        one_se=one_se,
        class_weight=class_weight,
        corrections=corrected.corrections,
    )
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    guard = guard_for((), features, corrected.corrections, force=force)
    out = None if csv is None else guard.claim(csv, CURVE, "--csv", makes_folder=True)

    curve = learning_curve_of_cache(
        features, options, layer=layer or None, repeats=repeats, progress=make_progress(quiet)
    )
    if out is not None:
        write_table(curve.table(), out)
    notes = other_truth_beside(features, curve.corrected, writes=csv is not None)
    if as_json:
        typer.echo(json.dumps(curve.to_json(notes), ensure_ascii=False, indent=2))
    else:
        typer.echo(wrapped(learning_curve_report(curve, verbose, notes)))
        if csv is not None:
            typer.echo(f"wrote {csv}")
