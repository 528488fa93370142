"""The command `watch`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fc7.classify.commands.model_option import DEFAULT_MODEL, ModelOption
from fc7.classify.kinds import WATCHED
from fc7.classify.watch.watch import WatchOptions, watch_folder
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import (
    ForceOption,
    JsonOption,
    QuietOption,
    RunArguments,
    VerboseOption,
    existing,
)
from fc7.extract.options import RunOptions
from fc7.models.common.command_table import unpacked
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import counted, wrapped

if TYPE_CHECKING:
    from fc7.classify.predict.predictions import Prediction

_WATCHED = Path("watched.csv")


@unpacked
def watch(
    folder: Annotated[Path, typer.Argument(help="Where images arrive, in it or in folders below it.")],
    run: RunArguments,
    model: ModelOption = DEFAULT_MODEL,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file of predictions that lines are added to.")
    ] = _WATCHED,
    once: Annotated[
        bool, typer.Option("--once", help="Stop when every image that is there has a line.")
    ] = False,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds without a change after which a file counts as whole.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(min=1, help="Label-score pairs in a line.")] = 5,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Classify what arrives in a folder, until Ctrl-C.

    Each image gets a line in the file of predictions, which is on the disk before the next images are read.
    A file that is still being written is waited for. Started again, it goes on with the images that have no
    line.
    """
    existing(model, f"make it with `{command_line('fit')}`, or name another with -m")
    out = guard_for([folder], model, force=force).claim(output, WATCHED, makes_folder=True)
    say = notifier(quiet, verbose)
    if not (quiet or once):
        say(f"watching {folder}; lines go to {output}; Ctrl-C ends it")

    def tell(prediction: Prediction) -> None:
        if as_json:
            typer.echo(json.dumps(prediction.to_json(), ensure_ascii=False))
        elif not quiet:
            said = f"not read: {prediction.error}" if prediction.error else _said(prediction)
            typer.echo(f"{prediction.path}  {said}")

    options = WatchOptions(settle, once, top_k, run=RunOptions(**run.fields), tell=tell)
    done = watch_folder(folder, model, out, options=options, progress=make_progress(quiet), notify=say)
    if not quiet:
        labels = ", ".join(f"{n} {label}" for label, n in sorted(done.counts.items()))
        text = f"{counted(done.classified, 'image')} classified in {done.seconds:.0f} s"
        text += f" ({labels})" if labels else ""
        typer.echo(wrapped(f"{text}, {done.failures} not read; lines are in {output}"), err=True)
    if once and done.failures:
        raise typer.Exit(1)


def _said(prediction: Prediction) -> str:
    unlike = "  unlike training" if prediction.novelty > 1 else ""
    return f"{prediction.label}  {prediction.score:.1%}{unlike}"
