"""What a network is fed, read back from one whose features are its input, against Pillow and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from fc7.extract import ExtractOptions, extract_features, load_features
from tests.support import CommandLine
from tests.support.extract.odd_files import photo
from tests.support.models.models_command import models_command

Numbers = NDArray[np.float64]
Picture = Image.Image
BILINEAR, BICUBIC, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST
# (height, width): wide, tall, and smaller than the network.
SIZES = [(90, 120), (120, 90), (20, 27)]
UNITS = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def mirror(path: Path, size: Sequence[int | str]) -> Path:
    """A network whose layer ``seen`` is its input, flattened."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["seen"])],
        "mirror",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *size])],
        [helper.make_tensor_value_info("seen", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def warp(height: int, width: int, method: Any = BILINEAR) -> Callable[[Picture], Picture]:
    return lambda image: image.resize((width, height), method)


def centre(image: Picture, height: int, width: int, half: Callable[[int], int]) -> Picture:
    left, top = half(image.width - width), half(image.height - height)
    return image.crop((left, top, left + width, top + height))


def warp_and_cut(resized: int, cut: int) -> Callable[[Picture], Picture]:
    return lambda image: centre(
        image.resize((resized, resized), BILINEAR), cut, cut, lambda spare: spare // 2
    )


def cover_and_cut(
    rows: int, columns: int, height: int, width: int, method: Any = BILINEAR
) -> Callable[[Picture], Picture]:
    """Torchvision's Resize to a short side, but for two sides; rounding by hand in the tests of `frame`."""

    def cut(image: Picture) -> Picture:
        scaled = image.resize(
            (
                max(columns, image.width * rows // image.height),
                max(rows, image.height * columns // image.width),
            ),
            method,
        )
        return centre(scaled, height, width, lambda spare: round(spare / 2))

    return cut


def fit(height: int, width: int, colour: tuple[int, int, int], method: Any) -> Callable[[Picture], Picture]:
    def padded(image: Picture) -> Picture:
        ratio = min(height / image.height, width / image.width)
        small = image.resize((round(image.width * ratio), round(image.height * ratio)), method)
        canvas = Image.new("RGB", (width, height), colour)
        canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
        return canvas

    return padded


def units(x: Numbers) -> Numbers:
    return (x / 255 - UNITS[0]) / UNITS[1]


def bvlc(x: Numbers) -> Numbers:
    return x[..., ::-1] - [104.00698793, 116.66876762, 122.67891434]


def one(x: Numbers) -> Numbers:
    return x / 127.5 - 1


CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
GREY = (124, 116, 104)
CASES: dict[str, tuple[Sequence[int | str], Callable[[Picture], Picture], Callable[[Numbers], Numbers]]] = {
    "--preprocess caffe": ((32, 32), warp_and_cut(37, 32), bvlc),
    "--preprocess caffe --order RGB": ((32, 32), warp_and_cut(37, 32), lambda x: bvlc(x)[..., ::-1]),
    "--preprocess torch": ((32, 32), cover_and_cut(37, 37, 32, 32), units),
    "--preprocess tf": ((32, 32), warp_and_cut(37, 32), one),
    "--preprocess clip": (
        (32, 32),
        cover_and_cut(32, 32, 32, 32, BICUBIC),
        lambda x: (x / 255 - CLIP_MEAN) / CLIP_STD,
    ),
    "--preprocess siglip": ((32, 32), warp(32, 32, BICUBIC), one),
    "--preprocess udacity": ((32, 32), warp(32, 32), lambda x: x - x.mean()),
    # EfficientNet-Lite's.
    "--mean 127 --std 128 --interpolation bicubic": (
        (32, 32),
        cover_and_cut(37, 37, 32, 32, BICUBIC),
        lambda x: (x - 127) / 128,
    ),
    "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225": ((32, 32), cover_and_cut(37, 37, 32, 32), units),
    "--scale 1/255": ((32, 32), cover_and_cut(37, 37, 32, 32), lambda x: x / 255),
    "--scale 1/127.5 --mean 1 --resize warp:36": ((32, 32), warp_and_cut(36, 32), one),
    "--mean 103.5,116.3,123.7 --std 57.4,57.1,58.4 --order BGR --resize short:32": (
        (32, 32),
        cover_and_cut(32, 32, 32, 32),
        lambda x: (x[..., ::-1] - [103.5, 116.3, 123.7]) / [57.4, 57.1, 58.4],
    ),
    "--preprocess torch --resize pad --interpolation nearest": ((32, 32), fit(32, 32, GREY, NEAREST), units),
    # 24 high and 48 wide; 256/224 of them is 27 and 55.
    "--preprocess torch --resize warp": ((24, 48), warp(24, 48), units),
    "--preprocess torch --interpolation bicubic": ((24, 48), cover_and_cut(27, 55, 24, 48, BICUBIC), units),
    "--preprocess clip --mean 0.5": (
        (48, 24),
        cover_and_cut(48, 24, 48, 24, BICUBIC),
        lambda x: (x / 255 - 0.5) / CLIP_STD,
    ),
    "--preprocess torch --resize pad": ((24, 48), fit(24, 48, GREY, BILINEAR), units),
    "--preprocess torch --resize warp:30x60": (
        (24, 48),
        lambda image: centre(image.resize((60, 30), BILINEAR), 24, 48, lambda spare: spare // 2),
        units,
    ),
    "--preprocess siglip --crop 20x28": (("h", "w"), warp(20, 28, BICUBIC), one),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fed") / "imgs"
    folder.mkdir()
    for size in SIZES:
        Image.fromarray(photo(*size)).save(folder / f"{size[0]}x{size[1]}.png")
    return folder


@pytest.mark.parametrize("options", CASES)
def test_the_network_is_fed_what_is_stated(
    options: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    size, geometry, arithmetic = CASES[options]
    call = ["import", str(mirror(tmp_path / "net.onnx", size)), "--as", "net", "--layer", "seen"]
    result = models_command(*call, *options.split())
    assert result.exit_code == 0, result.output
    features = tmp_path / "f.h5"
    extract_features([pictures], features, ExtractOptions(network="net", device="cpu", exact_decode=True))
    found = load_features(features)
    assert len(found.paths) == len(SIZES)
    for row, path in zip(found.X, found.paths, strict=True):
        with Image.open(pictures / path) as image:
            fed = arithmetic(np.asarray(geometry(image), np.float64)).transpose(2, 0, 1)
        np.testing.assert_allclose(row.reshape(fed.shape), fed, rtol=0, atol=2e-6 * max(1, np.abs(fed).max()))


def test_a_network_that_is_not_square_from_the_command_line_on(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    (tmp_path / "imgs").mkdir()
    Image.fromarray(photo(90, 120)).save(tmp_path / "imgs" / "a.png")
    wide = mirror(tmp_path / "wide.onnx", (128, 256))
    recipe = ("--preprocess", "torch", "--resize", "warp")
    ran = cli.good("models", "import", wide, "--as", "wide", "--layer", "seen", *recipe)
    text = (
        "warp 128x256 bilinear, centre crop 128x256, RGB, x 0.0039215686, minus 0.485/0.456/0.406, "
        "over 0.229/0.224/0.225"
    )
    assert f"features seen (98304), {text}" in ran.out
    assert f"preprocessing:  {text}" in cli.good("models", "show", "wide").out
    cli.good("extract", "imgs", "--network", "wide", "--device", "cpu", "--exact-decode")
    (row,) = load_features(tmp_path / "features.h5").X
    with Image.open(tmp_path / "imgs" / "a.png") as image:
        fed = units(np.asarray(image.resize((256, 128), BILINEAR), np.float64)).transpose(2, 0, 1)
    np.testing.assert_allclose(row.reshape(fed.shape), fed, atol=1e-5)
    # Another way to resize is another network to a cache.
    other = cli("extract", "imgs", "--network", "wide", "--device", "cpu", "--resize", "short:130x260")
    assert other.code == 2
    assert "resize=warp, not short; preprocessing resize_height=128, not 130" in other.err
    wrong = cli("models", "import", wide, "--as", "b", "--layer", "seen", *recipe, "--mean", "104,117,123")
    assert wrong.code == 2
    assert wrong.err.startswith("error: a mean of 104,117,123")
