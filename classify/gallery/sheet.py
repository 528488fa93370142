"""A contact sheet of predictions: one HTML page, the images of each label together."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from fc7.classify.gallery.sheet_style import style
from fc7.classify.predict.predictions import Prediction
from fc7.classify.report.thumbnails import Originals, Thumbnail, make_thumbnails
from fc7.extract.cache.format.header import tool_version
from fc7.models.common.durable import explained
from fc7.models.common.label_names import in_order
from fc7.models.common.progress import Progress
from fc7.models.common.terminal import counted, one_line
from fc7.models.outputs.outputs import Output

MOST_PICTURES, MOST_FAILURES = 1000, 100
"""So many are shown; a picture takes about 5 KB."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What `write_sheet` wrote.

    Attributes
    ----------
    pictures, missing : int
        Images that are shown, and those that could not be read again.
    left_out : int
        Images that were classified and are beyond what one page takes.
    size : int
        Bytes.
    """

    path: Path
    pictures: int
    missing: int
    left_out: int
    size: int

    def describe(self) -> str:
        """For people: how many pictures, and what the page lacks."""
        text = f"wrote {self.path}: {counted(self.pictures, 'picture')}, {self.size / 1e6:.1f} MB"
        if self.missing:
            text += f"; {self.missing} could not be read again"
        return f"{text}; {self.left_out} more were left out" if self.left_out else text


@dataclass(frozen=True, slots=True)
class _Group:
    """The predictions of a label: how many, and the rows that are shown, least probable first."""

    label: str
    n: int
    rows: Sequence[int]


def write_sheet(
    predictions: Sequence[Prediction], originals: Originals, out: Output, title: str, progress: Progress
) -> Sheet:
    """Write the page.

    Parameters
    ----------
    title : str
        What was classified, with what.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    groups = shown_groups(predictions)
    rows = [row for group in groups for row in group.rows]
    wanted = ((row, predictions[row].path, predictions[row].sha256) for row in rows)
    made = make_thumbnails(originals, wanted, progress)
    page = "\n".join(_page(predictions, groups, made, title)).encode()
    with explained(out.path, out.option):
        path = out.write(page)
    pictures = sum(bool(thumbnail.jpeg) for thumbnail in made.values())
    left_out = sum(group.n for group in groups) - len(rows)
    return Sheet(path, pictures, len(rows) - pictures, left_out, len(page))


def shown_groups(predictions: Sequence[Prediction], most: int = MOST_PICTURES) -> list[_Group]:
    """The labels in their order; where there are too many images, each label gets an equal part of the room.

    Those with the least probable labels are shown first: they are worth a look before others.
    """
    of_label: dict[str, list[int]] = {}
    for row, prediction in enumerate(predictions):
        if not prediction.error:
            of_label.setdefault(prediction.label, []).append(row)
    room, shown = most, dict[str, list[int]]()
    for i, label in enumerate(sorted(of_label, key=lambda label: len(of_label[label]))):
        rows = sorted(of_label[label], key=lambda row: predictions[row].score)
        shown[label] = rows[: room // (len(of_label) - i)]
        room -= len(shown[label])
    return [_Group(label, len(of_label[label]), shown[label]) for label in in_order(of_label)]


def _page(
    predictions: Sequence[Prediction], groups: Sequence[_Group], made: dict[int, Thumbnail], title: str
) -> Iterator[str]:
    failures = [prediction for prediction in predictions if prediction.error]
    yield from ("<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">')
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta name="generator" content="fc7 classify {escape(tool_version())}">'
    yield (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
    )
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>Predictions: {_shown(title)}</title>"
    yield f"<style>{style()}</style>"
    yield f"</head>\n<body>\n<h1>Predictions</h1>\n<p><bdi>{_shown(title)}</bdi></p>"
    yield f"<p>{_summary(groups, len(failures))}</p>"
    yield "<nav>"
    yield from (
        f'<a href="#l{i}"><bdi>{_shown(group.label)}</bdi> {group.n}</a>' for i, group in enumerate(groups)
    )
    yield "</nav>"
    for i, group in enumerate(groups):
        left = group.n - len(group.rows)
        more = f"; {left} more probable ones are left out" if left else ""
        yield f'<section id="l{i}"><h2><bdi>{_shown(group.label)}</bdi></h2>'
        yield f'<p>{counted(group.n, "image")}{more}</p><div class="pictures">'
        yield from (_figure(predictions[row], made[row]) for row in group.rows)
        yield "</div></section>"
    if failures:
        yield f"<section><h2>Not read</h2><p>{counted(len(failures), 'image')}</p><ul>"
        yield from (
            f"<li><bdi>{_shown(f.path)}</bdi>: {_shown(f.error)}</li>" for f in failures[:MOST_FAILURES]
        )
        yield "</ul>"
        more_failures = len(failures) - MOST_FAILURES
        yield f"<p>and {more_failures} more</p></section>" if more_failures > 0 else "</section>"
    yield "</body>\n</html>\n"


def _summary(groups: Sequence[_Group], n_failures: int) -> str:
    n, shown = sum(group.n for group in groups), sum(len(group.rows) for group in groups)
    text = f"{counted(n, 'image')} of {counted(len(groups), 'label')}, {n_failures} not read. "
    text += "The least probable of each label stand first."
    return text if shown == n else f"{text} {shown} are shown, as one page takes; {n - shown} are left out."


def _figure(prediction: Prediction, thumbnail: Thumbnail) -> str:
    path, said = _shown(prediction.path), f"{prediction.score:.1%}"
    best = prediction.pairs[0][0]
    if best != prediction.label:
        said += f", {_shown(best)}"
    if prediction.novelty > 1:
        said += ", unlike training"
    picture = f'<span class="none">{_shown(thumbnail.reason)}</span>'
    if thumbnail.jpeg:
        data = base64.b64encode(thumbnail.jpeg).decode()
        size = f'width="{thumbnail.width}" height="{thumbnail.height}"'
        picture = f'<img src="data:image/jpeg;base64,{data}" {size} alt="{path}">'
    return (
        f"<figure>{picture}<figcaption><span><bdi>{said}</bdi></span>"
        f'<span class="file" title="{path}"><bdi>{path}</bdi></span></figcaption></figure>'
    )


def _shown(text: str) -> str:
    """A name as it may stand in a page: no control characters, nothing that is markup."""
    return escape(one_line(text))
