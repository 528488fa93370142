"""The command `evaluate`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.commands.model_option import DEFAULT_MODEL, ModelOption
from fc7.classify.commands.options import CorrectionsArguments
from fc7.classify.commands.texts.summaries import evaluation_json, evaluation_report
from fc7.classify.kinds import EVALUATION
from fc7.classify.predict.evaluate import evaluate_images
from fc7.classify.predict.evaluation_csv import write_evaluation
from fc7.classify.predict.options import EvaluateOptions
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

LabelsOption = Annotated[
    Path | None, typer.Option(help="A CSV or TSV of path, label and optionally group; for images.")
]
LabelByOption = Annotated[
    str | None, typer.Option(metavar="REGEX|LEVEL", help="As extract has it; for images.")
]
GroupOption = Annotated[
    str | None, typer.Option(help="Regular expression that finds an image's group in its path.")
]


@unpacked
def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Labelled images (folder a class) or one features.h5."),
    ],
    run: RunArguments,
    corrected: CorrectionsArguments,
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    group_by: GroupOption = None,
    label_by: LabelByOption = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Leave out images that the classifier learned from.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Also write metrics, classes, confusion, images, groups here."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Evaluate a classifier on labelled images.

    Metrics of all images, each class and, where images have groups, each group. Images that the
    classifier learned from are told by their content; --held-out leaves them out.
    """
    existing(model, f"make it with `{command_line('fit')}`, or name another with -m")
    guard = guard_for(list(inputs), model, corrected.corrections, labels=labels, force=force)
    tables = None if csv is None else guard.folder(csv, EVALUATION, "--csv")

    options = EvaluateOptions(
        **run.fields,
        labels=labels,
        group_by=group_by,
        label_by=label_by,
        held_out=held_out,
        corrections=corrected.corrections,
    )
    progress, say = make_progress(quiet), notifier(quiet, verbose)
    evaluation = evaluate_images(list(inputs), model, options, progress=progress, notify=say)
    written = write_evaluation(evaluation, tables) if tables is not None else []
    if as_json:
        typer.echo(json.dumps(evaluation_json(evaluation), ensure_ascii=False, indent=2))
    else:
        typer.echo(wrapped(evaluation_report(evaluation)))
        for path in written:
            typer.echo(f"wrote {path}")
    if evaluation.failures:
        raise typer.Exit(1)
