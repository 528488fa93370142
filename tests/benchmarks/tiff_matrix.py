"""TIFF in every variant that people bring: our pixels against two independent readers.

    python -m tests.benchmarks.tiff_matrix [PART OF A NAME]

Needs tifffile and imagecodecs (they write the files and are the first referee), and pyvips (libvips is the
second). A variant is right if all pixels are within one level of the stated rules (`extract.images.decode`),
worked out here in double precision from the numbers that were written; or if it is refused with the reason
that is expected of it. The table says as well how often each referee, its numbers put through the same rules,
gives the truth ("same"), something else ("other") or nothing ("none"). Where libvips 8.18 gives something
else, tifffile and the numbers written agree: it misreads grey with alpha and YCbCr in planes, and takes the
alpha of float and 32-bit samples for 0-255.
"""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import ImageError
from tests.support.extract.decoding import decode

HEIGHT, WIDTH, TILE = 45, 37, (16, 32)
GREY, WHITE, RGB, PALETTE, CMYK, YCBCR, LAB = (
    "minisblack",
    "miniswhite",
    "rgb",
    "palette",
    "separated",
    "ycbcr",
    "cielab",
)
COLOURS = {GREY: 1, WHITE: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
# Compression, predictor.
STREAMS = (
    (None, None),
    ("packbits", None),
    ("lzw", None),
    ("lzw", 2),
    ("zlib", None),
    ("zlib", 2),
    ("zlib", 3),
    ("lzma", None),
    ("zstd", None),
    ("zstd", 2),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the pixels are.

    Attributes
    ----------
    name : str
    dtype : str
        Of NumPy.
    photometric : str
        As tifffile calls it.
    bits : int
        Of a sample; 0 for the whole of `dtype`.
    extra : str or None
        "assocalpha", "unassalpha" or "unspecified": a sample behind the colours.
    low, high : float
        Range of the numbers.
    refused : str or None
        What the reason must say.
    """

    name: str
    dtype: str
    photometric: str
    bits: int = 0
    extra: str | None = None
    low: float = 0
    high: float = 1
    refused: str | None = None

    @property
    def depth(self) -> int:
        return self.bits or 8 * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Variant:
    """A file, the numbers in it and what is expected of them."""

    name: str
    kind: Kind
    data: bytes
    samples: NDArray[Any]
    orientation: int = 1
    colour_map: NDArray[np.uint16] | None = None
    tolerance: float = 1
    refused: str | None = None


def kinds() -> Iterator[Kind]:
    top = {"uint8": 255, "uint16": 65535, "uint32": 65535, "uint64": 65535, "int16": 32767, "int32": 65535}
    for photometric in (GREY, WHITE):
        for dtype, high in top.items():
            yield Kind(f"{photometric} {dtype}", dtype, photometric, high=high)
        for dtype in ("float16", "float32", "float64"):
            yield Kind(f"{photometric} {dtype}", dtype, photometric)
        yield Kind(f"{photometric} 1 bit", "bool", photometric, bits=1)
    for bits in (2, 4, 10, 12, 14):
        dtype = "uint8" if bits < 8 else "uint16"
        yield Kind(f"grey {bits} bits", dtype, GREY, bits=bits, high=(1 << bits) - 1)
    for dtype in ("uint8", "uint16", "uint32", "float16", "float32"):
        high = top.get(dtype, 1)
        yield Kind(f"RGB {dtype}", dtype, RGB, high=high)
        for extra in ("assocalpha", "unassalpha", "unspecified"):
            yield Kind(f"RGB {dtype} {extra}", dtype, RGB, extra=extra, high=high)
    for dtype, extra in product(("uint8", "uint16", "float32"), ("assocalpha", "unassalpha")):
        yield Kind(f"grey {dtype} {extra}", dtype, GREY, extra=extra, high=top.get(dtype, 1))
    for dtype in ("uint8", "uint16"):
        yield Kind(f"CMYK {dtype}", dtype, CMYK, high=top[dtype])
        yield Kind(f"CMYK {dtype} unassalpha", dtype, CMYK, extra="unassalpha", high=top[dtype])
        yield Kind(f"palette {dtype}", dtype, PALETTE, high=top[dtype])
        yield Kind(f"L*a*b* {dtype}", dtype, LAB, high=top[dtype])
    yield Kind("YCbCr uint8", "uint8", YCBCR, high=255)
    for bits in (1, 2, 4):
        yield Kind(f"palette {bits} bits", "uint8", PALETTE, bits=bits, high=(1 << bits) - 1)
    yield Kind("grey int8 below 0", "int8", GREY, low=-128, high=127, refused="whole numbers of 8|from -")
    yield Kind("grey int16 below 0", "int16", GREY, low=-500, high=500, refused="reach from -")
    yield Kind("grey uint32 above 65535", "uint32", GREY, high=1 << 31, refused="only 0-65535")
    yield Kind("grey float32 above 1", "float32", GREY, high=4000, refused="only 0-1")
    yield Kind("RGB float32 above 1", "float32", RGB, high=255, refused="only 0-1")
    yield Kind("grey complex64", "complex64", GREY, refused="complex")
    yield Kind("grey with a band", "uint16", GREY, extra="unspecified", high=65535, refused="2 bands")


def numbers(kind: Kind, seed: int) -> NDArray[Any]:
    """Soft numbers over the kind's range, shape (height, width, samples)."""
    rng = np.random.default_rng(seed)
    samples = COLOURS[kind.photometric] + (kind.extra is not None)
    y, x, band = np.mgrid[:HEIGHT, :WIDTH, :samples]
    wave = 0.5 + 0.45 * np.sin(x / (5 + band) + y / (7 + 2 * band) + band + seed)
    noisy = np.clip(wave + rng.normal(0, 0.02, wave.shape), 0, 1)
    noisy[0, 0], noisy[0, 1] = 0, 1
    if kind.extra == "assocalpha":
        noisy[..., :-1] *= noisy[..., -1:]
    values = kind.low + noisy * (kind.high - kind.low)
    if kind.dtype == "bool":
        return np.asarray(values > 0.5)
    return np.asarray(values if np.dtype(kind.dtype).kind in "fc" else np.rint(values)).astype(kind.dtype)


def variants() -> Iterator[Variant]:
    """All files; those that tifffile cannot write are left out."""
    seed = 0
    for kind in kinds():
        shapes = product(STREAMS, (False, True), ("strips", "one strip", "tiles"), "<>")
        for (compression, predictor), planar, shape, order in shapes:
            several = COLOURS[kind.photometric] + (kind.extra is not None) > 1
            if planar and not several:
                continue
            options: dict[str, Any] = {"compression": compression, "predictor": predictor, "byteorder": order}
            if shape == "tiles":
                options["tile"] = TILE
            else:
                options["rowsperstrip"] = 7 if shape == "strips" else HEIGHT
            seed += 1
            coded = f"{compression or 'uncompressed'}{'' if predictor is None else f'+{predictor}'}"
            name = f"{kind.name}, {coded}, {'planes, ' if planar else ''}{shape}, {order}"
            made = _written(name, kind, seed, options, planar)
            if made is not None:
                # tifffile predicts what the predictor is not meant for: bits, and whole numbers as floats.
                odd = (predictor and kind.bits) or (predictor == 3 and np.dtype(kind.dtype).kind != "f")
                yield replace(made, refused=made.refused or ("predictor is not read" if odd else None))
    yield from _turned()
    yield from _containers()
    yield from _coded_as_pictures()
    yield from _by_another_writer()


# Why combinations of options are not among the variants -> how many.
left_out: Counter[str] = Counter()


def _written(name: str, kind: Kind, seed: int, options: dict[str, Any], planar: bool) -> Variant | None:
    import tifffile

    # tifffile 2026.3.3 packs big-endian numbers of 9 to 15 bits with their bytes in the wrong order.
    if kind.bits > 8 and options.get("byteorder") == ">":
        left_out["packed in the wrong order by tifffile"] += 1
        return None
    samples = numbers(kind, seed)
    stored = np.moveaxis(samples, -1, 0) if planar else samples
    if samples.shape[2] == 1:
        stored = samples[..., 0]
    options = {key: value for key, value in options.items() if value is not None}
    colour_map = None
    if kind.photometric == PALETTE:
        count = 1 << kind.depth
        colour_map = np.random.default_rng(seed).integers(0, 65536, (3, count)).astype(np.uint16)
        options["colormap"] = colour_map
    if kind.bits and kind.dtype != "bool":
        options["bitspersample"] = kind.bits
    if kind.extra:
        options["extrasamples"] = [kind.extra]
    if samples.shape[2] > 1:
        options["planarconfig"] = "separate" if planar else "contig"
    if kind.photometric == YCBCR:
        options["subsampling"] = (1, 1)
    buffer = io.BytesIO()
    try:
        tifffile.imwrite(buffer, stored, photometric=kind.photometric, metadata=None, **options)
    except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError) as exc:
        left_out[f"not written by tifffile ({type(exc).__name__})"] += 1
        return None
    return Variant(name, kind, buffer.getvalue(), samples, colour_map=colour_map, refused=kind.refused)


def _turned() -> Iterator[Variant]:
    chosen = ("minisblack uint8", "minisblack uint16", "RGB uint8", "RGB uint16", "RGB float32", "CMYK uint8")
    for kind, orientation, (planar, compression) in product(
        [kind for kind in kinds() if kind.name in chosen],
        range(1, 9),
        ((False, None), (True, None), (False, "lzw")),
    ):
        if planar and COLOURS[kind.photometric] == 1:
            continue
        options = {"compression": compression, "extratags": [(274, "H", 1, orientation, True)]}
        name = f"{kind.name}, orientation {orientation}, {'planes, ' if planar else ''}{compression}"
        made = _written(name, kind, orientation, options, planar)
        if made is not None:
            yield replace(made, orientation=orientation)


def _containers() -> Iterator[Variant]:
    import tifffile

    for kind in kinds():
        for order in "<>":
            for planar in (False, True):
                if planar and COLOURS[kind.photometric] == 1:
                    continue
                options = {"bigtiff": True, "byteorder": order}
                name = f"{kind.name}, BigTIFF, {'planes, ' if planar else ''}{order}"
                made = _written(name, kind, 5, options, planar)
                if made is not None:
                    yield made
    for dtype, order, suffix in product(("uint8", "uint16", "float32"), "<>", ("ome", "imagej")):
        kind = next(kind for kind in kinds() if kind.name == f"minisblack {dtype}")
        pages = np.stack([numbers(kind, seed)[..., 0] for seed in range(3)])
        buffer = io.BytesIO()
        how: dict[str, Any] = {suffix: True, "byteorder": order, "metadata": {"axes": "ZYX"}}
        tifffile.imwrite(buffer, pages, photometric=GREY, **how)
        yield Variant(f"{kind.name}, {suffix}, {order}", kind, buffer.getvalue(), pages[0][..., None])
    for dtype, suffix in product(("uint8", "uint16"), ("ome", "imagej")):
        kind = next(kind for kind in kinds() if kind.name == f"RGB {dtype}")
        if (dtype, suffix) == ("uint16", "imagej"):
            continue
        samples = numbers(kind, 9)
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, samples, photometric=RGB, **{suffix: True})
        yield Variant(f"{kind.name}, {suffix}", kind, buffer.getvalue(), samples)


