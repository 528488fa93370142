"""The links of an index page, as web servers make them for a folder."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from fc7.extract.inputs.places.addresses import quoted


def is_html(data: bytes) -> bool:
    """Whether a body is a page and no plain text."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def links_below(data: bytes, folder: str) -> list[str]:
    """What a page links to that lies below its folder.

    Parameters
    ----------
    data : bytes
        HTML.
    folder : str
        The page's address without query, with a slash at its end.

    Returns
    -------
    list of str
        From the folder, percent-encoded, each once in the order of the page; folders end with a
        slash. Links upwards, to other servers, and those that only sort the table (``?C=N;O=D``) are none.
    """
    page = _LinkParser()
    page.feed(data.decode("utf-8", "replace"))
    page.close()
    base = urlsplit(folder)
    found: dict[str, None] = {}
    for link in page.links:
        try:
            split = urlsplit(urldefrag(urljoin(folder, link.strip())).url)
            same = (split.scheme, split.hostname, split.port) == (base.scheme, base.hostname, base.port)
        except ValueError:  # a port that is no number, a bracket left open
            continue
        if not same or not split.path.startswith(base.path) or split.path == base.path:
            continue
        found[quoted(split.path[len(base.path) :]) + (f"?{split.query}" if split.query else "")] = None
    return list(found)


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """``<![``: a comment, as in HTML's standard; Python 3.11's parser raises AssertionError for most."""
        return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
