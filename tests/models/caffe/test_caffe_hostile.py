"""Caffe's binary files, damaged or made to harm: a result or an error of ours, in bounded time and memory."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import checker

from fc7.models.caffe.graph import build_caffe_graph
from fc7.models.common.errors import Fc7Error, UnsafeFileError, WeightsError
from fc7.models.weights.caffe_model import read_caffemodel, read_mean
from fc7.models.weights.reading import read_weights
from fc7.models.weights.sniffing import sniff
from tests.support.models.caffe_files import Layer, alexnet, blob, caffemodel, chunk, number, prototxt, varint
from tests.support.models.caffe_nets import googlenet, resnet
from tests.support.models.caffe_running import write

SMALL = alexnet((4, 4, 4, 4, 4), (3, 3, 3), side=2)
DIMS = (1, 3, 99, 99)
ONES = np.ones((2, 3), np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A file that may be read within 30 s and 50 MB of memory."""
    tracemalloc.start()
    start = time.perf_counter()
    yield tmp_path / "file.caffemodel"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert time.perf_counter() - start < 30


def layer_of(*blobs: bytes) -> bytes:
    return chunk(100, chunk(1, b"conv1"), chunk(2, b"Convolution"), *(chunk(7, part) for part in blobs))


HOSTILE = {
    "2^60 elements": layer_of(blob(ONES, dims=(1 << 30, 1 << 30))),
    "2^63 elements": layer_of(blob(ONES, dims=(1 << 62, 2))),
    "a negative size": layer_of(blob(ONES, dims=(-2, -3))),
    "a product that wraps around": layer_of(blob(ONES, dims=(1 << 32, 1 << 32, 6))),
    "a thousand dimensions": layer_of(blob(ONES, dims=(1,) * 1000 + (6,))),
    "fewer values than its shape": layer_of(blob(ONES, dims=(7,))),
    "four old sizes too large": layer_of(number(1, 1 << 60) + chunk(5, b"1234")),
    "half a number": layer_of(chunk(5, b"12345") + chunk(7, chunk(1, b"\x01"))),
    "a length beyond the file": chunk(100, chunk(1, b"conv1"))
    + varint(100 << 3 | 2)
    + varint(1 << 60)
    + b"x",
    "a length beyond its layer": chunk(100, varint(7 << 3 | 2) + varint(50) + b"short"),
    "a number without an end": chunk(100, chunk(1, b"c")) + b"\x80" * 30,
    "a field of number 0": chunk(100, chunk(1, b"c"), b"\x02\x00"),
    "a group, which Caffe never had": chunk(100, chunk(1, b"c"), b"\x0b\x0c"),
    "half a float": layer_of(varint(5 << 3 | 5) + b"ab"),
    "a shape of texts": layer_of(chunk(7, varint(1 << 3 | 5) + b"abcd") + chunk(5, b"1234")),
    "no layers": chunk(1, b"net") + number(5, 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_caffemodel_is_refused_by_name(name: str, path: Path) -> None:
    path.write_bytes(HOSTILE[name])
    with pytest.raises(WeightsError, match=r"file\.caffemodel: "):
        read_caffemodel(path)


def test_hundreds_of_thousands_of_fields_are_refused(path: Path) -> None:
    path.write_bytes(chunk(100, chunk(1, b"conv1")) + b"\x28\x01" * 150_000)
    with pytest.raises(UnsafeFileError, match="more than 100000 fields"):
        read_caffemodel(path)


def test_a_shape_of_hundreds_of_thousands_of_sizes_is_refused(path: Path) -> None:
    path.write_bytes(layer_of(chunk(7, chunk(1, b"\x01" * 150_000)) + chunk(5, b"1234")))
    with pytest.raises(UnsafeFileError, match="more than 100000 fields"):
        read_caffemodel(path)


def test_runs_of_single_values_broken_by_other_fields_are_joined_in_order(path: Path) -> None:
    values = np.arange(200_000, dtype=np.float32)
    tag, raw = b"\x2d", values.tobytes()
    singles = [tag + raw[i : i + 4] for i in range(0, len(raw), 4)]
    singles[1000] = number(6000, 1) + singles[1000]  # a field that is not known
    singles[1001] = chunk(5, raw[4004:4008])
    path.write_bytes(layer_of(b"".join(singles) + chunk(7, chunk(1, varint(200_000)))))
    (layer,) = read_caffemodel(path)
    np.testing.assert_array_equal(layer.blobs[0].array, values)


def test_fields_that_are_not_known_are_passed_over(path: Path) -> None:
    extra = number(9000, 5) + chunk(9001, b"any\x00thing") + varint(9002 << 3 | 1) + b"12345678"
    nested = chunk(101, chunk(101, chunk(101, b"\xff" * 50)))
    body = chunk(100, extra, chunk(1, b"fc6"), chunk(2, b"InnerProduct"), chunk(7, extra, blob(ONES)))
    path.write_bytes(extra + nested + body)
    (layer,) = read_caffemodel(path)
    assert (layer.name, layer.type) == ("fc6", "InnerProduct")
    np.testing.assert_array_equal(layer.blobs[0].array.reshape(2, 3), ONES)


def test_nesting_of_any_depth_costs_nothing(path: Path) -> None:
    deep = b""
    for _ in range(2000):
        deep = chunk(117, deep)
    path.write_bytes(chunk(100, chunk(1, b"fc6"), deep, chunk(7, blob(ONES))))
    assert read_caffemodel(path)[0].blobs[0].shape == (2, 3)


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_cut_anywhere_is_a_result_or_an_error_of_ours(version: int, tmp_path: Path) -> None:
    whole = caffemodel(SMALL, version=version)
    weights, text = write(tmp_path, SMALL, DIMS, version=version)
    for seventh in range(7):
        weights.write_bytes(whole[: len(whole) * seventh // 7])
        with pytest.raises(WeightsError):
            build_caffe_graph(weights, text)
        with pytest.raises(WeightsError):
            read_weights(weights, "alexnet")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_file_with_flipped_bytes_is_a_result_or_an_error_of_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    layers = SMALL[:4]
    raw = bytearray(caffemodel(layers, version=data.draw(st.sampled_from([0, 1, 2]))))
    # Most bytes are weights, so half of the flips aim at what lies around them.
    ends = [i for i in range(len(raw)) if i < 60 or i > len(raw) - 120]
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.sampled_from(ends) | st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("flips", numbered=True)
    weights, text = folder / "net.caffemodel", folder / "deploy.prototxt"
    weights.write_bytes(raw)
    text.write_text(prototxt(layers, DIMS))
    for attempt in (lambda: build_caffe_graph(weights, text), lambda: read_weights(weights, "alexnet")):
        said = ""
        try:
            attempt()
        except Fc7Error as exc:
            said = str(exc)
        assert "\n" not in said


PARTS = {
    "googlenet": (googlenet(61), (1, 3, 61, 61)),
    "resnet": (resnet(), (1, 3, 41, 41)),
}


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_number_in_a_description_gives_a_graph_or_an_error_of_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    layers, dims = PARTS[data.draw(st.sampled_from(sorted(PARTS)))]
    text = prototxt(layers, dims)
    found = data.draw(st.sampled_from(list(re.finditer(r": (-?[0-9][0-9.]*|[A-Z]+|true)\n", text))))
    odd = [
        "0",
        "-1",
        "2",
        "3",
        "7",
        "1.5",
        "16384",
        "2147483648",
        "9223372036854775807",
        "1e30",
        "inf",
        "MAX",
    ]
    start, end = found.span(1)
    folder = tmp_path_factory.getbasetemp()
    (folder / "odd.caffemodel").write_bytes(caffemodel(layers))
    (folder / "odd.prototxt").write_text(text[:start] + data.draw(st.sampled_from(odd)) + text[end:])
    said = ""
    try:
        checker.check_model(build_caffe_graph(folder / "odd.caffemodel", folder / "odd.prototxt"))
    except Fc7Error as exc:
        said = str(exc)
    assert "\n" not in said


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_mean_or_an_error_of_ours(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.binaryproto"
    path.write_bytes(raw)
    with pytest.raises(WeightsError):
        read_mean(path)


@pytest.mark.parametrize("legacy", [True, False])
def test_the_mean_of_a_mean_image_is_one_number_a_channel(legacy: bool, tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(90, 130, (1, 3, 256, 256)).astype(np.float32)
    path = tmp_path / "imagenet_mean.binaryproto"
    path.write_bytes(blob(image, legacy=legacy))
    expected = [float(sum(map(float, image[0, c].ravel())) / 65536) for c in range(3)]
    np.testing.assert_allclose(read_mean(path), expected, rtol=1e-9)
    path.write_bytes(blob(image[0].astype(np.float64)))
    np.testing.assert_allclose(read_mean(path), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "array", [np.ones((1, 1, 4, 4)), np.ones((2, 3, 4, 4)), np.ones(3), np.full((3, 2, 2), np.nan)], ids=str
)
def test_what_is_no_mean_image_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(array))
    with pytest.raises(WeightsError, match=r"mean\.binaryproto: "):
        read_mean(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_mean(tmp_path / "gone.binaryproto")


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_caffemodel_is_known_by_its_content(version: int, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    for name in ("CaffeNet", "", "x" * 300):
        path.write_bytes(caffemodel(SMALL, version=version, name=name))
        assert sniff(path) == "caffe"


@pytest.mark.parametrize(
    "content",
    [
        prototxt(SMALL, DIMS).encode(),
        blob(np.ones((1, 3, 8, 8), np.float32), legacy=True),
        b"\n# a text that begins with an empty line",
        b"\x12\x08somebody",
        caffemodel([Layer("a", "ReLU", [], [])])[:3],
    ],
)
def test_other_files_are_not_taken_for_a_caffemodel(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"Weights are read from .*\.caffemodel"):
        sniff(path)


def test_a_file_of_two_gibibytes_is_refused_unread(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(layer_of(blob(ONES)))
        stream.truncate(1 << 31)  # sparse: it takes no space
    for read in (read_caffemodel, read_mean):
        with pytest.raises(WeightsError, match="cannot have 2 GiB or more"):
            read(path)
