"""The report's colours, light and dark, and how they are checked.

Text keeps a contrast of 4.5 : 1 to its background, lines and marks 3 : 1 (WCAG 2.2, success criteria 1.4.3
and 1.4.11). The colours of classes were searched for the largest least distance in OKLab (Ottosson 2020)
between any two of them as people with normal sight, protanopia, deuteranopia and tritanopia see them
(Machado, Oliveira & Fernandes 2009, severity 1); a class also has a marker of its own shape.

Of matplotlib's own colours (3.11) 6 of `tab10`, 6 of `Dark2` and 4 of `Set1` keep that to white; these are 8.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import count, islice


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as ``#rrggbb``.

    Attributes
    ----------
    page, panel : str
        Backgrounds.
    ink, faint : str
        Text, and text of less weight.
    rule : str
        Hairlines that carry no meaning.
    link, bad : str
        Links; what went wrong.
    one, two : str
        The two series of a plot.
    classes : tuple of 8 str
    cell, cell_ink : tuple of 7 str
        Of a confusion matrix, from no share of a row to all of it; and the text on each.
    """

    page: str
    panel: str
    ink: str
    faint: str
    rule: str
    link: str
    bad: str
    one: str
    two: str
    classes: tuple[str, ...]
    cell: tuple[str, ...]
    cell_ink: tuple[str, ...]

    def names(self) -> dict[str, str]:
        """Name of the CSS variable -> colour."""
        named: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            name = field.name.replace("_", "-")
            if isinstance(value, str):
                named[name] = value
            else:
                named.update({f"{name}-{i}": colour for i, colour in enumerate(value)})
        return named

    def css(self) -> str:
        """The same as declarations of a style sheet; nothing in here is the user's."""
        return "".join(f"--{name}:{colour};" for name, colour in self.names().items())


LIGHT = Palette(
    page="#ffffff",
    panel="#f4f5f7",
    ink="#1b1f24",
    faint="#57606a",
    rule="#d0d7de",
    link="#0a58ca",
    bad="#b3261e",
    one="#0b5cad",
    two="#b84a00",
    classes=("#2d96ff", "#693c4b", "#e17800", "#3c3ca5", "#965a87", "#c33c00", "#004bff", "#b487a5"),
    cell=("#ffffff", "#e3eefb", "#bfd9f5", "#93bfec", "#4a86cf", "#255fa8", "#0f3d75"),
    cell_ink=("#57606a", "#1b1f24", "#1b1f24", "#1b1f24", "#000000", "#ffffff", "#ffffff"),
)
DARK = Palette(
    page="#16191d",
    panel="#20252b",
    ink="#e6edf3",
    faint="#9aa7b4",
    rule="#3a424c",
    link="#7ab8ff",
    bad="#ff8a80",
    one="#6cb0ff",
    two="#ffa65c",
    classes=("#b4a500", "#a5e1ff", "#695aff", "#ffd287", "#78a5ff", "#c30f96", "#f069a5", "#786900"),
    cell=("#16191d", "#1d2b3c", "#21405f", "#285a8a", "#3f83c4", "#7ab4ea", "#cfe6ff"),
    cell_ink=("#9aa7b4", "#e6edf3", "#e6edf3", "#ffffff", "#000000", "#000000", "#000000"),
)

# A plot for the page is drawn in colours that stand for CSS variables, numbered in their order from here.
_FIRST = 0x0A0A01


def stand_ins() -> Palette:
    """A palette whose colours are none, but stand for the variables of `Palette.names`."""
    numbers = (f"#{number:06x}" for number in count(_FIRST))

    def of(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return next(numbers) if isinstance(value, str) else tuple(islice(numbers, len(value)))

    return Palette(**{field.name: of(getattr(LIGHT, field.name)) for field in fields(Palette)})  # type: ignore[arg-type]


def variables() -> dict[str, str]:
    """Stand-in colour -> ``var(--name)``."""
    return {colour: f"var(--{name})" for name, colour in stand_ins().names().items()}
