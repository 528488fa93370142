"""The commands of stage two, and those of them that are short. Each parses, makes one call and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from classify.compare_command import compare
from classify.duplicates_command import duplicates
from classify.evaluate_command import evaluate
from classify.export_command import export
from classify.fit_command import DEFAULT_MODEL, fit
from classify.imagenet_command import imagenet
from classify.learning_curve_command import learning_curve
from classify.report_command import report
from classify.suspects_command import suspects
from extract.cache_commands import ForceOption, existing
from extract.commands import (
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
from models.program import command_line

ModelOption = Annotated[Path, typer.Option("-m", "--model", help="A classifier that fit wrote.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    for command, summary, example in (
        (fit, "Features to a classifier, judged.", "fit --svm -C auto --test-size 0.3"),
        (classify, "New images to predictions.csv.", "classify new/ -o predictions.csv --top-k 3"),
        (imagenet, "A network's own 1000 classes.", "imagenet photo.jpg --network alexnet --top-k 5"),
        (evaluate, "Judge on labelled images.", "evaluate labelled/ -m classifier.onnx --json"),
        (compare, "Which of two is better.", "compare a.onnx b.onnx features.h5"),
        (learning_curve, "Would more images help?", "learning-curve features.h5 --svm"),
        (export, "Hand it over as one file.", "export -m classifier.onnx -o full.onnx"),
        (duplicates, "Images that are one picture.", "duplicates features.h5 --csv duplicates.csv"),
        (report, "All that is known, in one page.", "report features.h5 -m classifier.onnx -o report.html"),
        (suspects, "Labels that are probably wrong.", "suspects features.h5 --csv suspects.csv"),
        (demo, "All of it, on drawn shapes.", "demo other-shapes --seed 1"),
    ):
        app.command(cls=AddressedCommand, short_help=summary, epilog=f"Example:  fc7 {example}")(command)


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
    from classify.kinds import PREDICTIONS
    from extract.call_inputs import guard_for

    # With -o - the predictions are stdout, and what is said about them must not be.
    to_stdout = str(output) == "-"
    guard = guard_for(list(inputs), model, force=force)
    out = output if to_stdout else guard.claim(output, PREDICTIONS)
    from classify.predict import classify_images
    from classify.report.summaries import classify_json, classify_report
    from classify.scoring import RunOptions
    from models.progress import make_progress

    summary = classify_images(
        list(inputs),
        model,
        out,
        top_k=top_k,
        form=None if form == "auto" else form,
        options=RunOptions(
            device,
            precision,
            batch_size,
            jobs,
            exact_decode,
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

    The network is the best trained one of the store, else of the installed packages, and names two
    photographs too; without any it has random weights. Nothing is downloaded.
    """
    from classify.demo import run_demo
    from classify.demo_text import demo_report
    from models.progress import make_progress

    summary = run_demo(folder, seed, force=force, say=notifier(quiet), progress=make_progress(quiet))
    if not quiet:
        typer.echo(demo_report(summary))
