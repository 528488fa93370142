"""The commands `extract` and `shapes`: each parses, makes one call and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.core

from fc7.extract.call_inputs import guard_for
from fc7.extract.commands.options import (
    ClusterArguments,
    ForceOption,
    JsonOption,
    NetworkOption,
    PreprocessArguments,
    QuietOption,
    RunArguments,
    VerboseOption,
)
from fc7.extract.commands.ray_option import with_addresses
from fc7.extract.kinds import FAILURES, FEATURE_CACHE
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.summary import failed_text, summary_json, summary_text, write_failures_csv
from fc7.models.common.command_table import SectionedCommand, parsed_by, unpacked
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.common.progress import make_progress, notifier
from fc7.models.common.terminal import counted, wrapped
from fc7.models.store.default import shown_default


class AddressedCommand(SectionedCommand):
    """A command whose ``--ray`` may stand without an address, and whose help tells the default network."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare ``--ray`` its address."""
        return super().parse_args(ctx, with_addresses(args))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Say which network is the default here and now."""
        for option in self.params:
            if option.name == "network" and isinstance(option, typer.core.TyperOption):
                option.help = f"{option.help} Default: {shown_default()}."
        super().format_options(ctx, formatter)


@parsed_by(AddressedCommand)
@unpacked
def extract(
    run: RunArguments,
    cluster: ClusterArguments,
    preprocess: PreprocessArguments,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Images, folders, lists (.txt, - for stdin), archives (.zip, .tar.gz), arrays (.npz, .npy, "
            ".p, .h5), addresses (s3://bucket/imgs). A label is the folder's name.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The feature cache to make or bring up to date.")
    ] = Path("features.h5"),
    network: NetworkOption = None,
    layer: Annotated[
        str, typer.Option(help="Layers, comma-separated: fc7,fc6,pool5. Default: the network's own.")
    ] = "",
    pool: Annotated[
        Literal["flatten", "avg", "max", "token"] | None,
        typer.Option(
            help="How a map becomes a vector: whole, or one number a channel; token: a ViT's class token."
        ),
    ] = None,
    float16: Annotated[
        bool, typer.Option("--float16", help="Store halves: half the file, error 5e-4.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(help="A CSV or TSV of path, label and optionally group, split; or Caffe's path label."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="A pattern on paths; what it captures stays together in a split.")
    ] = None,
    label_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX|LEVEL",
            help="What the label is: a pattern on paths, or a folder: 1 the outermost, -1 the innermost.",
        ),
    ] = None,
    on_error: Annotated[
        Literal["skip", "fail"],
        typer.Option(help="At an unreadable image: list it and go on, or stop."),
    ] = "skip",
    max_failures: Annotated[
        str,
        typer.Option(
            metavar="N|P%",
            help="Images that may fail: exit 0 up to these, stop with exit 1 beyond. Default: none.",
        ),
    ] = "",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try unchanged failures again.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Hash files that look unchanged.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Check stored rows, redo damaged ones.")] = False,
    remove_missing: Annotated[
        bool,
        typer.Option(
            "--remove-missing",
            help="Take out rows of images that are gone, and labels that --labels lacks, however many.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Begin anew: replace what stands at an output, a feature cache of another network too, but "
            "never an input.",
        ),
    ] = False,
    failures_csv: Annotated[
        Path | None, typer.Option(help="Write every skipped image with its reason here.")
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the network over images once and keep the features in a feature cache (HDF5).

    Run it again and only new and changed images are read. A row for every readable image, never a
    substitute. An image that cannot be read is named with its reason, and the exit code is 1; all others
    are kept, and fit can go on with them.
    """
    if not images and labels is None:
        raise UsageError("no images were given; name folders or files, or a manifest with --labels")
    guard = guard_for(list(images or ()), labels=labels, force=force)
    out = guard.claim(output, FEATURE_CACHE)
    failures_out = None if failures_csv is None else guard.claim(failures_csv, FAILURES, "--failures-csv")

    options = ExtractOptions(
        network=network,
        layers=tuple(name.strip() for name in layer.split(",") if name.strip()),
        **run.fields,
        preprocess=preprocess.changes,
        pool=pool,
        storage="float16" if float16 else "float32",
        on_error=on_error,
        max_failures=failure_limit(max_failures),
        retry_failed=retry_failed,
        labels=labels,
        group_by=group_by,
        label_by=label_by,
        verify=verify,
        repair=repair,
        remove_missing=remove_missing,
        force=force,
        cluster=cluster.options,
    )
    summary = extract_features(
        list(images or ()), out, options, progress=make_progress(quiet), notify=notifier(quiet, verbose)
    )
    if failures_out is not None:
        write_failures_csv(summary.failures, failures_out)
    if as_json:
        typer.echo(json.dumps(summary_json(summary), ensure_ascii=False, indent=2))
    elif not quiet:
        typer.echo(wrapped(summary_text(summary)))
    if not summary.rows or not options.allows(summary.unread, summary.images):
        raise Fc7Error(failed_text(summary))


def shapes(
    folder: Annotated[Path, typer.Argument(help="Where circle/, rectangle/, triangle/ and star/ go.")],
    count: Annotated[int, typer.Option(min=1, help="Images a class.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pixels.")] = 0,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw a small image set to try everything on: four shapes, 227x227 JPEGs on black."""
    # It brings Pillow, which an extraction with nothing to do does not need.
    from fc7.extract.drawn.shapes import make_shapes

    summary = make_shapes(folder, count, seed, progress=make_progress(quiet), force=force)
    if not quiet:
        classes = counted(len(summary.classes), "class", "classes")
        typer.echo(f"wrote {counted(summary.images, 'image')} of {classes} to {folder}")


def failure_limit(text: str) -> float | None:
    """A number of images, or a share below 1 for ``5%``; None for no limit.

    Raises
    ------
    UsageError
        For anything else.
    """
    if not text:
        return None
    number = text.removesuffix("%")
    if not number.isdecimal() or (text.endswith("%") and int(number) >= 100):
        raise UsageError(f"--max-failures {text!r} was found; give a number, or a share such as 5%")
    return int(number) / 100 if text.endswith("%") else int(number)
