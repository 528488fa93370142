"""The report as one HTML file. The only importer of Jinja.

The page loads nothing: what a click shows is there already and found by its fragment (``:target``), pictures
and plots are in the file. Its one script shows the image of a point of the map; a content security policy
allows that script by its hash, pictures in the file, and nothing else. Names reach the page through Jinja's
escaping, which no template switches off; the only markup that is passed through is `classify.report.svg`'s
and that script.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fc7.classify.report.feature_map import HEIGHT, WIDTH
from fc7.classify.report.image_grids import MOST_SUSPECTS
from fc7.classify.report.palette import DARK, LIGHT
from fc7.classify.report.plots import MARKERS, NAMED_BARS, marker_of, shade
from fc7.classify.report.report_data import ImageGrid, ReportData
from fc7.classify.report.thumbnails import SIDE, Thumbnail
from fc7.extract.cache.format.header import tool_version
from fc7.models.common.names import shortened

# Of a class, and of a file: as long as Linux allows a path to be.
_LONGEST_NAME, _LONGEST_PATH = 80, 4096
_MOST_FAILURES, _MOST_CONFUSIONS, _OPEN_ROWS = 200, 40, 20
# Of more classes than can be named beside a matrix, those with the most mistakes.
_MOST_CONFUSED = 20


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The classes whose confusions the page has as a table.

    Attributes
    ----------
    others : tuple of int
        Of each, images taken for a class that is not there.
    """

    classes: tuple[int, ...]
    others: tuple[int, ...]
    is_part: bool


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
        percent=lambda share: "–" if math.isnan(share) else f"{share:.1%}",
        uri=lambda picture: "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode("ascii"),
    )
    confusions, matrix = _confusions(data), _matrix(data)
    script = (Path(__file__).parent / "map.js").read_text("utf-8")
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
        light=Markup(LIGHT.css()),
        dark=Markup(DARK.css()),
        side=SIDE,
        shades=_shades(data),
        most_suspects=MOST_SUSPECTS,
        matrix=matrix,
        confusions=confusions,
        linked=_linked(data, matrix, confusions),
        map_size=(WIDTH, HEIGHT),
        marker_of=marker_of,
        n_looks=len(MARKERS) * len(LIGHT.classes),
        script=Markup(script),  # our own file: nothing in it is the user's
        script_hash=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
        most_failures=_MOST_FAILURES,
        open_rows=_OPEN_ROWS,
        isnan=math.isnan,
    )


def _shades(data: ReportData) -> list[list[int]]:
    if data.metrics is None:
        return []
    confusion = data.metrics.confusion
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    return [[int(level) for level in row] for row in shade(shares)]


def _matrix(data: ReportData) -> _Matrix:
    """All classes, or the most confused if there are too many to name."""
    n = len(data.classes)
    if data.metrics is None or n <= NAMED_BARS:
        return _Matrix(tuple(range(n)), (0,) * n, is_part=False)
    confusion = data.metrics.confusion
    mistakes = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:_MOST_CONFUSED])
    others = confusion[chosen].sum(axis=1) - confusion[np.ix_(chosen, chosen)].sum(axis=1)
    return _Matrix(tuple(chosen.tolist()), tuple(others.tolist()), is_part=True)


def _linked(
    data: ReportData, matrix: _Matrix, confusions: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], ImageGrid]:
    """The cells that something on the page leads to."""
    shown, listed = set(matrix.classes), {(t, p) for t, p, _ in confusions}
    return {(t, p): grid for (t, p), grid in data.cells.items() if {t, p} <= shown or (t, p) in listed}


def _confusions(data: ReportData) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: (truth, prediction, images)."""
    wrong = [(t, p, grid.n) for (t, p), grid in data.cells.items() if t != p]
    return sorted(wrong, key=lambda cell: (-cell[2], cell[:2]))[:_MOST_CONFUSIONS]
