"""The commands of stage two: fit, classify, evaluate, demo. Each parses, makes one call and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from classify.imagenet_command import imagenet
from extract.cache_commands import existing
from extract.commands import (
    BatchOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    PrecisionOption,
    QuietOption,
    notifier,
)
from models.errors import UsageError

ModelOption = Annotated[Path, typer.Option("-m", "--model", help="A classifier that fit wrote.")]
DEFAULT_MODEL = Path("classifier.onnx")


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    for command, summary, example in (
        (fit, "Features to a classifier, judged.", "fit --svm -C auto --test-size 0.3"),
        (classify, "New images to predictions.csv.", "classify new/ -o predictions.csv --top-k 3"),
        (imagenet, "A network's own 1000 classes.", "imagenet photo.jpg --network alexnet --top-k 5"),
        (evaluate, "Judge on labelled images.", "evaluate labelled/ -m classifier.onnx --json"),
        (demo, "All of it, on drawn shapes.", "demo"),
    ):
        app.command(short_help=summary, epilog=f"Example:  fc7 {example}")(command)


def fit(
    features: Annotated[Path, typer.Argument(help="The cache that extract made.")] = Path("features.h5"),
    svm: Annotated[bool, typer.Option("--svm", help="Linear SVM, one class against the rest.")] = False,
    softmax: Annotated[bool, typer.Option("--softmax", help="Multinomial logistic regression.")] = False,
    C: Annotated[
        str, typer.Option("-C", help="auto (cross-validated in the training part) or a number.")
    ] = "auto",
    test_size: Annotated[float, typer.Option(help="Share of each class held out to judge with.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same split.")] = 0,
    normalize: Annotated[
        Literal["l2", "standard", "none"], typer.Option(help="What is done to a feature row first.")
    ] = "l2",
    layer: Annotated[str, typer.Option(help="Which layer of the cache; default: its only or last.")] = "",
    refit_all: Annotated[
        bool, typer.Option("--refit-all", help="Keep a classifier refitted on every row, the test part too.")
    ] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="The classifier to write.")] = DEFAULT_MODEL,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a linear classifier on cached features and judge it on images it has not seen.

    Give --svm or --softmax; with neither, both are cross-validated and the better one is kept. C and
    everything else that is learned is learned inside the training part.
    """
    if svm and softmax:
        raise UsageError("found --svm and --softmax; give one of them, or neither to keep the better")
    existing(features, "make it with `fc7 extract IMAGES`")
    from classify.fitting import FitOptions
    from classify.from_cache import fit_cache
    from classify.report.text import fit_json, fit_report
    from models.progress import make_progress

    options = FitOptions(
        head="svm" if svm else "softmax" if softmax else None,
        C=parse_C(C),
        test_size=test_size,
        seed=seed,
        normalize=normalize,
        refit_all=refit_all,
    )
    result = fit_cache(features, output, options, layer=layer or None, progress=make_progress(quiet))
    if as_json:
        typer.echo(json.dumps(fit_json(result), ensure_ascii=False, indent=2))
    elif not quiet:
        typer.echo(fit_report(result))
        typer.echo(f"wrote {output}")


def classify(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Images, folders, or one features.h5.")
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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Classify new images: one line each with its label, its score and the next best.

    An image that cannot be read is a line with an error, and the exit code is 1; all others are
    classified. Scores are probabilities.
    """
    existing(model, "make it with `fc7 fit`, or name another with -m")
    from classify.predict import classify_images
    from classify.report.summaries import classify_json, classify_report
    from classify.scoring import RunOptions
    from models.progress import make_progress

    summary = classify_images(
        list(inputs),
        model,
        output,
        top_k=top_k,
        form=None if form == "auto" else form,
        options=RunOptions(device, precision, batch_size, jobs),
        progress=make_progress(quiet),
        notify=notifier(quiet),
    )
    # With -o - the predictions are stdout, and what is said about them must not be.
    to_stderr = str(output) == "-"
    if as_json:
        typer.echo(json.dumps(classify_json(summary), ensure_ascii=False, indent=2), err=to_stderr)
    elif not quiet:
        typer.echo(classify_report(summary), err=to_stderr)
    if summary.failures:
        raise typer.Exit(1)


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Labelled images (folder a class) or one features.h5."),
    ],
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch_size: BatchOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge a classifier on labelled images that it was not fitted on."""
    existing(model, "make it with `fc7 fit`, or name another with -m")
    from classify.judging import evaluate_images
    from classify.report.summaries import evaluation_json, evaluation_report
    from classify.scoring import RunOptions
    from models.progress import make_progress

    evaluation = evaluate_images(
        list(inputs),
        model,
        options=RunOptions(device, precision, batch_size, jobs),
        progress=make_progress(quiet),
        notify=notifier(quiet),
    )
    if as_json:
        typer.echo(json.dumps(evaluation_json(evaluation), ensure_ascii=False, indent=2))
    else:
        typer.echo(evaluation_report(evaluation))
    if evaluation.failures:
        raise typer.Exit(1)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything goes.")] = Path("fc7-demo"),
    quiet: QuietOption = False,
) -> None:
    """Do all of it on drawn shapes: images, features, two classifiers, predictions, a picture.

    Nothing is downloaded: without a trained AlexNet in the store the network has random weights, and
    says so.
    """
    from classify.demo import run_demo
    from models.progress import make_progress

    run_demo(folder, say=notifier(quiet), progress=make_progress(quiet))


def parse_C(text: str) -> float | None:  # noqa: N802
    """A positive number, or None for ``auto``.

    Raises
    ------
    UsageError
        For anything else.
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"-C {text} was found; needed is auto or a number above 0")
    return value
