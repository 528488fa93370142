"""Whatever the picture and whatever is done to its file: exact pixels, or an ImageError."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import encoded, photo

# pytest sets its own warning filters before each test, and with them undoes that of extract.images.decode.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
COLOURED = SIZES.flatmap(lambda size: arrays(np.uint8, (*size, 3)))
GREY = SIZES.flatmap(lambda size: arrays(np.uint8, size))
LOSSLESS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("BMP", {}),
    ("PPM", {}),
    ("TIFF", {}),
    ("TIFF", {"big_tiff": True}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", {"compression": "packbits"}),
    ("WebP", {"lossless": True}),
]
WHOLE = [
    encoded(photo(40, 56), "JPEG"),
    encoded(photo(40, 56), "JPEG", progressive=True),
    encoded(photo(40, 56)[..., 0], "JPEG", restart_marker_blocks=3),
    *(encoded(photo(40, 56), form, **options) for form, options in LOSSLESS),
    encoded(photo(40, 56)[..., 0], "GIF"),
    b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12\n",
]


@settings(max_examples=60, deadline=None)
@given(COLOURED, st.sampled_from(LOSSLESS))
def test_colours_come_back_exactly_from_every_lossless_format(
    picture: Pixels, form: tuple[str, dict[str, Any]]
) -> None:
    assert np.array_equal(decode(encoded(picture, form[0], **form[1])), picture)


@settings(max_examples=40, deadline=None)
@given(GREY, st.sampled_from([*LOSSLESS[:8], ("GIF", {})]))
def test_greys_come_back_exactly_from_every_lossless_format(
    picture: Pixels, form: tuple[str, dict[str, Any]]
) -> None:
    expected = np.repeat(picture[:, :, None], 3, axis=2)
    assert np.array_equal(decode(encoded(picture, form[0], **form[1])), expected)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(1, 255)), min_size=1, max_size=6),
    st.integers(0, 60),
)
def test_changed_bytes_give_pixels_or_a_one_line_reason(
    data: bytes, changes: list[tuple[int, int]], near: int
) -> None:
    broken = bytearray(data)
    for place, change in changes:
        # Headers are where damage is most inventive: half of the changes go there.
        broken[place % (len(data) if place % 2 else min(near + 4, len(data)))] ^= change
    outcome(bytes(broken))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", *(data[:24] for data in WHOLE)]))
def test_noise_gives_pixels_or_a_one_line_reason(noise: bytes, start: bytes) -> None:
    outcome(start + noise)


def outcome(data: bytes) -> None:
    try:
        pixels = decode(data, max_pixels=1_000_000)
    except ImageError as exc:
        reason = str(exc)
        assert reason
        assert "\n" not in reason
        assert " at 0x" not in reason
        assert len(reason) < 200
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
