"""An SVG file as part of a page: its names its own, its colours the page's, nothing that points elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_SPACE = re.compile(r"^\{[^}]*\}")
_REFERENCE = re.compile(r"#([A-Za-z_][\w.-]*)")


def inline(svg: bytes, name: str, alt: str, colours: dict[str, str]) -> str:
    """The SVG as an element of an HTML page.

    Parameters
    ----------
    svg : bytes
        As matplotlib writes it: trusted to be well-formed, its texts to be anything.
    name : str
        Put before every id, as several figures share a page.
    alt : str
        What is said to those who do not see it.
    colours : dict of str to str
        Colour in the file -> what stands for it in the page.

    Returns
    -------
    str
        Without namespaces, metadata, style sheets, size: the page decides about those.
    """
    root = ElementTree.fromstring(svg)
    ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    _drop(root, {"metadata", "style"})
    for element in root.iter():
        element.tag = _SPACE.sub("", element.tag)
        attributes = {_SPACE.sub("", key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        for key, value in attributes.items():
            element.set(key, _value(key, value, name, ids=ids))
        _recolour(element, colours)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("class", "plot")
    return ElementTree.tostring(root, encoding="unicode")


def _drop(element: ElementTree.Element, unwanted: set[str]) -> None:
    for child in list(element):
        if _SPACE.sub("", child.tag) in unwanted:
            element.remove(child)
        else:
            _drop(child, unwanted)


def _recolour(element: ElementTree.Element, colours: dict[str, str]) -> None:
    # A presentation attribute need not take var(); a style does.
    painted = [f"{key}: {element.attrib.pop(key)}" for key in ("fill", "stroke") if key in element.attrib]
    style = "; ".join([*painted, *filter(None, [element.get("style")])])
    for colour, meant in colours.items():
        style = style.replace(colour, meant)
    if style:
        element.set("style", style)


def _value(key: str, value: str, name: str, ids: set[str]) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" or "url(#" in value:
        return _REFERENCE.sub(lambda m: f"#{name}-{m[1]}" if m[1] in ids else m[0], value)
    return value
