"""A parsed prototxt: nested blocks of values that know their line, and accessors that check types."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import listed

_LARGEST = 3.4028234663852886e38  # of float32, in which Caffe keeps its settings
_TRUE, _FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value: the text of a number or a word, or a string with its escapes resolved."""

    text: str
    quoted: bool
    line: int


@dataclass(slots=True)
class Block:
    """What stands between two braces, or the whole file.

    Attributes
    ----------
    file : str
        For messages.
    line : int
        Where it begins.
    fields : dict of str to list of (Scalar or Block)
        Every value in the order of the file.
    """

    file: str
    line: int
    fields: dict[str, list[Scalar | Block]] = field(default_factory=dict)

    def error(self, what: str, line: int = 0) -> WeightsError:
        """An error that says where: at `line`, or where the block begins."""
        return WeightsError(f"{self.file}, line {line or self.line}: {what}")

    def blocks(self, name: str) -> list[Block]:
        """Every block of a repeated field."""
        found = []
        for value in self.fields.get(name, []):
            if isinstance(value, Scalar):
                raise self.error(f"{name} is a value; a block in braces was needed", value.line)
            found.append(value)
        return found

    def block(self, name: str) -> Block:
        """The block called `name`, or an empty one."""
        found = self.blocks(name)
        if len(found) > 1:
            raise self.error(f"a second {name}; one was needed", found[1].line)
        return found[0] if found else Block(self.file, self.line)

    def texts(self, name: str) -> list[str]:
        """Every string of a repeated field."""
        return [value.text for value in self._scalars(name)]

    def text(self, name: str, default: str = "") -> str:
        """A string, or a word."""
        value = self._one(name)
        return value.text if value else default

    def integers(self, name: str) -> list[int]:
        """Every whole number of a repeated field."""
        return [self._integer(name, value) for value in self._scalars(name)]

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        value = self._one(name)
        return self._integer(name, value) if value else default

    def numbers(self, name: str) -> list[float]:
        """Every number of a repeated field."""
        return [self._number(name, value) for value in self._scalars(name)]

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self._one(name)
        return self._number(name, value) if value else default

    def flag(self, name: str, default: bool) -> bool:
        """A truth value."""
        value = self._one(name)
        if value is None:
            return default
        if value.quoted or value.text not in _TRUE + _FALSE:
            raise self.error(f"{name} is {listed([value.text])}; true or false was needed", value.line)
        return value.text in _TRUE

    def choice(self, name: str, names: Sequence[str]) -> str:
        """An enum's value, given by name or by number; `names` in the order of their numbers, 0 first.

        The first one is the default.
        """
        value = self._one(name)
        if value is None:
            return names[0]
        if value.text in names:
            return value.text
        if value.text.isascii() and value.text.isdigit() and len(value.text) < 4:
            number = int(value.text)
            if number < len(names):
                return names[number]
        raise self.error(
            f"{name} is {listed([value.text])}; one of {', '.join(names)} was needed", value.line
        )

    def only(self, *names: str) -> None:
        """Refuse every field but these.

        Raises
        ------
        WeightsError
            A setting that is not known might change the numbers, so it is not passed over.
        """
        for name, values in self.fields.items():
            if name not in names:
                raise self.error(
                    f"{listed([name])} is not known here; fc7 would compute something else", values[0].line
                )

    def _scalars(self, name: str) -> list[Scalar]:
        found = []
        for value in self.fields.get(name, []):
            if isinstance(value, Block):
                raise self.error(f"{name} is a block; a value was needed", value.line)
            found.append(value)
        return found

    def _one(self, name: str) -> Scalar | None:
        found = self._scalars(name)
        if len(found) > 1:
            raise self.error(f"a second {name}; one was needed", found[1].line)
        return found[0] if found else None

    def _integer(self, name: str, value: Scalar) -> int:
        number = None
        if not value.quoted and len(value.text) <= 20:
            digits = value.text.lstrip("-")
            octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
            with contextlib.suppress(ValueError):
                number = int(value.text, 8 if octal else 0)
        if number is None or not -(1 << 63) <= number < 1 << 63:
            raise self.error(f"{name} is {listed([value.text])}; a whole number was needed", value.line)
        return number

    def _number(self, name: str, value: Scalar) -> float:
        number, text = math.nan, value.text.lower()
        with contextlib.suppress(ValueError, OverflowError):
            number = float(int(text, 16)) if "x" in text else float(text.removesuffix("f"))
        if value.quoted or not abs(number) <= _LARGEST:
            raise self.error(f"{name} is {listed([value.text])}; a finite number was needed", value.line)
        return number