def _coded_as_pictures() -> Iterator[Variant]:
    from PIL import Image

    by_name = {kind.name: kind for kind in kinds()}
    for name, compression, shape, order in product(
        (
            "minisblack uint8",
            "RGB uint8",
            "RGB uint8 unassalpha",
            "CMYK uint8",
            "minisblack uint16",
            "RGB uint16",
        ),
        ("jpeg", "webp", "jpeg2000", "jpegxl", "lerc", "jpegxr"),
        ("one strip", "tiles"),
        "<>",
    ):
        options: dict[str, Any] = {"compression": compression, "byteorder": order}
        if compression == "jpeg":
            options["compressionargs"] = {"level": 100}
        if shape == "tiles":
            options["tile"] = (16, 32)
        made = _written(f"{name}, {compression}, {shape}, {order}", by_name[name], 3, options, False)
        if made is not None:
            if compression == "jpeg" and made.kind.depth == 8:
                # What is lost, both lose: the first referee's pixels are the truth.
                yield replace(made, samples=_seen_by_tifffile(made.data), tolerance=2)
            else:
                yield replace(made, refused="compression is not read")
    for name, order in product(("RGB uint8", "CMYK uint8"), "<>"):
        how = {"compression": "jpeg", "byteorder": order}
        made = _written(f"{name}, jpeg, planes, {order}", by_name[name], 3, how, True)
        if made is not None:
            yield replace(made, samples=_seen_by_tifffile(made.data), tolerance=2)
    kind = by_name["minisblack 1 bit"]
    for compression, fill in product(("group3", "group4", "tiff_ccitt"), (1, 2)):
        samples = numbers(kind, 4)
        buffer = io.BytesIO()
        picture = Image.fromarray(samples[..., 0])
        picture.save(buffer, "TIFF", compression=compression, tiffinfo={266: fill})
        yield Variant(f"1 bit, {compression}, fill order {fill}", kind, buffer.getvalue(), samples)


