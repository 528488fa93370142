"""The command `models quantize`: parse, make one call and print.

It runs networks and fits classifiers, which `models` itself cannot, and so lives in this room.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fc7.extract.commands.options import DeviceOption, JsonOption, PrecisionOption, QuietOption, VerboseOption
from fc7.extract.options import RunOptions
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import wrapped


def quantize(
    name: Annotated[str, typer.Argument(help="A network of the network store, in single precision.")],
    images: Annotated[
        list[str],
        typer.Option(metavar="DIR", help="Images like yours, as extract takes them; best a folder a class."),
    ],
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NEW", help="What to call it. Default: NAME-int8.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Where its features come from. Default: the network's own.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a network of that name.")] = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a network in 8-bit integers of one in the network store.

    A quarter of the size, and faster with OpenVINO on a CPU that multiplies integers (VNNI, AMX).
    Ranges are measured on up to 256 of the images. Layers whose integers move the features most stay in
    single precision. It is a network of its own: its features never mix with those of the original. Cosine,
    change of accuracy over 30 splits and speed are printed; a loss of more than 0.3 points is a warning,
    with -q too.
    """
    from fc7.classify.quantise.quantise_network import quantise_network
    from fc7.extract.quantise.network import QuantiseOptions

    report = quantise_network(
        name,
        images,
        QuantiseOptions(as_name or f"{name}-int8", layer, replace),
        how=RunOptions(device=device, precision=precision),
        progress=make_progress(quiet),
        notify=notifier(quiet, verbose),
    )
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    elif not quiet:
        typer.echo(wrapped(report.to_text()))
    for warning in report.warnings:
        typer.echo(warning, err=True)
