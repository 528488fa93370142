"""One HTML page of pictures in sections, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from fc7.classify.gallery.sheet_style import style
from fc7.classify.report.thumbnails import Thumbnail
from fc7.extract.cache.format.header import tool_version
from fc7.models.common.durable import explained
from fc7.models.common.terminal import counted, one_line
from fc7.models.outputs.outputs import Output

MOST_PICTURES, MOST_FAILURES = 1000, 100
"""So many are shown; a picture takes about 5 KB."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it is shown, what is said of it, and its path below."""

    path: str
    said: str
    thumbnail: Thumbnail


@dataclass(frozen=True, slots=True)
class Section:
    """Pictures below a heading, which the top of the page links to with how many images it stands for."""

    heading: str
    n: int
    note: str
    pictures: Sequence[Picture]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows; its texts may hold anything.

    Attributes
    ----------
    command : str
        Which command makes it: ``classify``.
    heading, title : str
        What it is, and of what.
    summary : str
        A line above all sections.
    unread : sequence of (str, str)
        Path and reason of each image that could not be read.
    """

    command: str
    heading: str
    title: str
    summary: str
    sections: Sequence[Section]
    unread: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """What `write_page` wrote.

    Attributes
    ----------
    pictures, missing : int
        Images that are shown, and those that could not be read again.
    left_out : int
        Images of the sections that are beyond what one page takes.
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


def write_page(page: Page, out: Output) -> Sheet:
    """Write it.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    text = "\n".join(_lines(page)).encode()
    with explained(out.path, out.option):
        path = out.write(text)
    shown = [picture for section in page.sections for picture in section.pictures]
    pictures = sum(bool(picture.thumbnail.jpeg) for picture in shown)
    left_out = sum(section.n for section in page.sections) - len(shown)
    return Sheet(path, pictures, len(shown) - pictures, left_out=left_out, size=len(text))


def _lines(page: Page) -> Iterator[str]:
    yield from ("<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">')
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta name="generator" content="fc7 {page.command} {escape(tool_version())}">'
    yield (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
    )
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{page.heading}: {_shown(page.title)}</title>"
    yield f"<style>{style()}</style>"
    yield f"</head>\n<body>\n<h1>{page.heading}</h1>\n<p><bdi>{_shown(page.title)}</bdi></p>"
    yield f"<p>{_shown(page.summary)}</p>"
    yield "<nav>"
    yield from (
        f'<a href="#l{i}"><bdi>{_shown(section.heading)}</bdi> {section.n}</a>'
        for i, section in enumerate(page.sections)
    )
    yield "</nav>"
    for i, section in enumerate(page.sections):
        yield f'<section id="l{i}"><h2><bdi>{_shown(section.heading)}</bdi></h2>'
        yield f'<p>{_shown(section.note)}</p><div class="pictures">'
        yield from map(_figure, section.pictures)
        yield "</div></section>"
    if page.unread:
        yield f"<section><h2>Not read</h2><p>{counted(len(page.unread), 'image')}</p><ul>"
        yield from (
            f"<li><bdi>{_shown(path)}</bdi>: {_shown(why)}</li>" for path, why in page.unread[:MOST_FAILURES]
        )
        yield "</ul>"
        more = len(page.unread) - MOST_FAILURES
        yield f"<p>and {more} more</p></section>" if more > 0 else "</section>"
    yield "</body>\n</html>\n"


def _figure(picture: Picture) -> str:
    path, thumbnail = _shown(picture.path), picture.thumbnail
    image = f'<span class="none">{_shown(thumbnail.reason)}</span>'
    if thumbnail.jpeg:
        data = base64.b64encode(thumbnail.jpeg).decode()
        size = f'width="{thumbnail.width}" height="{thumbnail.height}"'
        image = f'<img src="data:image/jpeg;base64,{data}" {size} alt="{path}">'
    return (
        f"<figure>{image}<figcaption><span><bdi>{_shown(picture.said)}</bdi></span>"
        f'<span class="file" title="{path}"><bdi>{path}</bdi></span></figcaption></figure>'
    )


def _shown(text: str) -> str:
    """A name as it may stand in a page: no control characters, nothing that is markup."""
    return escape(one_line(text))
