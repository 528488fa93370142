"""The options of the command line that state a preprocessing, and how their texts are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

import typer
import typer.core

from fc7.models.common.command_table import SectionedCommand
from fc7.models.common.errors import UsageError

if TYPE_CHECKING:
    from fc7.models.network.spec import Resize
    from fc7.models.store.preprocess_options import PreprocessOptions

T = TypeVar("T")
# Pillow and the engines do more; no network that was ever published does.
_LARGEST_SIDE = 1 << 14
_MEAN_IMAGE = ".binaryproto"


class Numbers(NamedTuple):
    """One number a channel, in the network's order."""

    first: float
    second: float
    third: float


class Size(NamedTuple):
    """Of an image, in pixels."""

    height: int
    width: int


class Resizing(NamedTuple):
    """What ``--resize`` says."""

    mode: Resize
    size: Size | None


def number(text: str) -> float:
    """A decimal number or a fraction: ``0.5``, ``1/255``, ``1/0.017``.

    Raises
    ------
    ValueError
        With what is needed.

    Examples
    --------
    >>> number("1/255") == 1 / 255
    True
    """
    try:
        above, slash, below = text.partition("/")
        found = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError("a finite number, or a fraction such as 1/255")
    return found


def positive(text: str) -> float:
    """A `number` above 0."""
    found = number(text)
    if found <= 0:
        raise ValueError("a number above 0, or a fraction such as 1/255")
    return found


def numbers(text: str, read: Callable[[str], float] = number) -> Numbers:
    """One number for all channels, or three with commas.

    Examples
    --------
    >>> numbers("0.5")
    Numbers(first=0.5, second=0.5, third=0.5)
    """
    parts = text.split(",")
    if len(parts) not in (1, 3):
        raise ValueError(f"one number, or three as 0.485,0.456,0.406, and not {len(parts)}")
    return Numbers(*[read(part) for part in parts * (3 // len(parts))])


def size(text: str) -> Size:
    """``224``, or height x width: ``128x256``.

    Examples
    --------
    >>> size("128x256")
    Size(height=128, width=256)
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) <= _LARGEST_SIDE for side in sides):
        raise ValueError(f"a size in pixels, 1 to {_LARGEST_SIDE}, as 224 or, height first, 128x256")
    return Size(int(sides[0]), int(sides[-1]))


def resizing(text: str) -> Resizing:
    """``warp``, ``short`` or ``pad``, or one of them with a `size`: ``short:256``."""
    mode, colon, side = text.partition(":")
    try:
        if mode in ("warp", "short", "pad"):
            return Resizing(mode, size(side) if colon else None)  # type: ignore[arg-type]
    except ValueError:
        pass
    raise ValueError("warp, short or pad, or one with a size (short:256, warp:128x256)")


def read(option: str, reader: Callable[[str], T]) -> Callable[[str], T]:
    """`reader` for the texts of an option; what is no such text is a `UsageError`."""

    def parse(text: str) -> T:
        try:
            return reader(text)
        except ValueError as exc:
            raise UsageError(f"{option} {text!r} was found; give {exc}") from exc

    return parse


def _mean(text: str) -> Numbers | Path:
    if Path(text).suffix == _MEAN_IMAGE or Path(text).is_file():
        return Path(text)
    try:
        return numbers(text)
    except ValueError as exc:
        raise ValueError(f"{exc}; or a mean image ({_MEAN_IMAGE})") from exc


PreprocessOption = Annotated[
    Literal["caffe", "torch", "tf", "clip", "siglip", "udacity", "zoo-224"] | None,
    typer.Option(help="How its images were prepared. The options below change single parts of it."),
]
_MEAN_HELP = "Subtracted after scaling: one number, or three in the network's order (B,G,R with --order BGR)"
MeanOption = Annotated[
    Numbers | None,
    typer.Option("--mean", metavar="R,G,B", parser=read("--mean", numbers), help=f"{_MEAN_HELP}."),
]
# Typer takes no unions; `_mean` gives Numbers or a Path.
MeanOrImageOption = Annotated[
    Any,
    typer.Option(
        "--mean",
        metavar="R,G,B|FILE",
        parser=read("--mean", _mean),
        help=f"{_MEAN_HELP}, or a mean image ({_MEAN_IMAGE}) whose channel means are used.",
    ),
]
StdOption = Annotated[
    Numbers | None,
    typer.Option(
        "--std",
        metavar="R,G,B",
        parser=read("--std", lambda text: numbers(text, positive)),
        help="Divides last: (pixel * scale - mean) / std.",
    ),
]
ScaleOption = Annotated[
    float | None,
    typer.Option(
        "--scale",
        metavar="NUMBER",
        parser=read("--scale", positive),
        help="Multiplies the pixels, 0-255, first; 1/255 brings them to 0-1.",
    ),
]
OrderOption = Annotated[
    Literal["RGB", "BGR"] | None,
    typer.Option(help="The channel order it takes."),
]
ResizeOption = Annotated[
    Resizing | None,
    typer.Option(
        "--resize",
        metavar="warp|short|pad[:SIZE]",
        parser=read("--resize", resizing),
        help="warp ignores the aspect ratio, short covers the size, pad fits into it. Without a size: the "
        "preset's, if that does the same; else short 256/224 of the input, warp and pad the input's own.",
    ),
]
CropOption = Annotated[
    Size | None,
    typer.Option(
        "--crop",
        metavar="SIZE|HxW",
        parser=read("--crop", size),
        help="The input's size, where the file leaves it free.",
    ),
]
InterpolationOption = Annotated[
    Literal["nearest", "bilinear", "bicubic"] | None, typer.Option(help="How it is resized.")
]
AntialiasOption = Annotated[
    bool | None, typer.Option("--antialias/--no-antialias", help="Average over skipped pixels, or not.")
]


def options(preset: str | None, resize: Resizing | None, **stated: Any) -> PreprocessOptions:
    """What a command was given, as one record; `stated` are fields of `PreprocessOptions`."""
    # Commands that only import their options from here have no need of the catalogue.
    from fc7.models.catalog.catalog import PREPROCESS_PRESETS
    from fc7.models.store.preprocess_options import PreprocessOptions

    mode, resize_size = resize or (None, None)
    return PreprocessOptions(
        preset=None if preset is None else PREPROCESS_PRESETS[preset],
        resize=mode,
        resize_size=resize_size,
        **stated,
    )


class OnceCommand(SectionedCommand):
    """A command that refuses an option given twice, of which the parser would take the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look for options that stand there twice, then parse."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in given:
            a_switch = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
            if parameter.param_type_name == "option" and not a_switch and given.count(parameter) > 1:
                name = (*parameter.opts, *parameter.secondary_opts)[0]
                raise UsageError(f"{name} was given {given.count(parameter)} times; give it once")
        return super().parse_args(ctx, args)