def _by_another_writer() -> Iterator[Variant]:
    """Files that libvips, and so libtiff, writes."""
    import pyvips

    chosen = ["minisblack uint8", "minisblack uint16", "minisblack float32", "RGB uint8", "RGB uint16"]
    chosen += ["RGB float32", "RGB uint8 unassalpha", "RGB uint16 unassalpha", "grey uint8 unassalpha"]
    chosen += ["CMYK uint8", "CMYK uint16"]
    for kind, compression, tiled, big in product(
        [kind for kind in kinds() if kind.name in chosen],
        ("none", "lzw", "deflate", "packbits", "jpeg", "ccittfax4"),
        (False, True),
        (False, True),
    ):
        samples = numbers(kind, 6)
        image = pyvips.Image.new_from_array(samples)
        if kind.photometric == CMYK:
            image = image.copy(interpretation="cmyk")
        elif kind.dtype == "uint16":
            image = image.copy(interpretation="grey16" if COLOURS[kind.photometric] == 1 else "rgb16")
        if compression == "ccittfax4" and kind.name != "minisblack uint8":
            continue
        # libvips flattens what it writes as JPEG.
        if compression == "jpeg" and (kind.dtype != "uint8" or kind.extra):
            continue
        predictor = "horizontal" if kind.dtype.startswith("uint") else "none"
        how = {
            "compression": compression,
            "predictor": predictor,
            "bigtiff": big,
            "tile": tiled,
            "bitdepth": 0,
        }
        if tiled:
            how |= {"tile_width": 16, "tile_height": 16}
        if compression == "ccittfax4":
            how["bitdepth"] = 1
            samples = numbers(replace(kind, dtype="bool"), 6)
            image, kind = (
                pyvips.Image.new_from_array(255 * samples.astype(np.uint8)),
                replace(kind, dtype="bool", bits=1),
            )
        data = bytes(image.tiffsave_buffer(**how))
        shape = "tiles" if tiled else "strips"
        name = f"{kind.name}, by libvips, {compression}, {shape}{', BigTIFF' if big else ''}"
        if compression == "jpeg":
            yield Variant(name, kind, data, _seen_by_tifffile(data), tolerance=2)
        else:
            yield Variant(name, kind, data, samples)


