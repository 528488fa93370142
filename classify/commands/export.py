"""The command `export`: hand a classifier over as one file, as an estimator, as a script, as a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.commands.model_option import DEFAULT_MODEL, ModelOption
from fc7.classify.export.browser import export_browser
from fc7.classify.export.card import write_card
from fc7.classify.export.check_images import CheckInputs
from fc7.classify.export.export import example_of, export_full
from fc7.classify.kinds import CARD, FULL, SKOPS
from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, VerboseOption, existing
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier

_DEFAULTS = {"onnx": Path("full.onnx"), "skops": Path("classifier.skops"), "browser": Path("web")}


def export(
    model: ModelOption = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="What to write. Default: full.onnx, classifier.skops or web/."),
    ] = None,
    form: Annotated[
        Literal["onnx", "skops", "browser"],
        typer.Option(
            "--format",
            help="onnx: pixels in, labels out. skops: a scikit-learn pipeline. browser: a folder to serve.",
        ),
    ] = "onnx",
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INPUT", help="Images to try full.onnx on; may be repeated. Default: those of --features."
        ),
    ] = None,
    features: Annotated[
        Path,
        typer.Option(help="A feature cache; full.onnx is tried on its images, without it on drawn pictures."),
    ] = Path("features.h5"),
    onnxruntime_web: Annotated[
        Path,
        typer.Option(
            "--onnxruntime-web",
            metavar="DIR",
            help="The npm package, which --format browser copies files of.",
        ),
    ] = Path("node_modules"),
    label_names: Annotated[
        bool, typer.Option("--label-names", help="Also an output `name`: the label as a text.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print a script that uses full.onnx without fc7.")
    ] = False,
    card: Annotated[
        Path | None, typer.Option(help="Write a model card here: data, metrics, limits, in Markdown.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export a classifier for people and programs that do not have fc7.

    full.onnx takes pictures of the network's size (uint8, n, height, width, 3, RGB) and gives label,
    probabilities and rejected; its metadata has the labels and says how to resize. It is written only if
    it predicts as classify does, to 1e-4. --format browser writes a folder with a page that runs it in a
    browser, with nothing from elsewhere; a web server has to serve it. With --example or --card alone nothing
    else is written.
    """
    existing(model, f"make it with `{command_line('fit')}`, or name another with -m")
    guard = guard_for(images or (), model, cache=features, force=force)
    path = output or (None if example or card else _DEFAULTS[form])
    out = None
    if path is not None and form != "browser":
        out = guard.claim(path, FULL if form == "onnx" else SKOPS)
    card_out = None if card is None else guard.claim(card, CARD, "--card")

    classifier, inputs = load_classifier(model), CheckInputs(images or (), features)
    done: dict[str, object] = {}
    said: list[str] = []
    if path is not None and form == "browser":
        page = export_browser(
            classifier,
            path,
            onnxruntime_web,
            inputs=inputs,
            progress=make_progress(quiet),
            notify=notifier(quiet, verbose),
        )
        done |= page.full.to_json() | {"folder": str(page.folder), "size": page.size}
        said.append(page.describe())
    elif out is not None and form == "skops":
        # scikit-learn takes a second, and no other form needs it.
        from fc7.classify.export.skops_file import write_skops

        lost = write_skops(classifier, out)
        done |= {"files": [str(path)], "lost": lost}
        said += [*lost, f"wrote {path}"]
    elif out is not None:
        exported = export_full(
            classifier,
            out,
            inputs,
            names=label_names,
            progress=make_progress(quiet),
            notify=notifier(quiet, verbose),
        )
        done |= exported.to_json()
        said.append(exported.describe())
    if card_out is not None:
        done["card"] = str(write_card(classifier, card_out))
        said.append(f"wrote {card}")
    if example:
        typer.echo(example_of(classifier, output or _DEFAULTS["onnx"]), nl=False)
    # With --example the script is stdout, and what is said besides must not be.
    if as_json:
        typer.echo(json.dumps(done, ensure_ascii=False, indent=2), err=example)
    elif said and not quiet:
        typer.echo("\n".join(said), err=example)
