"""The command `models bench`. It runs networks, which `models` itself cannot, and so lives in this room."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from fc7.extract.commands.options import DeviceOption, JsonOption, PrecisionOption, QuietOption
from fc7.extract.engine.bench import bench_networks, bench_rows, bench_table
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Default: every network of the network store.")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="How long each runs; never fewer than three batches.")
    ] = 3.0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how fast networks run on this machine.

    Each runs random pixels to its default layer in a process of its own. IMG/S is the median batch's,
    decoding left out; PEAK MB the most memory that process held, a graphics card's not counted. The
    measurements are kept in the network store, and `models list` and `models show` tell them from then on.
    """
    benched = bench_networks(
        names or [],
        make_progress(quiet),
        device=device,
        precision=precision,
        seconds=seconds,
        notify=notifier(quiet),
    )
    kept_in = str(benched.kept_in) if benched.kept_in is not None else None
    if as_json:
        failed = [asdict(one) for one in benched.failed]
        rows = bench_rows(benched)
        typer.echo(json.dumps({"networks": rows, "failed": failed, "kept_in": kept_in}, indent=2))
    elif benched.measured and not quiet:
        typer.echo(bench_table(benched))
        if kept_in is not None:
            typer.echo(f"kept in {kept_in}; `{command_line('models', 'list')}` shows them")
    for one in benched.failed:
        typer.echo(f"error: {one.name}: {one.reason}", err=True)
    if benched.failed:
        raise typer.Exit(max(one.exit_code for one in benched.failed))
