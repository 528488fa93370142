"""The commands of stage two, and those of them that are short. Each parses, makes one call and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fc7.classify.commands.demo import run_demo
from fc7.classify.commands.demo_text import demo_report
from fc7.classify.commands.model_option import DEFAULT_MODEL, ModelOption
from fc7.classify.commands.texts.summaries import classify_json, classify_report, predictions_table
from fc7.classify.gallery.after import WantedOutputs, show_predictions
from fc7.classify.kinds import PREDICTIONS, SHEET
from fc7.classify.predict.options import ClassifyOptions
from fc7.classify.predict.predict import classify_images
from fc7.extract.call_inputs import are_images, guard_for
from fc7.extract.commands.extract import AddressedCommand
from fc7.extract.commands.options import (
    ClusterArguments,
    ForceOption,
    JsonOption,
    QuietOption,
    RunArguments,
    VerboseOption,
    existing,
)
from fc7.models.common.command_table import parsed_by, unpacked
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import counted, wrapped

_PREDICTIONS = Path("predictions.csv")


@parsed_by(AddressedCommand)
@unpacked
def classify(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Images, folders, addresses, or one features.h5.")
    ],
    run: RunArguments,
    cluster: ClusterArguments,
    model: ModelOption = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where the predictions go; - is stdout. Default: predictions.csv; images that are named one "
            "by one, and --json, are printed instead.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page that shows each image and its label.")
    ] = None,
    sort_into: Annotated[
        Path | None,
        typer.Option(
            "--sort-into",
            metavar="DIR",
            help="Also copy the images into folders by label, in this new folder.",
        ),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="With --sort-into: hard links, not copies.")] = False,
    top_k: Annotated[int, typer.Option(min=1, help="Label-score pairs in a line.")] = 5,
    form: Annotated[
        Literal["auto", "csv", "jsonl"], typer.Option("--format", help="auto goes by the suffix of -o.")
    ] = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Classify new images: one line each with its label, its score and the next best.

    An image that cannot be read is a line with an error, and the exit code is 1; all others are
    classified. Scores are probabilities.
    """
    existing(model, f"make it with `{command_line('fit')}`, or name another with -m")
    if link and sort_into is None:
        raise UsageError("--link is for --sort-into; add it, or leave --link out")

    # With -o - the predictions are stdout, and what is said about them must not be.
    to_stdout = str(output) == "-"
    printed = output is None and (as_json or are_images(inputs))
    guard = guard_for(list(inputs), model, force=force)
    out = None if printed else output if to_stdout else guard.claim(output or _PREDICTIONS, PREDICTIONS)
    sheet_out = None if html is None else guard.claim(html, SHEET, "--html", makes_folder=True)

    shown = WantedOutputs(sheet_out, sort_into, link)
    say, progress = notifier(quiet, verbose), make_progress(quiet)
    options = ClassifyOptions(
        **run.fields,
        cluster=cluster.options,
        top_k=top_k,
        form=None if form == "auto" else form,
        keep_rows=printed or as_json or shown.wanted,
    )
    summary = classify_images(list(inputs), model, out, options=options, progress=progress, notify=say)
    made = show_predictions(
        summary.predictions,
        summary.inputs,
        shown,
        title=f"{counted(len(inputs), 'input')}, {model}",
        progress=progress,
    )
    if as_json:
        told = {**classify_json(summary), **made.to_json()}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2), err=to_stdout)
    elif printed:
        typer.echo(predictions_table(summary.predictions))
    if not as_json and not quiet:
        report = "\n".join([classify_report(summary), *made.lines()])
        typer.echo(wrapped(report), err=to_stdout or printed)
    if summary.failures or made.incomplete:
        raise typer.Exit(1)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything goes.")] = Path("fc7-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other shapes.")] = 0,
    force: ForceOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do all of it on drawn shapes: images, features, two classifiers, predictions, a picture.

    The network is the best trained one of the network store, else of the installed packages, and names two
    photographs too; without any it has random weights. Nothing is downloaded.
    """
    summary = run_demo(folder, seed, force=force, say=notifier(quiet, verbose), progress=make_progress(quiet))
    if not quiet:
        typer.echo(demo_report(summary))
