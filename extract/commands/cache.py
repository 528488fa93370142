"""The commands `cache info | verify | merge | to-npz | to-parquet`.

What writes a cache is loaded by those that do: `cache info` is often asked, and of nothing but the header.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fc7.extract.cache.info import describe
from fc7.extract.commands.options import ForceOption, JsonOption, QuietOption, existing
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress
from fc7.models.common.terminal import counted

CacheArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A feature cache that extract made.")]


def _existing_cache(path: Path) -> Path:
    return existing(path, f"make one with `{command_line('extract', 'IMAGES', '-o', 'FILE')}`")


def info(file: CacheArgument = Path("features.h5"), as_json: JsonOption = False) -> None:
    """Describe a feature cache: network, layers, rows, labels, failures, how each run made it."""
    found = describe(_existing_cache(file))
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=2) if as_json else found.text())


def verify(
    file: CacheArgument = Path("features.h5"),
    images: Annotated[
        str | None, typer.Option(metavar="ROOT", help="Hash the images again; the place given to extract.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read every checksum, count rows and failures, and with --images say what changed since.

    Exit code 1 if the file is damaged, or if an image changed; the last line then is the command to run next,
    made of what the feature cache says of its images and network: `extract ... --repair` redoes damaged rows
    and those with NaN, `extract ... --force` makes all anew where rows can no longer be told apart.
    """
    from fc7.extract.cache.verify import verify as check

    report = check(_existing_cache(file), images, progress=make_progress(quiet))
    if as_json:
        typer.echo(
            json.dumps({**asdict(report), "path": str(file), "ok": report.ok}, ensure_ascii=False, indent=2)
        )
    elif not quiet or not report.ok:
        typer.echo(report.text())
    if not report.ok:
        raise typer.Exit(1)


def merge(
    first: Annotated[Path, typer.Argument(metavar="A", help="A feature cache.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same network.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The feature cache to write.")],
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put the rows of two feature caches of one network into a third; an image in both counts once."""
    from fc7.extract.cache.merge import merge as join

    result = join(
        _existing_cache(first), _existing_cache(second), output, force=force, progress=make_progress(quiet)
    )
    if not quiet:
        typer.echo(f"wrote {output}: {counted(result.rows, 'row')}, {counted(result.failures, 'failure')}")


def to_npz(
    file: CacheArgument = Path("features.h5"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")] = Path("features.npz"),
    layer: Annotated[str, typer.Option(help="Which layer; default: its only or last.")] = "",
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write features and columns as NumPy arrays, for tools that do not read HDF5."""
    from fc7.extract.cache.npz import to_npz as write_npz

    rows = write_npz(_existing_cache(file), output, layer or None, force=force)
    if not quiet:
        typer.echo(f"wrote {output}: {counted(rows, 'row')}")


def to_parquet(
    file: CacheArgument = Path("features.h5"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")] = Path(
        "features.parquet"
    ),
    layer: Annotated[str, typer.Option(help="Which layer; default: its only or last.")] = "",
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write features and columns as a Parquet file, for Spark, DuckDB, Polars and pandas."""
    from fc7.extract.cache.parquet import to_parquet as write_parquet

    rows = write_parquet(_existing_cache(file), output, layer or None, force=force)
    if not quiet:
        typer.echo(f"wrote {output}: {counted(rows, 'row')}")
