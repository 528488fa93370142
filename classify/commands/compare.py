"""The command `compare`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.commands.evaluate import LabelsOption
from fc7.classify.commands.options import CorrectionsArguments
from fc7.classify.commands.texts.summaries import comparison_report
from fc7.classify.kinds import COMPARISON
from fc7.classify.predict.compare import compare_classifiers
from fc7.classify.predict.options import CompareOptions
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import (
    ForceOption,
    JsonOption,
    QuietOption,
    RunArguments,
    VerboseOption,
    existing,
)
from fc7.models.common.command_table import unpacked
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import wrapped
from fc7.models.outputs.csv_rows import write_table


@unpacked
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A classifier that fit wrote.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Labelled images (folder a class) or one features.h5."),
    ],
    run: RunArguments,
    corrected: CorrectionsArguments,
    features_b: Annotated[
        Path | None, typer.Option("--features-b", help="B's features.h5 of the same images.")
    ] = None,
    labels: LabelsOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Also write both predictions of every image.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say which of two classifiers is better, if the images can tell (McNemar's exact test).

    Images that one of them learned from are left out. Classifiers of two networks are compared on images,
    or on two feature caches of them: compare a.onnx b.onnx a.h5 --features-b b.h5
    """
    for model in (first, second):
        existing(model, f"make it with `{command_line('fit')}`")
    if features_b is not None:
        existing(features_b, f"make it with `{command_line('extract', 'IMAGES')}`")

    read = (first, second, features_b, corrected.corrections)
    guard = guard_for(list(inputs), *read, labels=labels, force=force)
    out = None if csv is None else guard.claim(csv, COMPARISON, "--csv", makes_folder=True)

    options = CompareOptions(
        **run.fields,
        second_inputs=None if features_b is None else [features_b],
        labels=labels,
        corrections=corrected.corrections,
    )
    progress, say = make_progress(quiet), notifier(quiet, verbose)
    comparison = compare_classifiers(
        first, second, list(inputs), options=options, progress=progress, notify=say
    )
    if out is not None:
        write_table(comparison.table(), out)
    if as_json:
        typer.echo(json.dumps(comparison.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo(wrapped(comparison_report(comparison)))
        if csv is not None:
            typer.echo(f"wrote {csv}")
    if comparison.failures:
        raise typer.Exit(1)
