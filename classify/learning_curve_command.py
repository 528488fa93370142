"""The command `learning-curve`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from classify.fit_command import parse_C
from extract.cache_commands import existing
from extract.commands import JsonOption, QuietOption
from models.errors import UsageError


def learning_curve(
    features: Annotated[Path, typer.Argument(help="The cache that extract made.")] = Path("features.h5"),
    svm: Annotated[bool, typer.Option("--svm", help="Linear SVM.")] = False,
    softmax: Annotated[bool, typer.Option("--softmax", help="Multinomial logistic regression.")] = False,
    C: Annotated[
        str, typer.Option("-C", help="auto (cross-validated once, on all training images) or a number.")
    ] = "auto",
    test_size: Annotated[float, typer.Option(help="Share of each class held out to judge with.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Decides the split and the draws.")] = 0,
    normalize: Annotated[
        Literal["l2", "standard", "none"], typer.Option(help="What is done to a feature row first.")
    ] = "l2",
    layer: Annotated[str, typer.Option(help="Which layer of the cache; default: its only or last.")] = "",
    repeats: Annotated[int, typer.Option(help="Draws of each size.")] = 5,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every draw.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how accuracy grows with the images of each class, and whether more would help.

    The test part is that of fit with the same options. Of the training part 1/2, 1/4, 1/8, ... are drawn.
    """
    if svm and softmax:
        raise UsageError("found --svm and --softmax; give one of them, or neither to keep the better")
    existing(features, "make it with `fc7 extract IMAGES`")
    from classify.evaluation_csv import write_tables
    from classify.fitting import FitOptions
    from classify.learning_curve import learning_curve_of_cache
    from classify.report.curves import learning_curve_report
    from models.progress import make_progress

    options = FitOptions(
        head="svm" if svm else "softmax" if softmax else None,
        C=parse_C(C),
        test_size=test_size,
        seed=seed,
        normalize=normalize,
    )
    curve = learning_curve_of_cache(
        features, options, layer=layer or None, repeats=repeats, progress=make_progress(quiet)
    )
    if csv is not None:
        write_tables({csv.name: curve.table()}, csv.parent)
    if as_json:
        typer.echo(json.dumps(curve.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo(learning_curve_report(curve))
        if csv is not None:
            typer.echo(f"wrote {csv}")
