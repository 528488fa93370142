"""Options that commands of several rooms share, said once.

A command takes a dataclass of them as one parameter (`models.common.command_table.unpacked`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fc7.extract.options import ClusterOptions
from fc7.models.common.errors import UsageError
from fc7.models.common.files import refuse_pipe
from fc7.models.store.preprocess_flags import read, resizing

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say more: the device, the solver, thresholds.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace what stands at an output, but never an input.")
]
NetworkOption = Annotated[
    str | None, typer.Option(help="A network of `models list` or an imported one.", metavar="NAME")
]
DeviceOption = Annotated[
    Literal["auto", "cuda", "tensorrt", "cpu"],
    typer.Option(help="auto takes a GPU if a live session has it; cuda and tensorrt fail without one."),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "fp16", "bf16"],
    typer.Option(help="auto: bf16 on CPUs that have it, else fp32; fp16: GPUs."),
]


@dataclass(frozen=True)
class RunArguments:
    """How a network is run; fields of `extract.options.RunOptions`."""

    device: DeviceOption = "auto"
    precision: PrecisionOption = "auto"
    batch_size: Annotated[
        int | None,
        typer.Option("-b", "--batch-size", min=1, max=4096, help="Images in one call of the network."),
    ] = None
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            min=1,
            max=256,
            help="Images decoded at once; default: one a core. Above 8: in processes.",
        ),
    ] = None
    exact_decode: Annotated[
        bool,
        typer.Option(
            "--exact-decode",
            help="Decode large JPEGs in full: slower; the usual features have a cosine of 0.999 to these.",
        ),
    ] = False

    @property
    def fields(self) -> dict[str, Any]:
        """As keyword arguments of `RunOptions` and of what derives from it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ClusterArguments:
    """On which cluster, if on one."""

    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Run on a Ray cluster: at host:port, else the one that runs here, else a local one on all "
            "cores and GPUs.",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --ray: workers in all. Default: one a GPU, up to four on a node without."
        ),
    ] = None
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(min=0, help="With --ray: GPUs a worker, 0.5 for two on one, 0 for none. Default: 1."),
    ] = None

    @property
    def options(self) -> ClusterOptions | None:
        """None without ``--ray``.

        Raises
        ------
        UsageError
            If there is something to say of workers and no ``--ray``.
        """
        if self.ray is None:
            if self.workers is not None or self.gpus_per_worker is not None:
                raise UsageError("--workers and --gpus-per-worker are for a cluster; add --ray")
            return None

        return ClusterOptions(self.ray, self.workers, self.gpus_per_worker)


@dataclass(frozen=True)
class PreprocessArguments:
    """What is done otherwise than the network says before its input."""

    resize: Annotated[
        str,
        typer.Option(
            help="warp, short or pad, or with a size: warp:256, warp:128x256. Default: the network's."
        ),
    ] = ""
    antialias: Annotated[
        bool | None, typer.Option("--antialias/--no-antialias", help="Average over skipped pixels, or not.")
    ] = None
    crops: Annotated[
        int | None, typer.Option(help="1 (centre) or 10 (corners, centre, mirrored; averaged).")
    ] = None

    @property
    def changes(self) -> dict[str, object]:
        """Fields of `PreprocessSpec` that the command line overrides.

        Raises
        ------
        UsageError
            If ``--resize`` is not MODE or MODE:SIZE.
        """
        changes: dict[str, object] = {}
        if self.resize:
            mode, size = read("--resize", resizing)(self.resize)
            changes["resize"] = mode
            if size is not None:
                changes["resize_height"], changes["resize_width"] = size
        if self.antialias is not None:
            changes["antialias"] = self.antialias
        if self.crops is not None:
            changes["crops"] = self.crops
        return changes


def existing(path: Path, way_out: str) -> Path:
    """`path`, if there is something under it.

    Raises
    ------
    UsageError
        Else; naming a file that is not there is a wrong call, not failed work. Nor is a pipe any.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file; {way_out}")
    refuse_pipe(path)
    return path
