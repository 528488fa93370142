"""One door for every format: told by content, the same numbers through each."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.network.architectures import ARCHITECTURES
from fc7.models.network.canonical import KEYS, WeightsFile
from fc7.models.weights.reading import read_weights
from tests.support.models import weights_files as wf
from tests.support.models.weights_onnx_files import Dialect, alexnet

CONVS = KEYS[:10]


def trunk_of(arch: str) -> wf.Weights:
    """The five convolutions at full size: enough to tell the architecture, small enough to write often."""
    shapes = ARCHITECTURES[arch].weight_shapes()
    return wf.random_weights(
        {key.removesuffix(".weight"): shapes[key] for key in CONVS if key.endswith("weight")}
    )


@pytest.fixture(scope="module")
def bvlc() -> wf.Weights:
    return trunk_of("alexnet")


@pytest.fixture(scope="module")
def torchvision() -> wf.Weights:
    return trunk_of("alexnet-owt")


PLAIN = Dialect()
HELD = Dialect(hold="constant")


WRITERS: dict[str, tuple[str, Callable[[wf.Weights], bytes]]] = {
    "zip .pth": ("PyTorch state dict", lambda w: wf.torch_zip(wf.torchvision_names(w))),
    "legacy .pth": ("PyTorch state dict", lambda w: wf.torch_legacy(wf.torchvision_names(w))),
    ".safetensors": ("safetensors", wf.safetensors),
    ".npy": ("NumPy dict", wf.npy_dict_by_numpy),
    ".onnx": ("ONNX graph", lambda w: alexnet(w, PLAIN).SerializeToString()),
    ".onnx of constants": ("ONNX graph", lambda w: alexnet(w, HELD).SerializeToString()),
}


def read(folder: Path, data: bytes, arch: str | None = None, name: str = "weights.bin") -> WeightsFile:
    path = folder / name
    path.write_bytes(data)
    found = read_weights(path, arch)
    assert found is not None
    return found


@pytest.mark.parametrize("form", WRITERS)
def test_the_same_weights_are_bit_identical_through_every_format(
    tmp_path: Path, bvlc: wf.Weights, form: str
) -> None:
    called, write = WRITERS[form]
    found = read(tmp_path, write(bvlc), "alexnet", "a name without a suffix é")
    assert found.format == called
    assert found.arch == "alexnet"
    assert list(found.arrays) == list(bvlc)
    for key, array in bvlc.items():
        assert found.arrays[key].dtype == np.float32
        assert found.arrays[key].flags.c_contiguous
        assert found.arrays[key].tobytes() == array.tobytes()


def test_torchvisions_shapes_need_no_arch(tmp_path: Path, torchvision: wf.Weights) -> None:
    for form in ("zip .pth", "legacy .pth", ".safetensors"):
        assert read(tmp_path, WRITERS[form][1](torchvision)).arch == "alexnet-owt"


@pytest.mark.parametrize("form", ["zip .pth", ".safetensors"])
def test_bvlc_shapes_without_a_graph_ask_for_the_arch(tmp_path: Path, bvlc: wf.Weights, form: str) -> None:
    data = WRITERS[form][1](bvlc)
    with pytest.raises(UsageError, match=r"say which with --arch alexnet\|caffenet\|alexnet-tf"):
        read(tmp_path, data)
    assert read(tmp_path, data, "caffenet").arch == "caffenet"


def test_the_labs_dict_is_taken_for_bvlcs_and_says_so(tmp_path: Path, bvlc: wf.Weights) -> None:
    found = read(tmp_path, wf.npy_dict_by_numpy(bvlc))
    assert found.arch == "alexnet"
    assert "--arch alexnet-tf" in found.note
    assert read(tmp_path, wf.npy_dict_by_numpy(bvlc), "alexnet-tf").arch == "alexnet-tf"
    assert read(tmp_path, wf.npy_dict_by_numpy(bvlc), "alexnet-tf").note == ""


def test_a_graph_tells_alexnet_from_caffenet_and_the_labs(tmp_path: Path, bvlc: wf.Weights) -> None:
    dialects = {
        "alexnet": PLAIN,
        "caffenet": Dialect(order="pool, norm"),
        "alexnet-tf": Dialect(conv1=(4, 4)),
    }
    for arch, dialect in dialects.items():
        found = read(tmp_path, alexnet(bvlc, dialect).SerializeToString())
        assert (found.arch, found.note) == (arch, "")
    found = read(tmp_path, alexnet(bvlc, dialects["caffenet"]).SerializeToString(), "alexnet-tf")
    assert found.arch == "alexnet-tf"
    assert found.note == "the file's graph is that of caffenet, its weights were put into alexnet-tf's"


def test_a_graph_of_other_geometry_is_kept_unless_the_user_insists(
    tmp_path: Path, bvlc: wf.Weights, torchvision: wf.Weights
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(alexnet(bvlc, Dialect(conv1=(4, 1))).SerializeToString())
    assert read_weights(path) is None
    found = read_weights(path, "alexnet")
    assert found is not None
    assert found.note == "the file's graph is none of ours, its weights were put into alexnet's"
    path.write_bytes(alexnet(torchvision, Dialect(order="pool", conv1=(4, 2))).SerializeToString())
    found = read_weights(path)
    assert found is not None
    assert found.arch == "alexnet-owt"


def test_a_graph_that_is_no_alexnet_is_kept_and_refused_under_an_arch(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(alexnet(wf.small_weights(), Dialect(front=[("Neg", {})])).SerializeToString())
    assert read_weights(path) is None
    with pytest.raises(WeightsError, match="the graph is no caffenet: it has Neg before its first layer"):
        read_weights(path, "caffenet")


@pytest.mark.parametrize("form", WRITERS)
def test_an_arch_that_does_not_fit_is_refused_with_both_shapes(
    tmp_path: Path, bvlc: wf.Weights, form: str
) -> None:
    needed = r"conv1\.weight is \(96, 3, 11, 11\), alexnet-owt needs \(64, 3, 11, 11\)"
    with pytest.raises(WeightsError, match=needed):
        read(tmp_path, WRITERS[form][1](bvlc), "alexnet-owt")


def test_an_unknown_arch_is_named_before_the_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown architecture 'vgg16'"):
        read_weights(tmp_path / "missing", "vgg16")


def tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return target.getvalue()


STRANGERS = {
    "nothing": (b"", "an empty file"),
    "a web page": (b"<!doctype html><html>", "a web page; download the file itself"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
    "gzip": (gzip.compress(b"x" * 99), "packed with gzip"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file"),
    "MATLAB": (b"MATLAB 5.0 MAT-file" + bytes(600), "use exportONNXNetwork"),
    "tar": (tar(), "a tar archive, PyTorch's format of before 2017"),
    "a pickle": (pickle.dumps({"conv1": 1}), "a pickle that PyTorch did not save"),
    "a picture": (
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        r"10 bytes of a format that is not known, beginning with ff d8",
    ),
    "zeros": (bytes(1000), "a format that is not known"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_unknown_formats_are_named_with_those_that_are_read(tmp_path: Path, name: str) -> None:
    data, message = STRANGERS[name]
    with pytest.raises(WeightsError, match=f"{message}.*Weights are read from .*safetensors.*onnx"):
        read(tmp_path, data, name="weights.onnx")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read.*give the path of a weight file"):
        read_weights(tmp_path / "missing.pth")
    with pytest.raises(WeightsError, match=r"no file\. Weights are read from"):
        read_weights(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(WeightsError, match="no file"):
            read_weights(tmp_path / "pipe")


def test_an_onnx_file_may_begin_with_any_of_its_fields(tmp_path: Path, bvlc: wf.Weights) -> None:
    model = alexnet(bvlc)
    model.ClearField("ir_version")
    assert read(tmp_path, model.SerializeToString()).arch == "alexnet"
    model.ClearField("producer_name")
    model.doc_string = "x" * 300
    assert read(tmp_path, model.SerializeToString()).arch == "alexnet"
