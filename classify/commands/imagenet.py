"""The command ``imagenet``: parses, makes one call and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fc7.classify.kinds import PREDICTIONS
from fc7.classify.predict.imagenet import ImagenetOptions, imagenet_images
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.extract import AddressedCommand
from fc7.extract.commands.options import (
    ForceOption,
    NetworkOption,
    PreprocessArguments,
    QuietOption,
    RunArguments,
    VerboseOption,
)
from fc7.models.common.command_table import parsed_by, unpacked
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import counted


@parsed_by(AddressedCommand)
@unpacked
def imagenet(
    images: Annotated[list[str], typer.Argument(help="Images and folders.")],
    run: RunArguments,
    preprocess: PreprocessArguments,
    network: NetworkOption = None,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Classes for an image.")] = 5,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file; default: stdout.")] = None,
    form: Annotated[
        Literal["auto", "table", "csv"], typer.Option("--format", help="auto goes by the suffix of -o.")
    ] = "auto",
    force: ForceOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say which of ImageNet's 1000 classes the network sees, before any learning of yours.

    An image that cannot be read is a line with its reason, and the exit code is 1.
    """
    out = None
    if output is not None and str(output) != "-":
        out = guard_for(list(images), force=force).claim(output, PREDICTIONS)

    options = ImagenetOptions(
        network=network,
        **run.fields,
        preprocess=preprocess.changes,
        top_k=top_k,
        form=None if form == "auto" else form,
    )
    progress, say = make_progress(quiet), notifier(quiet, verbose)
    summary = imagenet_images(list(images), out, options, progress=progress, notify=say)
    if not quiet:
        skipped = f", {len(summary.failures)} unreadable" if summary.failures else ""
        wrote = f"; wrote {summary.out}" if summary.out is not None else ""
        typer.echo(
            f"{counted(summary.classified, 'image')} in {summary.seconds:.1f} s{skipped}{wrote}", err=True
        )
    if summary.failures:
        raise typer.Exit(1)
