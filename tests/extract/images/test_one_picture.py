"""One picture saved as an array is one row; an array that may be one or several is asked about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fc7.extract import load_features
from fc7.extract.images.decode import prepare
from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import ImageError, SourceError
from fc7.models.network.spec import PreprocessSpec
from tests.extract.inputs.arrays.test_arrays import labels, noise, pixels
from tests.extract.inputs.arrays.test_inputs_hdf5 import matlab_file
from tests.support import CommandLine


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("one")).with_tiny_network()


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (5, 7, 1), (1, 5, 7)])
@pytest.mark.parametrize("form", ["npy", "npz", "h5"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_picture_in_any_array_file_is_one_row(
    tmp_path: Path, shape: tuple[int, ...], form: str, order: Any
) -> None:
    picture = noise(*shape)
    save(tmp_path / f"a.{form}", np.asarray(picture, order=order))
    (image,) = list_inputs([tmp_path / f"a.{form}"]).images
    assert (image.path, image.label, image.size) == (f"a.{form}/000000", None, picture.size)
    np.testing.assert_array_equal(image.origin.read(image), picture.squeeze())


def save(path: Path, array: NDArray[Any], **more: NDArray[Any]) -> None:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, allow_pickle=False, x=array, **more)
    else:
        with h5py.File(path, "w") as file:
            for key, value in {"x": array, **more}.items():
                file[key] = value


@pytest.mark.parametrize("form", ["npz", "h5"])
@pytest.mark.parametrize(
    ("shape", "y", "count"),
    [
        ((3, 5, 7), np.array(1), 1),
        ((3, 5, 7), np.array([1]), 1),
        ((3, 5, 7), np.array([1, 1, 1]), 3),
        ((4, 5, 7), np.array([1]), 1),
        ((4, 5, 7), np.array([1, 1, 1, 1]), 4),
        ((9, 7, 2), np.full(9, 1), 9),
        ((3, 5, 7), np.eye(3)[[1, 1, 1]], 3),
        ((9, 7, 3), np.array([1]), 1),
        ((9, 7, 3), np.full((9, 1), 1), 9),
        ((3, 7, 3), np.array([1, 1, 1]), 3),
        ((9, 7), np.array([[1]]), 1),
    ],
)
def test_the_number_of_labels_tells_one_picture_from_several(
    tmp_path: Path, form: str, shape: tuple[int, ...], y: NDArray[Any], count: int
) -> None:
    array = noise(*shape)
    save(tmp_path / f"a.{form}", array, y=y)
    listing = list_inputs([tmp_path / f"a.{form}"])
    assert labels(listing) == ["1"] * count
    one = array.transpose(1, 2, 0) if shape[0] in (3, 4) else array
    np.testing.assert_array_equal(pixels(listing), one[None] if count == 1 else array)


def test_rows_of_flat_pictures_are_not_taken_for_one_picture(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", noise(6, 784), y=np.arange(6))
    with pytest.raises(SourceError, match=r"shape \(6, 784\) were found; \(N, H, W, 3 or 4\)"):
        list_inputs([tmp_path / "a.npz"])


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ((3, 20, 30), [1, 3]),
        ((4, 20, 30), [1, 4]),
        ((3, 20, 3), [1, 1]),
        ((3, 20, 4), [1, 1]),
        ((4, 20, 3), [1, 1]),
        ((4, 20, 4), [1, 1]),
    ],
)
def test_an_array_with_two_readings_names_them_and_what_to_save_for_each(
    cli: CommandLine, shape: tuple[int, ...], counts: list[int]
) -> None:
    x = noise(*shape)
    np.save(cli.folder / "x.npy", x)
    ran = cli("extract", "x.npy", "--network", "tiny", "-o", "x.h5")
    assert ran.code == 1
    assert f"x.npy: shape {shape} may be one picture" in ran.err
    advice = [text.split(" for ") for text in ran.err.strip().split("by what you save: ")[1].split("; ")]
    assert [shape[0] if "grey" in what else 1 for _, what in advice] == counts
    for number, (saved, what) in enumerate(advice):
        np.save(cli.folder / f"{number}.npy", eval(saved, {"x": x}))
        listing = list_inputs([cli.folder / f"{number}.npy"])
        expected = {"grey": x, "channels": x.transpose(1, 2, 0)[None], "rows": x[None]}
        key = next(key for key in expected if key in what.partition(",")[0])
        assert len(listing.images) == counts[number]
        np.testing.assert_array_equal(pixels(listing), expected[key])


def test_the_features_of_a_picture_are_the_same_from_an_array_and_from_a_png(cli: CommandLine) -> None:
    colour, clear, grey = noise(40, 50, 3), noise(40, 50, 4), noise(40, 50)
    for name, picture in (("colour", colour), ("clear", clear), ("grey", grey)):
        np.save(cli.folder / f"{name}.npy", picture)
        Image.fromarray(picture).save(cli.folder / f"{name}.png")
    np.savez(cli.folder / "first.npz", x=colour.transpose(2, 0, 1), y=["a"])
    np.savez(cli.folder / "stack.npz", x=clear[None], y=["a"])
    names = ["clear.npy", "colour.npy", "first.npz", "grey.npy", "stack.npz"]
    cli.good("extract", *names, "clear.png", "colour.png", "grey.png", "--network", "tiny", "-o", "f.h5")
    X, _, paths = load_features(cli.folder / "f.h5")
    rows = {
        str(path).removesuffix("/000000").rpartition("/")[2]: row for path, row in zip(paths, X, strict=True)
    }
    assert len(rows) == len(paths) == 8
    for array, png in zip(names, ("clear", "colour", "colour", "grey", "clear"), strict=True):
        np.testing.assert_array_equal(rows[array], rows[f"{png}.png"], array)


def test_what_was_taken_for_one_picture_is_said(tmp_path: Path) -> None:
    for name in ("a.npy", "a.npz", "a.h5"):
        save(tmp_path / name, noise(5, 7, 3))
    notes: list[str] = []
    list_inputs([tmp_path / "a.npy", tmp_path / "a.npz", tmp_path / "a.h5"], notify=notes.append)
    assert notes[:3] == [
        f"{tmp_path / 'a.npy'}: one picture without a label; --labels gives it",
        f"{tmp_path / 'a.npz'}: one picture from x, no labels",
        f"{tmp_path / 'a.h5'}: one picture from x, labels from nowhere",
    ]


@pytest.mark.parametrize("shape", [(5, 9, 3), (5, 9)])
def test_one_picture_of_matlab_is_turned_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = noise(*shape)
    path = matlab_file(tmp_path / "a.mat", images=picture, labels=np.array([[4.0]]))
    listing = list_inputs([path])
    np.testing.assert_array_equal(pixels(listing), picture[None])
    assert labels(listing) == ["4"]


def test_a_picture_of_two_columns_is_taken_for_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(9, 7, 2))
    with pytest.raises(SourceError, match=r"shape \(9, 7, 2\) were found; \(N, H, W, 3 or 4\)"):
        list_inputs([tmp_path / "a.npy"])


def test_four_planes_of_matlab_and_four_pictures_are_asked_apart(tmp_path: Path) -> None:
    x = noise(5, 9, 4)
    with pytest.raises(SourceError, match="one picture H x W x 4 of RGBA or 4 grey pictures; say") as asked:
        list_inputs([matlab_file(tmp_path / "a.mat", images=x)])
    # What MATLAB makes of the advice: three planes, a fourth dimension first; a third dimension of one.
    assert "permute(x(:, :, 1:3), [4 1 2 3]) for one picture" in str(asked.value)
    assert "reshape(x, size(x, 1), size(x, 2), 1, 4) for 4 grey" in str(asked.value)
    one = list_inputs([matlab_file(tmp_path / "one.mat", images=x[None, :, :, :3])])
    np.testing.assert_array_equal(pixels(one), x[None, :, :, :3])
    grey = list_inputs([matlab_file(tmp_path / "grey.mat", images=x[:, :, None])])
    np.testing.assert_array_equal(pixels(grey), x.transpose(2, 0, 1))
    labelled = list_inputs([matlab_file(tmp_path / "labelled.mat", images=x, labels=np.array([[2.0]]))])
    np.testing.assert_array_equal(pixels(labelled), x[None])


def test_three_pictures_of_matlab_and_one_are_asked_apart(tmp_path: Path) -> None:
    x = noise(5, 9, 3)
    with pytest.raises(
        SourceError, match="one picture H x W x 3 of RGB or 3 grey pictures; say which by"
    ) as asked:
        list_inputs([matlab_file(tmp_path / "a.mat", images=x)])
    assert "permute(x, [4 1 2 3]) for one picture" in str(asked.value)
    assert "reshape(x, size(x, 1), size(x, 2), 1, 3) for 3 grey" in str(asked.value)
    # What MATLAB makes of these: the fourth dimension first; a third dimension of one.
    one = list_inputs([matlab_file(tmp_path / "one.mat", images=x[None])])
    np.testing.assert_array_equal(pixels(one), x[None])
    grey = list_inputs([matlab_file(tmp_path / "grey.mat", images=x[:, :, None])])
    np.testing.assert_array_equal(pixels(grey), x.transpose(2, 0, 1))
    labelled = list_inputs([matlab_file(tmp_path / "three.mat", images=x, labels=np.arange(3.0)[:, None])])
    np.testing.assert_array_equal(pixels(labelled), x.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("uint16", [0, 257, 65535]),
        ("uint32", [0, 16843009, 4294967295]),
        ("bool", [0, 1]),
        ("float32", [0, 1]),
    ],
)
def test_the_advice_for_another_type_turns_its_range_into_0_to_255(
    cli: CommandLine, dtype: str, values: list[int]
) -> None:
    np.save(cli.folder / "typed.npy", np.zeros((2, 4, 4, 3), dtype))
    ran = cli("extract", "typed.npy", "--network", "tiny", "-o", "typed.h5")
    assert ran.code == 1
    assert f"images of type {dtype} were found, uint8 (0-255) is needed; if " in ran.err
    (advice, *others) = re.findall(r": ([^;:]*astype\('uint8'\))", ran.err.split("is needed")[1])
    x = np.array(values, dtype)
    turned = eval(advice, {"x": x})
    assert turned.dtype == np.uint8
    assert (turned[0], turned[-1]) == (0, 255)
    if dtype.startswith("uint"):
        assert turned[1] == 1
        assert others == ["x.astype('uint8')"]
    else:
        assert others == []


def test_signed_whole_numbers_are_not_multiplied(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4, 3), np.int64))
    with pytest.raises(SourceError, match=r"int64 .* if they lie in 0-255: x.astype\('uint8'\)$"):
        list_inputs([tmp_path / "a.npz"])


def test_python_callers_get_the_same_advice_and_alpha_on_white() -> None:
    spec = PreprocessSpec("warp", 4, 4, 4, 4, "RGB")
    with pytest.raises(ImageError, match=r"uint16; uint8 .*\(x // 257\)"):
        prepare(np.zeros((4, 4, 3), np.uint16), spec)
    with pytest.raises(ImageError, match=r"shape \(4, 4, 2\); \(h, w, 3\)"):
        prepare(np.zeros((4, 4, 2), np.uint8), spec)
    clear = noise(4, 4, 4)
    alpha = clear[..., 3:].astype(int)
    np.testing.assert_array_equal(
        prepare(clear, spec)[0], np.rint((clear[..., :3] * alpha + 255 * (255 - alpha)) / 255)
    )
