"""The report as one HTML file. The only importer of Jinja.

The page runs no script and loads nothing: what a click shows is there already and found by its fragment
(``:target``), pictures and plots are in the file, and a content security policy forbids the browser all
else. Names reach the page through Jinja's escaping, which no template switches off; the only markup that
is passed through is `classify.report.svg`'s.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fc7.classify.report.palette import DARK, LIGHT, Palette
from fc7.classify.report.plots import NAMED_BARS, shade
from fc7.classify.report.report_data import ReportData
from fc7.classify.report.thumbnails import SIDE, Thumbnail
from fc7.extract.cache.format.header import tool_version
from fc7.models.common.names import shortened

_LONGEST_NAME, _LONGEST_PATH = 80, 200
_MOST_FAILURES, _MOST_CONFUSIONS, _OPEN_ROWS = 200, 40, 20


def render_page(
    data: ReportData,
    pictures: Mapping[int, Thumbnail],
    plots: Mapping[str, str],
    alts: Mapping[str, str],
    no_pictures: str = "",
) -> str:
    """The page.

    Parameters
    ----------
    pictures : mapping of int to Thumbnail
        By row; of every image that `data` shows.
    plots : mapping of str to str
        Name -> SVG element, as `classify.report.svg.inline` makes it.
    alts : mapping of str to str
        Name -> what the plot shows, in a sentence.
    no_pictures : str
        Why no image could be found; empty if some were.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        name=lambda text: shortened(text, _LONGEST_NAME),
        path=lambda text: shortened(text, _LONGEST_PATH),
        percent=lambda share: "–" if math.isnan(share) else f"{share:.1%}".replace("%", " %"),
        uri=lambda picture: "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode("ascii"),
    )
    as_table, confusions = len(data.classes) <= NAMED_BARS, _confusions(data)
    n_pictures = sum(bool(picture.jpeg) for picture in pictures.values())
    return environment.get_template("page.html.j2").render(
        data=data,
        version=tool_version(),
        pictures=pictures,
        n_pictures=n_pictures,
        n_without=len(pictures) - n_pictures,
        no_pictures=no_pictures,
        plots={name: Markup(svg) for name, svg in plots.items()},
        alts=alts,
        light=_css(LIGHT),
        dark=_css(DARK),
        side=SIDE,
        shades=_shades(data),
        as_table=as_table,
        confusions=confusions,
        linked=data.cells if as_table else {(t, p): data.cells[t, p] for t, p, _ in confusions},
        most_failures=_MOST_FAILURES,
        open_rows=_OPEN_ROWS,
        isnan=math.isnan,
    )


def _css(palette: Palette) -> Markup:
    # Only our own constants: nothing in here is the user's.
    return Markup("".join(f"--{name}:{colour};" for name, colour in palette.names().items()))


def _shades(data: ReportData) -> list[list[int]]:
    if data.metrics is None:
        return []
    confusion = data.metrics.confusion
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    return [[int(level) for level in row] for row in shade(shares)]


def _confusions(data: ReportData) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: (truth, prediction, images)."""
    wrong = [(t, p, grid.n) for (t, p), grid in data.cells.items() if t != p]
    return sorted(wrong, key=lambda cell: (-cell[2], cell[:2]))[:_MOST_CONFUSIONS]
