"""The command `fit`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from extract.cache_commands import existing
from extract.commands import JsonOption, QuietOption
from models.errors import UsageError

DEFAULT_MODEL = Path("classifier.onnx")


def fit(
    features: Annotated[Path, typer.Argument(help="The cache that extract made.")] = Path("features.h5"),
    svm: Annotated[bool, typer.Option("--svm", help="Linear SVM, one class against the rest.")] = False,
    softmax: Annotated[bool, typer.Option("--softmax", help="Multinomial logistic regression.")] = False,
    C: Annotated[
        str, typer.Option("-C", help="auto (cross-validated in the training part) or a number.")
    ] = "auto",
    test_size: Annotated[float, typer.Option(help="Share of each class held out to judge with.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same split.")] = 0,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="The last of each class judge, by path; for pictures in time.")
    ] = False,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Train on N images of each class, judge on the rest.")
    ] = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Train on as many of each class as the smallest has.")
    ] = False,
    include: Annotated[
        list[str] | None, typer.Option(help="Only these classes: repeat it, or put commas between.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="All classes but these.")] = None,
    duplicates: Annotated[
        str,
        typer.Option(
            help="Copies kept on one side: auto (near-duplicates, calibrated), a cosine, exact, or off."
        ),
    ] = "auto",
    normalize: Annotated[
        Literal["l2", "standard", "none", "auto"],
        typer.Option(help="What is done to a feature row first; auto cross-validates all three."),
    ] = "l2",
    layer: Annotated[
        str,
        typer.Option(help="Which layer of the cache; auto cross-validates all. Default: its only or last."),
    ] = "",
    one_se: Annotated[
        bool, typer.Option("--one-se", help="The smallest C within one standard error of the best.")
    ] = False,
    class_weight: Annotated[
        Literal["none", "balanced"], typer.Option(help="balanced: every class counts the same.")
    ] = "none",
    refit_all: Annotated[
        bool, typer.Option("--refit-all", help="Keep a classifier refitted on every row, the test part too.")
    ] = False,
    reject_precision: Annotated[
        float | None,
        typer.Option(help="Learn to answer unknown, so that accepted images are right this often."),
    ] = None,
    reject_below: Annotated[float | None, typer.Option(help="Answer unknown below this probability.")] = None,
    split_csv: Annotated[
        Path | None, typer.Option(help="Also write path,label,group,split; extract --labels takes it back.")
    ] = None,
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
        one_se=one_se,
        class_weight=class_weight,
        refit_all=refit_all,
        reject_precision=reject_precision,
        reject_below=reject_below,
        ordered=ordered,
        per_class=per_class,
        balance=balance,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        duplicates=duplicates,
    )
    result = fit_cache(
        features, output, options, layer=layer or None, split_csv=split_csv, progress=make_progress(quiet)
    )
    if as_json:
        typer.echo(json.dumps(fit_json(result), ensure_ascii=False, indent=2))
    elif not quiet:
        typer.echo(fit_report(result))
        typer.echo(f"wrote {output}" + (f" and {split_csv}" if split_csv else ""))


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
