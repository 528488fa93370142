"""A small image set with class names that fight HTML, its cache, classifier and report."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from tests.support import COLOURS, CommandLine, coloured_picture

SCRIPT = "<script>document.title='pwned'</script>"
QUOTES = "\"><img src=x onerror=document.title='pwned'> '$x_1$ & &lt;"
CONTROL = "line\nbreak \u202eevil\u202c שלום {{ 7*7 }} </style></title>"
HOSTILE = dict(zip(COLOURS, (SCRIPT, QUOTES, CONTROL), strict=True))
# Elements that stand alone in HTML.
VOID = {"meta", "img", "br", "link", "input", "hr", "base", "source", "embed"}


def hostile_set(here: CommandLine, per_class: int = 12) -> None:
    """Pictures in ``imgs``, labels in ``labels.csv``: two copies that disagree, a flip, a broken file."""
    (here.folder / "imgs").mkdir()
    lines = []
    for colour, label in HOSTILE.items():
        for i in range(per_class):
            path = f"imgs/{colour}'\"<b>{i:02}.png"
            Image.fromarray(coloured_picture(colour, i)).save(here.folder / path)
            lines.append((path, label))
    shutil.copy(here.folder / lines[0][0], here.folder / "imgs/copy.png")
    lines.append(("imgs/copy.png", QUOTES))
    Image.fromarray(coloured_picture("blue", 99)).save(here.folder / "imgs/flip.png")
    lines.append(("imgs/flip.png", SCRIPT))
    (here.folder / "imgs/broken<i>.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines.append(("imgs/broken<i>.png", SCRIPT))
    with (here.folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "label"), *lines])


@dataclass
class Element:
    """A tag with its attributes and the text in it and in what it holds."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """What a parser finds in a page: elements in order, every one with its text."""

    elements: list[Element] = field(default_factory=list)
    unclosed: list[Element] = field(default_factory=list)

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.elements, self.unclosed, self.source = [], [], path.read_text("utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self.unclosed.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed, f"</{tag}> closes nothing"
        assert self.unclosed.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.unclosed:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements of a tag whose attributes have these values."""
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(element.attributes.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def section(self, name: str) -> str:
        """The text of a section, spaces made one."""
        return re.sub(r"\s+", " ", self.one("section", id=name).text)
