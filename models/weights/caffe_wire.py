"""Protobuf's wire format, as far as Caffe's files need it: fields one after another, nothing copied.

Source: protobuf.dev, "Encoding". A message is a run of fields, each a tag (number and wire type)
and a value; a length that is claimed is compared with the bytes that are there before it is used.
`google.protobuf` (7.36, a descriptor built at run time) reads 240 MB as fast and in as much memory, but makes
370 MB of 15 MB of empty layers before anything can be counted, and has no way to pass over the arrays of a
mapped file (`models.outputs.kinds`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import UnsafeFileError, WeightsError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
# A ResNet-152 of 500 layers has some 5,000 fields, its arrays aside.
_MAX_FIELDS = 100_000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes
    ----------
    number : int
        As in the message's definition.
    wire_type : int
        `VARINT`, `FIXED64`, `BYTES` or `FIXED32`.
    value : int
        A varint's value, unsigned; 0 for the others.
    data : memoryview
        The bytes of the others; empty for a varint. A view into the file.
    """

    number: int
    wire_type: int
    value: int
    data: memoryview


class Wire:
    """Reads the messages of one file and counts their fields.

    Parameters
    ----------
    name : str
        The file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._left = _MAX_FIELDS

    def fields(self, message: memoryview) -> Iterator[Field]:
        """The fields of a message in their order.

        A run of unpacked fixed-width fields of one number (one tag for each value, as an old or
        foreign writer may put a blob's data) is given as one field with the values joined.

        Raises
        ------
        WeightsError
            If a field ends beyond the message, or is of a type that Caffe's messages do not have.
        UnsafeFileError
            If the file has absurdly many fields.
        """
        here, end = 0, len(message)
        while here < end:
            self._count()
            start = here
            tag, here = self._varint(message, here)
            number, wire_type = tag >> 3, tag & 7
            if number == 0:
                raise self._damaged("a field has the number 0")
            if wire_type == VARINT:
                value, here = self._varint(message, here)
                yield Field(number, wire_type, value, data=message[:0])
            elif wire_type == BYTES:
                length, here = self._varint(message, here)
                if length > end - here:
                    raise self._damaged(f"a field claims {length} bytes where {end - here} are left")
                yield Field(number, wire_type, 0, data=message[here : here + length])
                here += length
            elif wire_type in _WIDTHS:
                data, here = self._run(message, start, here, width=_WIDTHS[wire_type])
                yield Field(number, wire_type, 0, data=data)
            else:
                raise self._damaged(f"a field has the wire type {wire_type}")

    def text(self, data: memoryview) -> str:
        """A string; bytes that are not UTF-8 are shown, not refused: names are only compared."""
        return bytes(data).decode("utf-8", "backslashreplace")

    def integers(self, field: Field) -> list[int]:
        """The signed 64-bit numbers of a repeated field, packed or one of them.

        Raises
        ------
        WeightsError
            If it is of another type or ends in the middle of a number.
        """
        if field.wire_type == VARINT:
            return [signed(field.value)]
        if field.wire_type != BYTES:
            raise self._damaged(f"field {field.number} is not a list of whole numbers")
        values, here = [], 0
        while here < len(field.data):
            self._count()
            value, here = self._varint(field.data, here)
            values.append(signed(value))
        return values

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnsafeFileError(
                f"{self.name}: more than {_MAX_FIELDS} fields, which no network has; refused"
            )

    def _varint(self, message: memoryview, here: int) -> tuple[int, int]:
        if here < len(message) and message[here] < 0x80:
            return message[here], here + 1
        value = shift = 0
        for byte in message[here : here + 10]:
            here += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, here
            shift += 7
        raise self._damaged("it ends within a number, or a number is longer than 10 bytes")

    def _run(self, message: memoryview, start: int, here: int, width: int) -> tuple[memoryview, int]:
        """The values of fields with the same tag, from the one at `start` on."""
        if len(message) - here < width:
            raise self._damaged("it ends within a number")
        tag = np.frombuffer(message[start:here], np.uint8)
        step = len(tag) + width
        count = _repeats(np.frombuffer(message[start:], np.uint8), tag, step)
        if count == 1:
            return message[here : here + width], here + width
        rows = np.frombuffer(message[start : start + count * step], np.uint8).reshape(count, step)
        values = np.ascontiguousarray(rows[:, len(tag) :]).reshape(-1)
        return values.data, start + count * step

    def _damaged(self, what: str) -> WeightsError:
        return WeightsError(f"{self.name}: a damaged Caffe file: {what}; fetch it again")


def signed(value: int) -> int:
    """Protobuf's int64 from its varint."""
    return value - (1 << 64) if value >> 63 else value


def _repeats(rest: NDArray[np.uint8], tag: NDArray[np.uint8], step: int) -> int:
    """How many records of `step` bytes that begin with `tag` follow one another."""
    most, count, stride = len(rest) // step, 1, 16
    while count < most:
        upto = min(most, count + stride)
        rows = rest[count * step : upto * step].reshape(upto - count, step)
        other = (rows[:, : len(tag)] != tag).any(axis=1)
        if other.any():
            return count + int(other.argmax())
        count, stride = upto, stride * 2
    return count
