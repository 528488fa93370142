"""A report from beginning to end: gather, find the pictures, draw, write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.kinds import PLOTS, REPORT
from fc7.classify.report import plots as draw
from fc7.classify.report.alternative_texts import alternative_texts
from fc7.classify.report.canvas import render
from fc7.classify.report.gather import gather
from fc7.classify.report.image_grids import MOST_SUSPECTS
from fc7.classify.report.page import render_page
from fc7.classify.report.palette import LIGHT, stand_ins, variables
from fc7.classify.report.report_data import ReportData
from fc7.classify.report.svg import inline
from fc7.classify.report.thumbnails import find_originals, make_thumbnails
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.models.common.durable import explained
from fc7.models.common.progress import Progress
from fc7.models.outputs.outputs import CallFiles, Destination, Folder, Output


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """What `make_report` did.

    Attributes
    ----------
    size : int
        Bytes.
    pictures, missing : int
        Thumbnails in it, and images that could not be shown.
    problem : str
        Why no image could be found; empty if some were.
    plots : tuple of Path
        Files written beside it.
    notes : tuple of str
        What was done to the labels, and whether the classifier was fitted on the same.
    """

    out: Path
    size: int
    pictures: int
    missing: int
    problem: str
    plots: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report shows beside what every one does.

    Attributes
    ----------
    images : sequence of str
        Where the images lie now, if not where extract found them.
    plots : str, Path, Folder or None
        A folder to write each plot into, as PNG and SVG.
    corrections, tsne, command
        As `classify.report.gather.gather`.
    """

    images: Sequence[str] = ()
    plots: str | Path | Folder | None = None
    corrections: Corrections | str | Path | None = None
    tsne: bool = False
    command: str = ""


def make_report(
    features: str | Path,
    model: str | Path,
    out: Destination = "report.html",
    options: ReportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> ReportSummary:
    """Write a report of a classifier on a cache; the file appears when it is complete.

    Parameters
    ----------
    features, model, progress
        As `classify.report.gather.gather`.

    Raises
    ------
    UsageError
        If something else stands at an output, or nothing can be written there.
    MismatchError, CacheError, ClassifierError
        As `classify.report.gather.gather`.
    Fc7Error
        If a file cannot be written.

    Examples
    --------
    >>> done = make_report("features.h5", "classifier.onnx", "report.html")
    >>> done.out.name, done.missing, done.problem
    ('report.html', 0, '')
    """
    guard = CallFiles([features, model], again=True)
    out = guard.claim(out, REPORT, makes_folder=True)
    options = options or ReportOptions()
    folder = None if options.plots is None else guard.folder(options.plots, PLOTS, "--plots")
    data = gather(
        features,
        model,
        corrections=options.corrections,
        tsne=options.tsne,
        command=options.command,
        progress=progress,
    )
    originals = find_originals(data.places, options.images, Path(features))
    pictures = make_thumbnails(
        originals, {(row, path, data.sha256[row]) for row, path in _shown(data)}, progress
    )
    alts = alternative_texts(data)
    drawings = {name: figure for name, figure in _drawings(data).items() if name in alts}
    inlined = {
        name: inline(render(figure(stand_ins()), "svg"), name, alts[name], colours=variables())
        for name, figure in drawings.items()
        if name != "map"  # the page draws its own, whose points say what they are
    }
    page = render_page(data, pictures, inlined, alts=alts, no_pictures=originals.problem)
    data_bytes = page.encode("utf-8", "replace")
    _write(out, data_bytes)
    written = []
    if folder is not None:
        for name, figure in drawings.items():
            written.append(_write(folder.files[f"{name}.png"], render(figure(LIGHT), "png")))
            written.append(_write(folder.files[f"{name}.svg"], render(figure(LIGHT), "svg")))
    shown = sum(bool(picture.jpeg) for picture in pictures.values())
    return ReportSummary(
        out.path,
        size=len(data_bytes),
        pictures=shown,
        missing=len(pictures) - shown,
        problem=originals.problem,
        plots=tuple(written),
        notes=data.truth,
    )


def _shown(data: ReportData) -> Iterator[tuple[int, str]]:
    """Row and path of every image that the page shows."""
    grids = [*data.samples, *data.cells.values(), *(data.duplicates.grids if data.duplicates else ())]
    for grid in grids:
        yield from ((shown.row, shown.path) for shown in grid.images)
    yield from ((shown.row, shown.path) for shown in data.mistakes)
    if data.suspects is not None:
        shown = data.suspects.named[:MOST_SUSPECTS]
        yield from ((suspect.row, suspect.path) for suspect in shown)
    yield from ((point.row, point.path) for point in data.map_points if point.pictured)


def _drawings(data: ReportData) -> dict[str, draw.Drawing]:
    """Name -> what draws it in given colours."""
    found: dict[str, draw.Drawing] = {}
    if data.counts:
        found["classes"] = lambda palette: draw.draw_classes(data.counts, palette)
    if (metrics := data.metrics) is not None:
        found["confusion"] = lambda palette: draw.draw_confusion(metrics.confusion, data.classes, palette)
    if (reliability := data.reliability) is not None:
        found["reliability"] = lambda palette: draw.draw_reliability(reliability, palette)
    if (coverage := data.coverage) is not None:
        found["coverage"] = lambda palette: draw.draw_coverage(coverage, data.reject_below, palette)
    if len({point.C for point in data.tuning}) > 1:
        found["tuning"] = lambda palette: draw.draw_tuning(data.tuning, palette)
    if (learning := data.learning) is not None:
        found["learning"] = lambda palette: draw.draw_learning(learning, palette)
    if (map_ := data.map) is not None:
        found["map"] = lambda palette: draw.draw_map(map_, data.classes, palette)
    return found


def _write(out: Output, data: bytes) -> Path:
    with explained(out.path, out.option):
        return out.write(data)