def by_the_rules(samples: NDArray[Any], variant: Variant) -> NDArray[np.float64]:
    """What `extract.images.decode` states, in double precision: shape (height, width, 3), 0-255, upright."""
    kind = variant.kind
    top = 1.0 if np.dtype(kind.dtype).kind == "f" else float((1 << min(kind.depth, 16)) - 1)
    count = COLOURS[kind.photometric]
    levels = samples.astype(np.float64) / top * 255
    if kind.dtype == "uint16" and kind.depth == 16 and (count > 1 or kind.extra):
        levels = (samples >> 8).astype(np.float64)
    colours = levels[..., :count]
    if kind.photometric == PALETTE:
        assert variant.colour_map is not None
        colours = np.moveaxis(variant.colour_map[:, samples[..., 0]], 0, -1) / 257
    elif kind.photometric == WHITE:
        colours = 255 - colours
    elif kind.photometric == CMYK:
        colours = (255 - colours[..., :3]) * (255 - colours[..., 3:]) / 255
    elif kind.photometric == YCBCR:
        y, cb, cr = np.moveaxis(colours - [0, 128, 128], -1, 0)
        colours = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    elif kind.photometric == LAB:
        colours = _from_lab(samples.astype(np.float64), kind.depth)
    colours = np.clip(colours, 0, 255)
    if kind.extra in ("assocalpha", "unassalpha"):
        alpha = levels[..., count:] / 255
        colours = (colours if kind.extra == "assocalpha" else colours * alpha) + 255 * (1 - alpha)
    turned = np.broadcast_to(np.clip(colours, 0, 255), (*samples.shape[:2], 3))
    return upright(turned, variant.orientation)


