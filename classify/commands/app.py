"""The command `app`: parse, make one call and print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.app.files import AppFiles
from fc7.classify.commands.model_option import DEFAULT_MODEL
from fc7.extract.commands.options import ForceOption, QuietOption, RunArguments
from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.options import RunOptions
from fc7.models.common.command_table import unpacked
from fc7.models.common.errors import UsageError


@unpacked
def app(
    run: RunArguments,
    images: Annotated[
        str,
        typer.Argument(help="The folder of images, a folder in it for each class; made if it is not there."),
    ] = "imgs",
    features: Annotated[Path, typer.Option("-f", "--features", help="The feature cache.")] = Path(
        "features.h5"
    ),
    model: Annotated[
        Path, typer.Option("-m", "--model", help="The classifier; each training writes it anew.")
    ] = DEFAULT_MODEL,
    corrections: Annotated[
        Path, typer.Option(help="Where every label that is given or corrected is kept at once.")
    ] = Path("corrections.csv"),
    rounds: Annotated[Path, typer.Option(help="A line for every training.")] = Path("rounds.jsonl"),
    exports: Annotated[Path, typer.Option(help="The folder of what is taken away.")] = Path("take-away"),
    network: Annotated[
        str, typer.Option("-n", "--network", help="Of the first extraction; default: the default network.")
    ] = "",
    onnxruntime_web: Annotated[
        Path,
        typer.Option("--onnxruntime-web", metavar="DIR", help="As export --format browser takes it."),
    ] = Path("node_modules"),
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Where to serve the page; 0: the one of these files, or any that is free."
        ),
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Open a page to bring images, label, train, correct and take the classifier away.

    The page is served to this machine only, from the files of the other commands in the current folder, so
    that all of them can be used beside it. Images are copied into IMAGES when they are dropped on the page;
    your own are never moved. Every label goes to the file of corrections at once, as `fit --corrections`
    reads it. Ctrl-C ends it and loses nothing.
    """
    if is_address(images):
        raise UsageError(f"{images}: the app brings images to a folder on this machine; name one")
    from fc7.classify.app.serve import run_app

    files = AppFiles(
        Path(images),
        features=features,
        model=model,
        corrections=corrections,
        rounds=rounds,
        exports=exports,
        network=network or None,
        force=force,
        onnxruntime_web=onnxruntime_web,
        run=RunOptions(**run.fields),
    )

    def ready(url: str) -> None:
        typer.echo(url)
        if not quiet:
            typer.echo("the address is for this machine only; Ctrl-C ends the server", err=True)

    run_app(files, port=port, open_page=not no_open, ready=ready)
