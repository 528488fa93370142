"""What is stated of a preprocessing: how it is read, what it changes, what does not go together."""

from __future__ import annotations

import dataclasses
import doctest
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import PREPROCESS_PRESETS
from fc7.models.common.errors import UsageError
from fc7.models.network import presets
from fc7.models.network.spec import PreprocessSpec, fingerprint
from fc7.models.store import preprocess_flags, preprocess_options, store
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.preprocess_options import PreprocessOptions, fit_crop
from tests.models.graph.test_own_normalisation import BYTE_MEAN, matlab
from tests.support.models import caffe_files
from tests.support.models.caffe_running import write as write_caffe
from tests.support.models.models_command import models_command
from tests.support.models.small_graphs import NODE, SIZE, model, trunk, write

CAFFE, TORCH, UDACITY, CLIP, SIGLIP = (
    PREPROCESS_PRESETS[name] for name in ("caffe", "torch", "udacity", "clip", "siglip")
)
UNITS, LEVELS = (0.485, 0.456, 0.406), (123.675, 116.28, 103.53)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def stated(*arguments: str, folder: Path, shape: Sequence[int | str] = ("N", 3, 32, 32)) -> PreprocessSpec:
    """What `models import` makes of these options for a network of this input."""
    path = write(model(trunk(), shape=shape, outputs=["pool"]), folder)
    call = ["import", str(path), "--as", "net", "--layer", "pool", "--replace", *arguments]
    result = models_command(*call)
    assert result.exit_code == 0, result.output
    return store.load("net").spec.preprocess


@pytest.mark.parametrize("module", [presets, preprocess_options, preprocess_flags])
def test_the_examples_run(module: object) -> None:
    done = doctest.testmod(module)  # type: ignore[arg-type]
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize(
    ("crop", "resize"),
    # 256/224 of the crop, rounded; 227 is Caffe's crop of the same 256.
    [(224, 256), (227, 256), (32, 37), (64, 73), (96, 110), (128, 146), (240, 274), (299, 342), (384, 439)],
)
def test_a_resize_stays_256_of_224_whatever_the_crop(crop: int, resize: int) -> None:
    for preset in (CAFFE, TORCH, PREPROCESS_PRESETS["tf"]):
        fitted = fit_crop(preset, (crop, crop))
        assert (fitted.resize_height, fitted.resize_width) == (resize, resize)
        assert (fitted.crop_height, fitted.crop_width) == (crop, crop)
    for whole in (CLIP, SIGLIP, UDACITY):
        fitted = fit_crop(whole, (crop, crop))
        assert (fitted.resize_height, fitted.resize_width) == (crop, crop)


