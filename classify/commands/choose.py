"""The command `choose`: parse, make one call and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fc7.classify.commands.evaluate import LabelByOption
from fc7.classify.commands.options import (
    ClassWeightArgument,
    CorrectionsArguments,
    HeadArguments,
    NormalizeArgument,
    OneSeArgument,
    SelectionArguments,
    SplitArguments,
    fit_options,
)
from fc7.classify.commands.texts.summaries import choice_report
from fc7.classify.kinds import NETWORKS
from fc7.classify.network_choice.candidates import caches_of, candidates_of
from fc7.classify.network_choice.choose_network import ChoiceOptions, choose_network
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import JsonOption, QuietOption, RunArguments
from fc7.extract.options import ExtractOptions
from fc7.models.common.command_table import unpacked
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import wrapped
from fc7.models.outputs.csv_rows import write_table


@unpacked
def choose(
    head: HeadArguments,
    split: SplitArguments,
    selection: SelectionArguments,
    run: RunArguments,
    corrected: CorrectionsArguments,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGES", help="Labelled images, as extract takes them: a folder a class."),
    ] = None,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:LAYER],...",
            help="Networks of `models list`, each with its default layer or the one after the colon: repeat "
            "it, or put commas between. all: those of the network store, which is the default.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder of the feature caches, NAME.h5.")
    ] = Path("choose"),
    labels: Annotated[
        Path | None, typer.Option(help="A CSV or TSV of path, label and optionally group, split.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="A pattern on paths; what it captures stays together in the split.")
    ] = None,
    label_by: LabelByOption = None,
    normalize: NormalizeArgument = "l2",
    one_se: OneSeArgument = False,
    class_weight: ClassWeightArgument = "none",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try unchanged images that failed again.")
    ] = False,
    remove_missing: Annotated[
        bool, typer.Option("--remove-missing", help="Take out rows of images that are gone.")
    ] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the table, with all numbers.")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Begin anew: replace what stands at an output, but never an input."),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare networks on your own images: accuracy on one test set, images a second, size.

    Each network is run once and its features are kept; run it again and only what is new is done. A
    network that fails is named, the others go on, and the exit code is 1.
    """
    if not images and labels is None:
        raise UsageError("no images were given; name folders or files, or a manifest with --labels")
    wanted = fit_options(
        head,
        selection,
        split,
        normalize=normalize,
        one_se=one_se,
        class_weight=class_weight,
        corrections=corrected.corrections,
    )
    candidates = candidates_of(networks or ())
    guard = guard_for(list(images or ()), corrected.corrections, labels=labels, force=force)
    folder = guard.folder(output, caches_of(candidates), "-o")
    out = None if csv is None else guard.claim(csv, NETWORKS, "--csv", makes_folder=True)

    given = ExtractOptions(
        **run.fields,
        labels=labels,
        group_by=group_by,
        label_by=label_by,
        retry_failed=retry_failed,
        remove_missing=remove_missing,
        force=force,
    )
    choice = choose_network(
        list(images or ()),
        folder,
        ChoiceOptions(networks=tuple(networks or ()), extract=given, fit=wanted),
        progress=make_progress(quiet),
        notify=notifier(quiet),
    )
    if out is not None:
        write_table(choice.table(), out)
    if as_json:
        typer.echo(json.dumps(choice.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo(wrapped(choice_report(choice)))
        typer.echo(f"go on with: {choice.next_command}")
        if csv is not None:
            typer.echo(f"wrote {csv}")
    if choice.failed or choice.failures:
        raise typer.Exit(1)
