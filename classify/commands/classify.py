"""The commands of stage two, and those of them that are short. Each parses, makes one call and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fc7.classify.commands.model_option import DEFAULT_MODEL, ModelOption
from fc7.extract.commands.cache import ForceOption, existing
from fc7.extract.commands.extract import (
    AddressedCommand,
    BatchOption,
    DeviceOption,
    ExactDecodeOption,
    GpusOption,
    JobsOption,
    JsonOption,
    PrecisionOption,
    QuietOption,
    RayOption,
    WorkersOption,
    cluster_options,
    notifier,
)
from fc7.models.common.command_table import parsed_by
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress


@parsed_by(AddressedCommand)
def classify(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Images, folders, addresses, or one features.h5.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the predictions go; - is stdout.")
    ] = Path("predictions.csv"),
    top_k: Annotated[int, typer.Option(min=1, help="Label-score pairs in a line.")] = 5,
    form: Annotated[
        Literal["auto", "csv", "jsonl"], typer.Option("--format", help="auto goes by the suffix of -o.")
    ] = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch_size: BatchOption = None,
    jobs: JobsOption = None,
    exact_decode: ExactDecodeOption = False,
    ray: RayOption = None,
    workers: WorkersOption = None,
    gpus_per_worker: GpusOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Classify new images: one line each with its label, its score and the next best.

    An image that cannot be read is a line with an error, and the exit code is 1; all others are
    classified. Scores are probabilities.
    """
    existing(model, f"make it with `{command_line('fit')}`, or name another with -m")
    from fc7.classify.kinds import PREDICTIONS
    from fc7.extract.call_inputs import guard_for

    # With -o - the predictions are stdout, and what is said about them must not be.
    to_stdout = str(output) == "-"
    guard = guard_for(list(inputs), model, force=force)
    out = output if to_stdout else guard.claim(output, PREDICTIONS)
    from fc7.classify.commands.summaries import classify_json, classify_report
    from fc7.classify.predict.predict import classify_images
    from fc7.extract.options import RunOptions

    summary = classify_images(
        list(inputs),
        model,
        out,
        top_k=top_k,
        form=None if form == "auto" else form,
        keep_rows=False,
        options=RunOptions(
            device=device,
            precision=precision,
            batch_size=batch_size,
            jobs=jobs,
            exact_decode=exact_decode,
            cluster=cluster_options(ray, workers, gpus_per_worker),
        ),
        progress=make_progress(quiet),
        notify=notifier(quiet),
    )
    if as_json:
        typer.echo(json.dumps(classify_json(summary), ensure_ascii=False, indent=2), err=to_stdout)
    elif not quiet:
        typer.echo(classify_report(summary), err=to_stdout)
    if summary.failures:
        raise typer.Exit(1)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything goes.")] = Path("fc7-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other shapes.")] = 0,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do all of it on drawn shapes: images, features, two classifiers, predictions, a picture.

    The network is the best trained one of the network store, else of the installed packages, and names two
    photographs too; without any it has random weights. Nothing is downloaded.
    """
    from fc7.classify.commands.demo import run_demo
    from fc7.classify.commands.demo_text import demo_report

    summary = run_demo(folder, seed, force=force, say=notifier(quiet), progress=make_progress(quiet))
    if not quiet:
        typer.echo(demo_report(summary))