def _from_lab(codes: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """By ICC's and IEC 61966-2-1's formulas, a matrix of Lindbloom's."""
    light = codes[..., 0] * 100 / ((1 << bits) - 1)
    a, b = np.moveaxis(
        np.where(codes >= 1 << bits - 1, codes - (1 << bits), codes)[..., 1:] / (1 << bits - 8), -1, 0
    )
    fy = (light + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], axis=-1)
    xyz = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) / (24389 / 27)) * [0.9642, 1.0, 0.8249]
    to_srgb = np.array(
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.0334540],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    linear = np.clip(xyz @ to_srgb.T, 0, 1)
    return np.asarray(
        255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    )


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """TIFF 6.0, tag 274: where the first row and the first column are seen."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    # By the corner at which the stored picture begins, after that.
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return stored[::rows, ::columns]


def _seen_by_tifffile(data: bytes) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        samples = np.asarray(page.asarray())
        if samples.ndim == 3 and page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, -1)
    return samples[..., None] if samples.ndim == 2 else samples


def by_tifffile(variant: Variant) -> NDArray[np.float64] | None:
    """The rules applied to what tifffile reads."""
    try:
        samples = _seen_by_tifffile(variant.data)
    except Exception:
        return None
    return by_the_rules(samples, variant) if samples.shape == variant.samples.shape else None


def by_libvips(variant: Variant) -> NDArray[np.float64] | None:
    """The rules applied to what libvips reads.

    It looks palettes up, turns unsigned white-is-zero round and divides associated alpha out by itself.
    """
    import pyvips

    try:
        image = pyvips.Image.new_from_buffer(variant.data, "", fail_on="warning").autorot()
        samples = image.numpy()
    except pyvips.Error:
        return None
    if samples.ndim == 2:
        samples = samples[..., None]
    kind, plain = variant.kind, replace(variant, orientation=1)
    if kind.photometric == PALETTE:
        if samples.shape[2] < 3:
            return None
        top = 65535 if samples.dtype == np.uint16 else 255
        return np.asarray(samples[..., :3], np.float64) / top * 255
    if kind.depth < 8 or (kind.bits and samples.dtype == np.uint8):
        return np.repeat(samples.astype(np.float64), 3, axis=2)
    if kind.photometric == WHITE and samples.dtype.kind == "u":
        if samples.dtype == np.uint32:
            samples = np.iinfo(np.uint32).max - samples
        else:
            plain = replace(plain, kind=replace(kind, photometric=GREY))
    if samples.shape[2] != variant.samples.shape[2] or samples.dtype != variant.samples.dtype:
        return None
    if kind.extra == "assocalpha":
        top = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
        back = samples[..., :-1] * (samples[..., -1:] / top)
        samples = np.concatenate([back, samples[..., -1:]], axis=-1).astype(samples.dtype)
    return by_the_rules(samples, plain)


@dataclass
class Table:
    """How often what happened, by kind of pixels."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, variant: Variant) -> None:
        counts = self.rows.setdefault(variant.kind.name, Counter())
        counts["files"] += 1
        verdict, said = judged(variant)
        counts[verdict] += 1
        if verdict == "wrong":
            self.wrong.append(f"{variant.name}: {said}")
        truth = by_the_rules(variant.samples, variant) if variant.refused is None else None
        if truth is not None:
            for name, found in (("tifffile", by_tifffile(variant)), ("libvips", by_libvips(variant))):
                same = found is not None and found.shape == truth.shape and near(found, truth, variant)
                counts[f"{name} {'none' if found is None else 'same' if same else 'other'}"] += 1

    def __str__(self) -> str:
        referees = [f"{who} {what}" for who in ("tifffile", "libvips") for what in ("same", "other", "none")]
        heads = ["files", "right", "refused", "wrong", *referees]
        lines = [f"{'':28}" + "".join(f"{head:>16}" for head in heads)]
        rows = {**self.rows, "all": sum(self.rows.values(), Counter())}
        lines += [f"{name:28}" + "".join(f"{row[head]:16}" for head in heads) for name, row in rows.items()]
        return "\n".join(lines)


def near(found: NDArray[Any], truth: NDArray[np.float64], variant: Variant) -> bool:
    # A rounded number within one level of the exact one, however that is rounded.
    return bool(np.abs(found - truth).max() < variant.tolerance + 0.5)


def judged(variant: Variant) -> tuple[str, str]:
    """ "right", "refused" or "wrong" of our reader, and why."""
    try:
        found = decode(variant.data).astype(np.float64)
    except ImageError as exc:
        expected = variant.refused is not None and re.search(variant.refused, str(exc))
        return ("refused" if expected else "wrong"), str(exc)
    if variant.refused is not None:
        return "wrong", f"read, where it should be refused: {variant.refused}"
    truth = by_the_rules(variant.samples, variant)
    if found.shape != truth.shape:
        return "wrong", f"shape {found.shape}, not {truth.shape}"
    worst = np.abs(found - truth).max()
    return ("right" if near(found, truth, variant) else "wrong"), f"off by up to {worst:.1f}"


def main() -> int:
    wanted = " ".join(sys.argv[1:])
    table = Table()
    for variant in variants():
        if wanted in variant.name:
            table.add(variant)
    print(table)
    for reason, count in left_out.most_common():
        print(f"{count} combinations are left out: {reason}")
    if not table.rows:
        print(f"no variant is named like {wanted!r}")
    for line in table.wrong:
        print("WRONG", line)
    return bool(table.wrong) or not table.rows


if __name__ == "__main__":
    sys.exit(main())
