"""The header of a JPEG XL codestream, bit by bit: ISO/IEC 18181-1, annex D. No imaging library.

imagecodecs (2026.3) tells a size only by decoding: 30 KB, black, of 12,000 x 12,000 pixels, take 417 MB.
"""

from __future__ import annotations

from collections.abc import Collection

SIGNATURE = b"\xff\x0a"
"""How a bare codestream begins: two bytes, which other files have by chance."""

_Form = int | tuple[int, int]
# D.2: bits of the four forms of a side, and the ratios of width to height.
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
# Not of the standard: six times what is decoded, so that a picture which is too large is still called one.
_MOST_PIXELS = 1 << 30
_HEAD_BYTES = 512
# Sides of a preview, in units of eight pixels or one.
_EIGHTHS: tuple[_Form, ...] = (16, 32, (5, 1), (9, 33))
_PIXELS: tuple[_Form, ...] = ((6, 1), (8, 65), (10, 321), (12, 1345))
# D.3.6: kinds of channels that are defined, and the fields that some of them have.
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 15, 16)
_ALPHA, _SPOT, _MOSAIC = 0, 2, 5
_SPOT_BITS = 4 * 16
# E.2: colour spaces; the white points, primaries and transfer functions that are defined; rendering intents.
_RGB, _XYB, _UNKNOWN = 0, 2, 3
_BY_POINTS = 2
_WHITES, _PRIMARIES, _TRANSFERS = (1, _BY_POINTS, 10, 11), (1, _BY_POINTS, 9, 11), (1, 8, 13, 16, 17, 18)
_LAST_INTENT = 3
_MOST_GAMMA = 10_000_000
# E.3: three numbers of 16 bits and a switch.
_TONE_BITS = 3 * 16 + 1


class JpegXlBits:
    """Bits from the lowest on, behind the signature.

    Parameters
    ----------
    head : bytes
        Begins with `SIGNATURE`. Bits behind its end are zero.
    """

    def __init__(self, head: bytes) -> None:
        self._value = int.from_bytes(head[len(SIGNATURE) : _HEAD_BYTES], "little")
        self._taken = 0

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        taken = self._value >> self._taken & ((1 << count) - 1)
        self._taken += count
        return taken

    def choice(self, *forms: _Form) -> int:
        """A number in one of four forms: fixed, or (bits, offset) (B.2.2, U32)."""
        form = forms[self.take(2)]
        return form if isinstance(form, int) else self.take(form[0]) + form[1]

    def size(self) -> tuple[int, int]:
        """Height and width (D.2)."""
        small = self.take(1)
        height = self._side(small)
        ratio = self.take(3)
        width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else self._side(small)
        return height, width

    def _side(self, small: int) -> int:
        return 8 * (self.take(5) + 1) if small else self.take(_SIDE_BITS[self.take(2)]) + 1

    def is_plausible(self) -> bool:
        """Whether a picture may begin so."""
        height, width = self.size()
        if height * width > _MOST_PIXELS:
            return False
        has_profile = False
        if not self.take(1):
            has_more = self.take(1)
            if has_more:
                self._skip_time_and_place()
            if not self._is_depth() or not self._are_channels():
                return False
            self.take(1)
            colours = self._colours()
            if colours is None:
                return False
            has_profile = colours
            if has_more and not self.take(1):
                self.take(_TONE_BITS)
            # There are no extensions.
            if self.take(2):
                return False
        # Weights of its own may follow (D.8), or a profile; else zeros up to the next byte (C.2).
        return not self.take(1) or has_profile or self.take(-self._taken % 8) == 0

    def _skip_time_and_place(self) -> None:
        """Orientation, the size to be shown at, a preview, and the times of an animation (D.3)."""
        self.take(3)
        if self.take(1):
            self.size()
        if self.take(1):
            side = _EIGHTHS if self.take(1) else _PIXELS
            self.choice(*side)
            if self.take(3) == 0:
                self.choice(*side)
        if self.take(1):
            self.choice(100, 1000, (10, 1), (30, 1))
            self.choice(1, 1001, (8, 1), (10, 1))
            self.choice(0, (3, 0), (16, 0), (32, 0))
            self.take(1)

    def _is_depth(self) -> bool:
        """Bits of a sample: whole numbers of up to 31, or floating point (D.3.5)."""
        if not self.take(1):
            return self.choice(8, 10, 12, (6, 1)) <= 31
        bits, exponent = self.choice(32, 16, 24, (6, 1)), self.take(4) + 1
        return 2 <= exponent <= 8 and 2 <= bits - exponent - 1 <= 23

    def _are_channels(self) -> bool:
        """Channels beside the colours (D.3.6)."""
        self.take(1)
        for _ in range(self.choice(0, 1, (4, 2), (12, 1))):
            if self.take(1):
                continue
            kind = self._named()
            if kind not in _CHANNELS or not self._is_depth():
                return False
            self.choice(0, 3, 4, (3, 1))
            self.take(8 * self.choice(0, (4, 0), (5, 16), (10, 48)))
            if kind == _ALPHA:
                self.take(1)
            elif kind == _SPOT:
                self.take(_SPOT_BITS)
            elif kind == _MOSAIC:
                self.choice(1, (2, 0), (4, 3), (8, 19))
        return True

    def _colours(self) -> bool | None:
        """Whether a profile follows that says them (E.2); None where there are no such colours."""
        if self.take(1):
            return False
        has_profile, space = bool(self.take(1)), self._named()
        if space > _UNKNOWN or (space == _UNKNOWN and not has_profile):
            return None
        if has_profile:
            return True
        if space != _XYB and not self._is_placed(_WHITES, 1):
            return None
        if space == _RGB and not self._is_placed(_PRIMARIES, 3):
            return None
        if space != _XYB and not (
            0 < self.take(24) <= _MOST_GAMMA if self.take(1) else self._named() in _TRANSFERS
        ):
            return None
        return False if self._named() <= _LAST_INTENT else None

    def _is_placed(self, known: Collection[int], points: int) -> bool:
        """A white point or primaries by name, or by so many points' coordinates."""
        name = self._named()
        if name == _BY_POINTS:
            for _ in range(2 * points):
                self.choice((19, 0), (19, 1 << 19), (20, 1 << 20), (21, 1 << 21))
        return name in known

    def _named(self) -> int:
        """One of a list (B.2.6, Enum)."""
        return self.choice(0, 1, (4, 2), (6, 18))