def test_a_recipe_with_another_ratio_keeps_it_and_one_that_fits_is_left_alone() -> None:
    # torchvision's newer weights take 224 of 232, Inception v3 299 of 342.
    assert fit_crop(dataclasses.replace(TORCH, resize_height=232, resize_width=232), (448, 448)) == (
        dataclasses.replace(TORCH, resize_height=464, resize_width=464, crop_height=448, crop_width=448)
    )
    odd = dataclasses.replace(TORCH, resize_height=342, resize_width=342, crop_height=299, crop_width=299)
    assert fit_crop(odd, (299, 299)) == odd
    assert fit_crop(CAFFE, (227, 227)) == CAFFE
    assert (
        fit_crop(TORCH, (128, 256))
        .describe()
        .startswith("short to cover 146x293 bilinear, centre crop 128x256")
    )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--mean", "0.5", "--scale", "1/255"], {"mean": (0.5, 0.5, 0.5), "scale": 1 / 255}),
        (["--mean", "127", "--std", "128"], {"mean": (127,) * 3, "std": (128,) * 3, "scale": 1.0}),
        (["--mean", "123.7, 116.3, 103.5"], {"mean": (123.7, 116.3, 103.5), "scale": 1.0}),
        (["--scale", "1/127.5", "--mean", "1"], {"mean": (1, 1, 1), "scale": 1 / 127.5}),
        (["--mean", "104,117,123", "--std", "1/0.017", "--order", "BGR"], {"std": (1 / 0.017,) * 3}),
        (["--std", "255"], {"scale": 1.0, "mean": (0, 0, 0), "std": (255,) * 3}),
        (["--mean", "0"], {"scale": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}),
        # Numbers of the range 0-1 are of pixels in 0-1.
        (["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"], {"scale": 1 / 255}),
        (["--std", "0.5"], {"scale": 1 / 255, "std": (0.5,) * 3}),
    ],
)
def test_numbers_are_taken_as_they_are_written(
    tmp_path: Path, options: list[str], wanted: dict[str, object]
) -> None:
    spec = stated(*options, folder=tmp_path)
    assert {name: getattr(spec, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--preprocess", "caffe"], fit_crop(CAFFE, (32, 32))),
        (["--preprocess", "siglip"], fit_crop(SIGLIP, (32, 32))),
        (
            ["--preprocess", "torch", "--mean", "0.5", "--interpolation", "bicubic", "--no-antialias"],
            dataclasses.replace(
                fit_crop(TORCH, (32, 32)), mean=(0.5,) * 3, interpolation="bicubic", antialias=False
            ),
        ),
        # Numbers belong to channels: they are turned with the order.
        (
            ["--preprocess", "caffe", "--order", "RGB"],
            dataclasses.replace(fit_crop(CAFFE, (32, 32)), channel_order="RGB", mean=CAFFE.mean[::-1]),
        ),
        (
            ["--preprocess", "torch", "--order", "BGR", "--mean", "0.406,0.456,0.485"],
            dataclasses.replace(
                fit_crop(TORCH, (32, 32)),
                channel_order="BGR",
                mean=(0.406, 0.456, 0.485),
                std=TORCH.std[::-1],
            ),
        ),
        # A stated mean takes the place of each image's own.
        (
            ["--preprocess", "udacity", "--mean", "120"],
            PreprocessSpec("warp", 32, 32, 32, 32, "RGB", mean=(120, 120, 120)),
        ),
        (["--preprocess", "caffe", "--resize", "warp"], fit_crop(CAFFE, (32, 32))),
        (
            ["--preprocess", "caffe", "--resize", "short"],
            dataclasses.replace(fit_crop(CAFFE, (32, 32)), resize="short"),
        ),
        (
            ["--preprocess", "siglip", "--resize", "short"],
            dataclasses.replace(fit_crop(SIGLIP, (32, 32)), resize="short"),
        ),
        (
            ["--preprocess", "torch", "--resize", "pad"],
            dataclasses.replace(fit_crop(TORCH, (32, 32)), resize="pad", resize_height=32, resize_width=32),
        ),
        (
            ["--preprocess", "torch", "--resize", "warp:40x36"],
            dataclasses.replace(fit_crop(TORCH, (32, 32)), resize="warp", resize_height=40, resize_width=36),
        ),
        (["--mean", "0"], PreprocessSpec("short", 37, 37, 32, 32, "RGB")),
        (["--mean", "0", "--resize", "warp"], PreprocessSpec("warp", 32, 32, 32, 32, "RGB")),
        (["--mean", "0", "--resize", "short:34"], PreprocessSpec("short", 34, 34, 32, 32, "RGB")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_change_single_fields_of_a_preset(
    tmp_path: Path, options: list[str], wanted: PreprocessSpec
) -> None:
    assert stated(*options, folder=tmp_path) == wanted


@pytest.mark.parametrize(
    ("options", "size", "resize"),
    [
        (["--preprocess", "torch", "--resize", "warp"], (128, 256), ("warp", 128, 256)),
        (["--preprocess", "torch", "--resize", "pad"], (128, 256), ("pad", 128, 256)),
        (["--preprocess", "torch"], (128, 256), ("short", 146, 293)),
        (["--preprocess", "caffe"], (128, 256), ("warp", 146, 293)),
        (["--preprocess", "siglip"], (256, 128), ("warp", 256, 128)),
        (["--preprocess", "torch", "--resize", "warp:150x280"], (128, 256), ("warp", 150, 280)),
    ],
)
def test_an_input_that_is_not_square(
    tmp_path: Path, options: list[str], size: tuple[int, int], resize: tuple[str, int, int]
) -> None:
    spec = stated(*options, folder=tmp_path, shape=("N", 3, *size))
    assert (spec.crop_height, spec.crop_width) == size
    assert (spec.resize, spec.resize_height, spec.resize_width) == resize


def test_a_graph_that_takes_any_size_is_given_the_crop(tmp_path: Path) -> None:
    free = ("N", 3, "h", "w")
    spec = stated("--preprocess", "torch", "--crop", "96", folder=tmp_path, shape=free)
    assert spec == fit_crop(TORCH, (96, 96))
    spec = stated("--preprocess", "siglip", "--crop", "64x96", folder=tmp_path, shape=free)
    assert spec == fit_crop(SIGLIP, (64, 96))
    assert stated("--preprocess", "torch", folder=tmp_path, shape=free) == TORCH


WRONG = {
    "two numbers": (["--mean", "0.1,0.2"], "--mean '0.1,0.2' was found; give one number, or three"),
    "four numbers": (["--std", "1,2,3,4"], "not 4"),
    "not a number": (["--mean", "nan"], "--mean 'nan' was found; give a finite number"),
    "an endless number": (["--mean", "0,0,1e400"], "a finite number"),
    "a deviation of zero": (["--std", "1,0,1"], "--std '1,0,1' was found; give a number above 0"),
    "a negative scale": (["--scale", "-1/255"], "--scale '-1/255' was found; give a number above 0"),
    "a fraction of nothing": (["--scale", "1/0"], "a finite number, or a fraction such as 1/255"),
    "words": (["--scale", "units"], "such as 1/255"),
    "an unknown resize": (["--resize", "fit"], "warp, short or pad"),
    "a resize of no size": (["--resize", "warp:"], "warp, short or pad, or one with a size"),
    "a crop of nothing": (["--crop", "0"], "a size in pixels, 1 to 16384"),
    "a crop of three sides": (["--crop", "1x2x3"], "height first"),
    "an absurd crop": (["--crop", "99999999"], "1 to 16384"),
    "a mean image that is not there": (["--mean", "mean.png"], r"or a mean image \(.binaryproto\)"),
    "an order given twice": (["--order", "RGB", "--order", "BGR"], "--order was given 2 times"),
    "a scale given twice": (["--scale", "1", "--scale=1/255"], "--scale was given 2 times"),
    "both of a pair": (["--antialias", "--no-antialias"], "--antialias was given 2 times"),
    "a crop that is not the graph's": (
        ["--preprocess", "torch", "--crop", "64"],
        "--crop 64 was found, and the network takes 32 alone",
    ),
    "a resize below the crop": (
        ["--preprocess", "torch", "--resize", "short:20"],
        "does not fit into a resize of 20x20",
    ),
    "levels on units": (
        ["--preprocess", "torch", "--mean", "123.675,116.28,103.53"],
        r"123.675,116.28,103.53 .* pixels times 0.00392157 are 0 to 1: no pixel is that",
    ),
    "levels on a stated scale": (["--mean", "104,117,123", "--scale", "0.017"], "give --scale 1 --std 1/s"),
    "an offset of the other sign": (["--mean", "-1", "--scale", "1/127.5"], "no pixel is that"),
    "units on levels": (
        ["--preprocess", "caffe", "--mean", "0.406,0.456,0.485"],
        "pixels times 1 are 0 to 255: almost nothing is subtracted. Numbers of the range 0-1 need --scale 1/",
    ),
    "a deviation of units on levels": (
        ["--preprocess", "caffe", "--std", "0.225"],
        r"fed numbers that span 1.13e\+03",
    ),
    "a deviation of levels on units": (
        ["--preprocess", "torch", "--std", "58"],
        "fed numbers that span 0.0172",
    ),
    "geometry alone": (
        ["--resize", "warp", "--order", "BGR"],
        "--preprocess caffe .*, or with --mean, --std and --scale",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_a_message_and_nothing_is_stored(tmp_path: Path, case: str) -> None:
    options, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        stated(*options, folder=tmp_path)
    assert store.names() == []


def noted(options: PreprocessOptions, size: tuple[int, int] | None = (32, 32)) -> list[str]:
    notes: list[str] = []
    options.spec(size, notes.append)
    return notes


def test_what_was_chosen_for_the_user_is_said() -> None:
    assert noted(PreprocessOptions(mean=UNITS)) == [
        "not stated, so taken: --order RGB, --scale 1/255, --std 1, --resize short:37, "
        "--interpolation bilinear"
    ]
    free = noted(
        PreprocessOptions(mean=(127, 127, 127), std=(128, 128, 128), order="RGB", resize="warp"), None
    )
    assert free == [
        "not stated, so taken: --scale 1, --resize warp:224, --crop 224, --interpolation bilinear"
    ]
    assert noted(PreprocessOptions(TORCH)) == []


def test_doubtful_numbers_are_done_as_stated_where_the_scale_is_stated_too() -> None:
    (note, *_) = noted(PreprocessOptions(mean=UNITS, scale=1.0))
    assert "almost nothing is subtracted. It is done as stated" in note
    (note,) = noted(PreprocessOptions(TORCH, scale=1.0))
    assert "0.485,0.456,0.406" in note


def test_a_mean_that_is_bluer_than_photographs_is_pointed_at() -> None:
    (note,) = noted(PreprocessOptions(CAFFE, mean=LEVELS))
    assert "in the order BGR is brighter in blue than in red" in note
    assert "--order RGB" in note
    (note,) = noted(PreprocessOptions(TORCH, mean=UNITS[::-1]))
    assert "--order BGR" in note
    assert (
        noted(PreprocessOptions(CAFFE, mean=LEVELS[::-1]))
        == noted(PreprocessOptions(TORCH, mean=UNITS))
        == []
    )


def test_numbers_for_a_graph_that_does_it_itself_are_refused_and_geometry_is_taken(tmp_path: Path) -> None:
    path = matlab(BYTE_MEAN, tmp_path)
    for options in (PreprocessOptions(mean=LEVELS), PreprocessOptions(TORCH, scale=1 / 255)):
        with pytest.raises(
            UsageError, match="'data_Sub' normalises the image itself, and is fed 0-255; leave out"
        ):
            import_network(path, "net", ImportOptions(preprocess=options, layer="pool"))
    short = import_network(
        path, "net", ImportOptions(preprocess=PreprocessOptions(resize="short"), layer="pool")
    ).spec
    assert short.preprocess == PreprocessSpec("short", SIZE, SIZE, SIZE, SIZE, "RGB")
    turned = PreprocessOptions(order="BGR", interpolation="bicubic")
    spec = import_network(path, "net", ImportOptions(preprocess=turned, layer="pool", replace=True)).spec
    assert (spec.preprocess.channel_order, spec.preprocess.interpolation) == ("BGR", "bicubic")


def test_a_graph_that_does_it_itself_is_asked_for_its_geometry(tmp_path: Path) -> None:
    made = model(
        [NODE("Div", ["data", "most"], ["unit"]), *trunk("unit")],
        arrays={"most": np.full(1, 255, np.float32)},
    )
    made.graph.output[0].name = "pool"
    path = write(made, tmp_path)
    with pytest.raises(
        UsageError, match=r"'unit' normalises the image itself; say how .* with --resize or a --pre"
    ):
        import_network(path, "net", ImportOptions(layer="pool"))
    notes: list[str] = []
    options = PreprocessOptions(resize="warp", order="RGB")
    stored = import_network(path, "net", ImportOptions(preprocess=options, layer="pool"), notify=notes.append)
    assert stored.spec.preprocess == PreprocessSpec("warp", SIZE, SIZE, SIZE, SIZE, "RGB")
    assert notes[0].startswith("net.onnx: not stated, so taken: ")


def test_a_graph_of_bytes_needs_no_numbers(tmp_path: Path) -> None:
    nodes = [NODE("Cast", ["data"], ["floats"], to=TensorProto.FLOAT), *trunk("floats")]
    made = model(nodes, kind=TensorProto.UINT8, outputs=["pool"], arrays=None)
    for tensor in made.graph.initializer:
        tensor.CopyFrom(next(t for t in model(trunk()).graph.initializer if t.name == tensor.name))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    path = write(made, tmp_path)
    options = PreprocessOptions(resize="warp")
    assert import_network(
        path, "net", ImportOptions(preprocess=options, layer="pool")
    ).spec.preprocess == PreprocessSpec("warp", SIZE, SIZE, SIZE, SIZE, "RGB")
    with pytest.raises(UsageError, match="takes uint8 pixels itself"):
        import_network(path, "other", ImportOptions(preprocess=PreprocessOptions(mean=LEVELS), layer="pool"))


def test_options_change_what_the_catalogue_knows_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dataclasses.replace(catalog.entry("googlenet"), layers=(("pool", 64),), default_layer="pool")
    monkeypatch.setattr(catalog, "by_file", lambda **hashes: (known,))
    path = write(model(trunk(), outputs=["pool"]), tmp_path)
    spec = import_network(
        path, "net", ImportOptions(preprocess=PreprocessOptions(interpolation="bicubic"))
    ).spec
    assert known.preprocess is not None
    wanted = dataclasses.replace(fit_crop(known.preprocess, (SIZE, SIZE)), interpolation="bicubic")
    assert spec.preprocess == wanted


def test_whole_numbers_give_the_fingerprint_of_decimal_ones() -> None:
    whole = PreprocessOptions(mean=(127, 127, 127), std=(128, 128, 128), scale=1).spec(None)
    decimal = PreprocessOptions(mean=(127.0,) * 3, std=(128.0,) * 3, scale=1.0).spec(None)
    assert fingerprint("layer", whole) == fingerprint("layer", decimal)


def test_options_change_an_alexnets_own_preprocessing(tmp_path: Path) -> None:
    layers = caffe_files.alexnet(units=(2, 2, 2))[:15]
    weights, text = write_caffe(tmp_path, layers, (1, 3, 227, 227))
    wanted = dataclasses.replace(CAFFE, channel_order="RGB", mean=CAFFE.mean[::-1])
    for prototxt in (text, None):
        spec = import_network(
            weights,
            "net",
            ImportOptions(prototxt=prototxt, preprocess=PreprocessOptions(order="RGB"), replace=True),
        ).spec
        assert (spec.arch, spec.preprocess) == ("alexnet", wanted)
        with pytest.raises(UsageError, match="the network takes 227 alone"):
            import_network(
                weights, "x", ImportOptions(prototxt=prototxt, preprocess=PreprocessOptions(crop=(224, 224)))
            )


def test_a_mean_image_is_on_the_stated_scale_and_order(tmp_path: Path) -> None:
    mean = tmp_path / "mean.binaryproto"
    mean.write_bytes(caffe_files.blob(np.array([51, 102, 153], np.float32).reshape(1, 3, 1, 1)))
    spec = stated("--mean", str(mean), "--scale", "1/255", "--order", "RGB", folder=tmp_path)
    assert spec.mean == pytest.approx((0.6, 0.4, 0.2))
    assert stated("--mean", str(mean), folder=tmp_path).mean == (51, 102, 153)


@pytest.mark.parametrize(
    "wrong",
    [
        {"std": (1.0, 0.0, 1.0)},
        {"scale": float("nan")},
        {"scale": 0.0},
        {"mean": (0.0, float("inf"), 0.0)},
        {"crop_height": 0, "crop_width": 0},
    ],
)
def test_no_preprocessing_has_numbers_that_nothing_can_be_computed_with(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        dataclasses.replace(TORCH, **wrong)  # type: ignore[arg-type]
