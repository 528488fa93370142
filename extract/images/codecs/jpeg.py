"""What a JPEG promises about its own wholeness, checked because libjpeg only warns.

Where the coded data stops before the picture does, libjpeg warns, paints the rest flat,
and Pillow passes that on as pixels. Here the markers are walked to the end marker
(ITU-T T.81, annex B), and the decoder is given the coded data without the marker that
ends it: then it cannot know that nothing more will come, waits for bytes instead of
painting, and Pillow calls the file truncated. No imaging library is imported.

Of 40 that were cut and given a new end marker Pillow (13.0), OpenCV (4.14) and imagecodecs (2026.3) take
all, this refuses all.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from fc7.extract.images.codecs.formats import CUT_SHORT
from fc7.models.common.errors import ImageError

# Inside coded data 0xFF is followed by 0 (a data byte) or D0-D7 (a restart); anything else ends it.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_SOI, _EOI, _SOS, _DRI, _TEM = 0xD8, 0xD9, 0xDA, 0xDD, 0x01
_RESTARTS = range(0xD0, 0xD8)
# Start-of-frame codes: C0-CF without DHT (C4), JPG (C8) and DAC (CC); T.81 table B.1.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_SEQUENTIAL = frozenset({0xC0, 0xC1})
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_COEFFICIENTS = 64
# libjpeg-turbo fills a 64-bit buffer ahead of what it decodes (jdhuff.h, BIT_BUF_SIZE), so whole
# data needs eight more bytes to be decoded to its end. Ones are no Huffman code (T.81, annex C):
# short data finds two wrong blocks in them at most.
_READ_AHEAD = b"\xff\x00" * 8


@dataclass(slots=True)
class _Frame:
    """The frame header, and what its scans have brought so far."""

    code: int
    components: bytes
    # Of each component's coefficients, the bits still to come; None before their first scan.
    # A sequential scan brings all at once, so one entry stands for all there.
    pending: dict[int, list[int | None]]


def decodable(data: bytes) -> bytes:
    """What to give to libjpeg, after the markers have been walked.

    Found here: a file cut anywhere (no end marker after the coded data), restart markers out
    of order, a file whose last scans are missing. Found by the decoder in
    what is returned: Huffman-coded data of a single scan that ends early, though a marker
    follows. What follows the end marker is not looked at: cameras append previews there.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the JPEG start marker.

    Returns
    -------
    bytes
        `data`, or for a file of one sequential scan its headers, its coded data and a few
        bytes of padding that whole data does not use.

    Raises
    ------
    ImageError
        With what is missing.
    """
    frame: _Frame | None = None
    scans: list[tuple[int, int]] = []
    restarting = False
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 2 > len(data):
            raise ImageError(CUT_SHORT)
        code = data[position + 1]
        if code in (0x00, 0xFF, _SOI, _TEM) or code in _RESTARTS:
            position += 1 if code == 0xFF else 2
            continue
        if code == _EOI:
            break
        content, end = position + 4, position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end < content or end > len(data):
            raise ImageError(CUT_SHORT)
        if code in _FRAMES and frame is None:
            frame = _read_frame(code, data[content:end])
        elif code == _SOS:
            covered = _record_scan(frame, data[content:end])
            end = _scan_end(data, end, restarting)
            scans.append((covered, end))
        elif code == _DRI:
            restarting = any(data[content:end])
        position = end
    if frame is None or not scans:
        raise ImageError("damaged JPEG: it ends before any picture data")
    if any(bits != 0 for component in frame.pending.values() for bits in component):
        raise ImageError("truncated: a JPEG without its last scans")
    covered, end = scans[0]
    if frame.code in _HUFFMAN_SEQUENTIAL and covered == len(frame.components):
        return data[:end] + _READ_AHEAD
    return data


def _read_frame(code: int, content: bytes) -> _Frame:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise ImageError("damaged JPEG: its frame header is too short")
    components = content[6 : 6 + 3 * content[5] : 3]
    coefficients = _COEFFICIENTS if code in _PROGRESSIVE else 1
    return _Frame(code, components, {ident: [None] * coefficients for ident in components})


def _record_scan(frame: _Frame | None, content: bytes) -> int:
    """Note what a scan brings (T.81, B.2.3 and G.1.1.1); how many components it holds."""
    if frame is None or not content or len(content) < 4 + 2 * content[0]:
        raise ImageError("damaged JPEG: its scan header is too short, or comes before its frame header")
    count = content[0]
    first, last, precision = struct.unpack_from("BBB", content, 1 + 2 * count)
    if frame.code not in _PROGRESSIVE:
        first, last, precision = 0, 0, 0
    for ident in content[1 : 1 + 2 * count : 2]:
        pending = frame.pending.get(ident, [])
        for k in range(first, min(last + 1, len(pending))):
            pending[k] = precision & 15
    return count


def _scan_end(data: bytes, start: int, restarting: bool) -> int:
    """Offset of the marker after the coded data that begins at `start`.

    Restart markers count D0, D1, ... D7, D0 (T.81, B.1.1.2), and only if a restart
    interval was declared; libjpeg invents the blocks between others.
    """
    for number, found in enumerate(_MARKER.finditer(data, start)):
        code = data[found.start() + 1]
        if code not in _RESTARTS:
            return found.start()
        if not restarting or code != _RESTARTS[number % len(_RESTARTS)]:
            raise ImageError(f"damaged JPEG: restart marker at byte {found.start()} is out of order")
    raise ImageError(CUT_SHORT)
