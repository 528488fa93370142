"""The command `report`: parse, make one call and print."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.commands.model_option import DEFAULT_MODEL, ModelOption
from fc7.classify.commands.options import CorrectionsArguments
from fc7.classify.kinds import PLOTS, REPORT
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, QuietOption, existing
from fc7.models.common.command_table import unpacked
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line, pip_install
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import counted


@unpacked
def report(
    corrected: CorrectionsArguments,
    features: Annotated[Path, typer.Argument(help="The feature cache that extract made.")] = Path(
        "features.h5"
    ),
    model: ModelOption = DEFAULT_MODEL,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page to write.")] = Path("report.html"),
    images: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOT", help="Where the images are now, if they were moved; may be repeated."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each plot there too, as PNG and SVG.")
    ] = None,
    tsne: Annotated[
        bool, typer.Option("--tsne", help="Map the features by t-SNE, which takes longer than PCA.")
    ] = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write everything that is known of a classifier into one page that can be sent by mail.

    Accuracy with its interval, confusions with the images behind them, the most confident mistakes,
    likely label errors, calibration, curves, a map, duplicates, failures, provenance. The page needs no
    network and no other file. Needs matplotlib and jinja2.
    """
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    existing(model, f"make it with `{command_line('fit')}`, or name another with -m")
    guard = guard_for(images or (), model, corrected.corrections, cache=features, force=force)
    out = guard.claim(output, REPORT, makes_folder=True)
    plots_out = None if plots is None else guard.folder(plots, PLOTS, "--plots")

    try:
        from fc7.classify.report.make import ReportOptions, make_report
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in ("matplotlib", "jinja2", "markupsafe"):
            raise
        raise UsageError(
            f"report draws with matplotlib and jinja2, and {exc.name} is not installed: "
            f"{pip_install('fc7[report]')}"
        ) from exc
    say = notifier(quiet)
    options = ReportOptions(
        images=images or (),
        plots=plots_out,
        corrections=corrected.corrections,
        tsne=tsne,
        command=shlex.join(["fc7", *sys.argv[1:]]),
    )
    made = make_report(features, model, out, options=options, progress=make_progress(quiet))
    for note in made.notes:
        say(note)
    if made.problem:
        say(f"no pictures: {made.problem}; give the place of the images with --images")
    elif made.missing:
        say(
            f"{made.missing} of {made.pictures + made.missing} pictures are missing, as images moved or "
            "changed; give the place of moved images with --images"
        )
    if not quiet:
        for path in made.plots:
            typer.echo(f"wrote {path}")
        typer.echo(f"wrote {made.out}: {made.size / 1e6:.1f} MB, {counted(made.pictures, 'picture')}")
