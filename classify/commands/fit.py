"""The command `fit`: parse, make one call and print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fc7.classify.advice.after_fit import after_fit
from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.commands.model_option import DEFAULT_MODEL
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
from fc7.classify.commands.texts.fit_text import advice_report, fit_json, fit_report
from fc7.classify.data.load import EVERY_LAYER
from fc7.classify.fit.from_cache import CachedLayer, fit_cache
from fc7.classify.kinds import CLASSIFIER, SPLIT
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, VerboseOption, existing
from fc7.models.common.command_table import unpacked
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress
from fc7.models.common.terminal import wrapped

if TYPE_CHECKING:
    from fc7.classify.data.record import SplitRecord


@unpacked
def fit(
    head: HeadArguments,
    split: SplitArguments,
    selection: SelectionArguments,
    corrected: CorrectionsArguments,
    features: Annotated[Path, typer.Argument(help="The feature cache that extract made.")] = Path(
        "features.h5"
    ),
    normalize: NormalizeArgument = "l2",
    layer: Annotated[
        str,
        typer.Option(
            help="Which layer of the feature cache; auto cross-validates all. Default: its only or last."
        ),
    ] = "",
    one_se: OneSeArgument = False,
    class_weight: ClassWeightArgument = "none",
    refit_all: Annotated[
        bool, typer.Option("--refit-all", help="Keep a classifier refitted on every row, the test set too.")
    ] = False,
    reject_precision: Annotated[
        float | None,
        typer.Option(help="Learn to predict unknown, so that accepted images are right this often."),
    ] = None,
    reject_below: Annotated[
        float | None, typer.Option(help="Predict unknown below this probability.")
    ] = None,
    memory: Annotated[
        str,
        typer.Option(help="Features that take more are not loaded: fitted on in parts, by SGD."),
    ] = "4GB",
    keep_split: Annotated[
        Path | None,
        typer.Option(help="A classifier; images of its split keep their sides. For when images are added."),
    ] = None,
    split_csv: Annotated[
        Path | None, typer.Option(help="Also write which images train; extract --labels takes it back.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The classifier to write.")] = DEFAULT_MODEL,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a linear classifier on cached features and evaluate it on images it has not seen.

    Give --svm, --softmax or --ovo; with none, the first two are cross-validated and the better one is kept. C
    and everything else that is learned is learned inside the train set.
    """
    wanted = fit_options(
        head,
        selection,
        split,
        normalize=normalize,
        one_se=one_se,
        class_weight=class_weight,
        refit_all=refit_all,
        reject_precision=reject_precision,
        reject_below=reject_below,
        keep_split=None if keep_split is None else _split_of(keep_split),
        corrections=corrected.corrections,
    )
    existing(features, f"make it with `{command_line('extract', 'IMAGES')}`")
    guard = guard_for((), features, keep_split, corrected.corrections, force=force)
    out = guard.claim(output, CLASSIFIER)
    split_out = None if split_csv is None else guard.claim(split_csv, SPLIT, "--split-csv")

    result = fit_cache(
        CachedLayer(features, layer or None, parse_bytes(memory)),
        out,
        wanted,
        split_csv=split_out,
        progress=make_progress(quiet),
    )
    if quiet and not as_json:
        return
    if not as_json:
        # Before the advice, whose measurements take their time and may be stopped.
        typer.echo(wrapped(fit_report(result, verbose)))
        typer.echo(f"wrote {output}" + (f" and {split_csv}" if split_csv else ""))
    advice = after_fit(
        result, features, output, wants_layers=layer == EVERY_LAYER, progress=make_progress(quiet)
    )
    if as_json:
        typer.echo(json.dumps(fit_json(result, advice), ensure_ascii=False, indent=2))
    elif advice.steps:
        typer.echo(advice_report(advice))


def _split_of(model: Path) -> SplitRecord:
    existing(model, "give a classifier that fit wrote")

    split = load_classifier(model).split
    if split is None:
        raise UsageError(
            f"--keep-split {model}: the classifier does not say which images it was fitted on, as an older "
            "fc7 wrote it; fit again without --keep-split"
        )
    return split


def parse_bytes(text: str) -> int:
    """``500MB``, ``4GB`` or ``1.5 GB``: decimal units, as disks and `ls --si` count.

    Raises
    ------
    UsageError
        For anything else.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([kMGT]?)B", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"--memory {text} was found; give a size such as 500MB or 4GB")
    power = ["", "k", "m", "g", "t"].index(found[2].lower())
    return int(float(found[1]) * 1000**power)
