"""PyTorch's files: both formats against a hand-written writer, and against PyTorch where it is there."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.weights.torch_file import read_torch
from tests.support.models import weights_files as wf

BOTH = {"zip": wf.torch_zip, "legacy": wf.torch_legacy}
ARRAYS: dict[str, Any] = {
    "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array([1.5, -0.0, 3e300]),
    "c": np.array([[1], [2]], np.float16),
    "d": np.array(7, np.int64),
    "e": np.empty((0, 5), np.float32),
}


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].shape == array.shape
        assert found[key].astype("<f8").tobytes() == array.astype("<f8").tobytes()


@pytest.mark.parametrize("form", BOTH)
def test_arrays_of_every_float_type_come_back_bit_identical(tmp_path: Path, form: str) -> None:
    same(read_torch(saved(tmp_path / "x.pth", BOTH[form](ARRAYS))), ARRAYS)


@pytest.mark.parametrize("folder", ["archive", "alexnet-owt-7be5be79", "mit Leerzeichen é"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_inner_folder_may_have_any_name_and_be_compressed(
    tmp_path: Path, folder: str, compression: int
) -> None:
    data = wf.torch_zip(ARRAYS, folder=folder, compression=compression)
    same(read_torch(saved(tmp_path / "weights", data)), ARRAYS)


def test_big_endian_files_are_turned(tmp_path: Path) -> None:
    array = np.array([1.25, -2.5], np.float32)
    pickled = wf.p_state_dict({"w": wf.p_tensor("k", array)})
    raw = array.astype(">f4").tobytes()
    zipped = wf.torch_zip_of(pickled, {"k": raw}, byteorder="big")
    legacy = wf.torch_legacy_of(pickled, {"k": (2, raw)}, little=False)
    for data in (zipped, legacy):
        same(read_torch(saved(tmp_path / "x.pth", data)), {"w": array})


def test_files_of_before_the_byteorder_entry_are_little_endian(tmp_path: Path) -> None:
    array = np.array([1.25], np.float32)
    data = wf.torch_zip_of(
        wf.p_state_dict({"w": wf.p_tensor("0", array)}), {"0": array.tobytes()}, byteorder=None
    )
    same(read_torch(saved(tmp_path / "x.pth", data)), {"w": array})


def test_views_of_one_storage_honour_offset_and_stride(tmp_path: Path) -> None:
    held = np.arange(20, dtype=np.float32)
    part = np.empty((2, 3), np.float32)
    pickled = wf.p_state_dict(
        {
            "turned": wf.p_tensor("0", part, offset=4, stride=(1, 5), count=20),
            "row": wf.p_tensor("0", np.empty(4, np.float32), offset=16, stride=(1,), count=20),
            "repeated": wf.p_tensor("0", np.empty((3, 2), np.float32), offset=7, stride=(0, 1), count=20),
        }
    )
    expected = {
        "turned": np.array([[4, 9, 14], [5, 10, 15]]),
        "row": held[16:],
        "repeated": np.array([[7, 8]] * 3),
    }
    zipped = wf.torch_zip_of(pickled, {"0": held.tobytes()})
    legacy = wf.torch_legacy_of(pickled, {"0": (20, held.tobytes())})
    for data in (zipped, legacy):
        same(read_torch(saved(tmp_path / "x.pth", data)), expected)


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    values = np.array([1.0, -3.140625, 2.0**-126, np.inf], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    tensor = wf.p_tensor("0", values).replace(b"FloatStorage", b"BFloat16Storage")
    found = read_torch(
        saved(tmp_path / "x.pth", wf.torch_zip_of(wf.p_state_dict({"w": tensor}), {"0": halves}))
    )
    assert found["w"].dtype == np.float32
    assert found["w"].tobytes() == values.tobytes()


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoints_state_dict_is_unwrapped_though_other_tensors_lie_beside_it(
    tmp_path: Path, key: str
) -> None:
    inner = {"w": np.ones(3, np.float32)}
    checkpoint = wf.p_dict(
        {
            wf.p_text("epoch"): wf.p_int(90),
            wf.p_text("best_acc1"): wf.p_tensor("9", np.array(0.5, np.float32)),
            wf.p_text(key): wf.p_state_dict({"w": wf.p_tensor("0", inner["w"])}),
            wf.p_text("optimizer"): wf.p_dict({wf.p_text("state"): wf.p_dict({})}),
        }
    )
    data = wf.torch_zip_of(checkpoint, {"0": inner["w"].tobytes(), "9": struct.pack("<f", 0.5)})
    same(read_torch(saved(tmp_path / "x.pth", data)), inner)


def test_parameters_are_their_tensors(tmp_path: Path) -> None:
    array = np.ones(3, np.float32)
    hooks = wf.p_call(wf.p_name("collections", "OrderedDict"))
    wrapped = wf.p_call(
        wf.p_name("torch._utils", "_rebuild_parameter"), wf.p_tensor("0", array), wf.p_bool(True), hooks
    )
    data = wf.torch_zip_of(wf.p_dict({wf.p_text("w"): wrapped}), {"0": array.tobytes()})
    same(read_torch(saved(tmp_path / "x.pth", data)), {"w": array})


def tensor(shape: tuple[int, ...], **options: Any) -> bytes:
    """A tensor that claims a shape without there being an array of it."""
    claimed = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, [0] * len(shape))
    return wf.p_state_dict({"w": wf.p_tensor("0", claimed, count=4, **options)})


FOUR = np.zeros(4, np.float32).tobytes()


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (
            tensor((1 << 20, 1 << 20), stride=(0, 0)),
            r"its tensors claim 43980465111\d\d bytes, its storages hold 16",
        ),
        (tensor((5,), stride=(1,)), "reaches to number 4 of a storage of 4"),
        (tensor((2,), stride=(1,), offset=3), "reaches to number 4 of a storage of 4"),
        (tensor((2,), stride=(1 << 40,)), "reaches to number 1099511627776"),
        (tensor((2,), stride=(-1,), offset=3), "a negative or absurd size"),
        (tensor((2,), stride=(1,), offset=1 << 60), "a negative or absurd size"),
        (tensor((2,), stride=(1, 1)), "strides do not fit"),
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    tmp_path: Path, pickled: bytes, message: str
) -> None:
    for data in (wf.torch_zip_of(pickled, {"0": FOUR}), wf.torch_legacy_of(pickled, {"0": (4, FOUR)})):
        with pytest.raises(WeightsError, match=message):
            read_torch(saved(tmp_path / "x.pth", data))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    data = wf.torch_zip({"w": np.zeros(300_000, np.float32)}, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 1 << 14
    listing = data.index(b"PK\x01\x02")  # where each entry's size is declared
    bomb = data[:listing] + data[listing:].replace(struct.pack("<I", 1_200_000), struct.pack("<I", 1 << 31))
    with pytest.raises(
        UnsafeFileError, match=rf"archive of {len(data)} bytes that declares 214748\d+ unpacked"
    ):
        read_torch(saved(tmp_path / "x.pth", bomb))


def test_an_entry_that_claims_more_than_the_archive_has_is_refused(tmp_path: Path) -> None:
    data = wf.torch_zip({"w": np.zeros(4, np.float32)})
    at = data.rindex(b"PK\x01\x02")  # the central directory's last entry: its packed size is at 20
    damaged = data[: at + 20] + struct.pack("<I", 0x7FFFFFFF) + data[at + 24 :]
    with pytest.raises(UnsafeFileError, match="overlap or reach beyond its end"):
        read_torch(saved(tmp_path / "x.pth", damaged))


def test_what_is_no_state_dict_is_named(tmp_path: Path) -> None:
    array = np.ones(2, np.float32)
    lone = wf.torch_zip_of(wf.p_tensor("0", array), {"0": array.tobytes()})
    with pytest.raises(WeightsError, match=r"no state dict but a tensor.*torch\.save\(model\.state_dict"):
        read_torch(saved(tmp_path / "x.pth", lone))
    other = wf.torch_zip_of(wf.p_dict({wf.p_text("epoch"): wf.p_int(3)}), {})
    with pytest.raises(WeightsError, match="no state dict; it holds epoch"):
        read_torch(saved(tmp_path / "x.pth", other))
    scripted = wf.torch_zip_of(wf.p_dict({}), {"constants.pkl": b""})
    with pytest.raises(WeightsError, match="a TorchScript archive, which is code"):
        read_torch(saved(tmp_path / "x.pth", scripted))
    np.savez(tmp_path / "x.npz", w=array)
    with pytest.raises(WeightsError, match="a zip archive that PyTorch did not save"):
        read_torch(tmp_path / "x.npz")


def test_missing_and_shortened_storages_are_named(tmp_path: Path) -> None:
    pickled = wf.p_state_dict({"w": wf.p_tensor("0", np.ones(4, np.float32))})
    with pytest.raises(WeightsError, match="lacks data/0"):
        read_torch(saved(tmp_path / "x.pth", wf.torch_zip_of(pickled, {})))
    with pytest.raises(WeightsError, match="data/0 has 12 bytes, needed 16"):
        read_torch(saved(tmp_path / "x.pth", wf.torch_zip_of(pickled, {"0": FOUR[:12]})))
    for storages in ({"0": (4, FOUR[:12])}, {"0": (3, FOUR)}):
        with pytest.raises(WeightsError, match="storage 0 is cut off"):
            read_torch(saved(tmp_path / "x.pth", wf.torch_legacy_of(pickled, storages)))
    with pytest.raises(WeightsError, match="storages do not fit its tensors"):
        read_torch(saved(tmp_path / "x.pth", wf.torch_legacy_of(pickled, {"1": (4, FOUR)})))


def test_a_changed_byte_of_the_data_is_found_by_the_archives_checksum(tmp_path: Path) -> None:
    data = wf.torch_zip({"w": np.full(4, 1.5, np.float32)})
    at = data.index(np.full(4, 1.5, np.float32).tobytes())
    damaged = data[:at] + b"\x01" + data[at + 1 :]
    with pytest.raises(WeightsError, match=r"a damaged zip archive.*CRC"):
        read_torch(saved(tmp_path / "x.pth", damaged))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_torch_save_writes_is_read_as_torch_load_reads_it(
    tmp_path: Path, zipped: bool, protocol: int
) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    base = torch.randn(6, 10)
    values = {
        "f64": torch.randn(3, dtype=torch.float64),
        "f16": torch.randn(2, 3).half(),
        "bf16": torch.randn(2, 3).bfloat16(),
        "turned": base.t(),
        "part": base[2:5, ::3],
        "shared": base,
        "expanded": torch.randn(1, 4).expand(3, 4),
        "parameter": torch.nn.Parameter(torch.randn(4)),
        "count": torch.tensor(3),
        "flag": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
        "channels_last": torch.randn(1, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    if zipped:  # PyTorch 2.13 cannot read back its own legacy files of these
        values["untyped storage"] = torch.tensor([[1, 65535]], dtype=torch.uint16)
    path = tmp_path / "x.pth"
    torch.save(values, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    expected = {key: v.detach().float().numpy() for key, v in torch.load(path, weights_only=False).items()}
    found = read_torch(path)
    assert list(found) == list(values)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key].astype(np.float32), array, err_msg=key)


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_and_whole_models_of_torch(tmp_path: Path, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 3, 3, 6)).sum().backward()
    optimizer.step()
    path = tmp_path / "x.pth"
    checkpoint = {"epoch": 1, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    for content in (model.state_dict(), checkpoint):
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        same(read_torch(path), {key: value.numpy() for key, value in model.state_dict().items()})
    torch.save(model, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError, match=r"torch\.save\(model\.state_dict\(\)"):
        read_torch(path)
