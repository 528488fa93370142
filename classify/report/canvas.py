"""What the report's plots are drawn on and written with. The only importer of matplotlib."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes as Axes
from matplotlib.figure import Figure as Figure

from fc7.classify.kinds import DRAWN_BY
from fc7.classify.report.palette import Palette

# Inches, at 100 dots each: what a phone shows without scrolling, and two of a row on a page.
_WIDTH, _HEIGHT = 5.2, 3.4
_DPI = 100
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, scalable, read aloud
    "svg.hashsalt": "fc7",  # the same figure gives the same bytes
    "font.size": 10.0,
    "font.family": ["DejaVu Sans"],
}

logging.getLogger("matplotlib").setLevel(logging.ERROR)


def render(figure: Figure, form: Literal["svg", "png"]) -> bytes:
    """A figure as a file."""
    buffer = io.BytesIO()
    about: dict[str, Any] = {"Date": None, "Creator": DRAWN_BY} if form == "svg" else {"Software": DRAWN_BY}
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Names in scripts that matplotlib's font lacks: the SVG has them as text, the PNG as boxes.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        figure.savefig(
            buffer,
            format=form,
            dpi=2 * _DPI if form == "png" else _DPI,
            metadata=about,
            facecolor=figure.get_facecolor(),
            bbox_inches="tight",
            pad_inches=0.06,
        )
    return buffer.getvalue()


def figure_of(palette: Palette, width: float = _WIDTH, height: float = _HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with one set of axes in the palette's colours; sizes in inches."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=palette.page, layout="constrained")
        axes = figure.add_subplot()
    axes.set_facecolor(palette.page)
    axes.grid(visible=True, color=palette.rule, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_color(palette.faint)
        spine.set_visible(side in ("left", "bottom"))
    axes.tick_params(colors=palette.faint, labelcolor=palette.ink)
    axes.xaxis.label.set_color(palette.ink)
    axes.yaxis.label.set_color(palette.ink)
    return figure, axes


def whole_numbers(axes: Axes, which: Literal["x", "y"], largest: float) -> None:
    """Whole numbers on an axis that is short enough for fractions."""
    if largest < 8:
        axes.locator_params(axis=which, integer=True)


def share_axis(axes: Axes) -> None:
    """A y axis of shares that shows none below 0 or above 1, whatever the error bars reach."""
    low = max(axes.get_ylim()[0], 0.0)
    axes.set_ylim(low, 1 + 0.05 * (1 - low) if axes.get_ylim()[1] > 1 else axes.get_ylim()[1])


def legend_of(axes: Axes, palette: Palette, *, above: bool = False, beside: bool = False) -> None:
    """A legend in the palette's colours; names are never parsed."""
    where: dict[str, Any] = {}
    if above:
        where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}
    elif beside:
        where = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    legend = axes.legend(frameon=False, labelcolor=palette.ink, fontsize=9, **where)
    for text in legend.get_texts():
        text.set_parse_math(False)


def fill(axes: Axes, boxes: Sequence[Any], colour: str) -> None:
    """Fill boxes, each a list of its corners (x, y)."""
    axes.add_collection(mpl.collections.PolyCollection(boxes, facecolors=colour, edgecolors="none"))
