"""PyTorch's `.pth`: state dicts of both of its formats, read without PyTorch and without its trust.

Formats: torch/serialization.py, `_save` (a zip archive, since 1.6) and `_legacy_save`. `torch.load` with
`weights_only` reads them, too; PyTorch (2.13 for the CPU) takes 699 MB, for one of the formats. `ptloader`
(0.3.0) refuses the second format, which EfficientNet-Lite's published weights have.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.floats import ByteOrder
from fc7.models.weights.pickles import load_plain
from fc7.models.weights.torch_tensors import TORCH_GLOBALS, Storage, StorageView, load_tensors, storage_of

ZIP_START = b"PK\x03\x04"
MAGIC = 0x1950A86A20F9469CFC6C  # torch/serialization.py, MAGIC_NUMBER
_PROTOCOL = 1001  # and PROTOCOL_VERSION
_ADVICE = (
    "A whole pickled model cannot be read safely: where it was trained, save its state dict alone, "
    "torch.save(model.state_dict(), 'weights.pth')"
)
# What training scripts call the state dict inside a larger checkpoint.
_NESTED = ("state_dict", "model_state_dict", "model", "net")
# Weights hardly compress; a declared size beyond this many times the file is a bomb.
_MOST_INFLATION, _FREE_BYTES = 16, 1 << 26
_MAX_PICKLE = 1 << 26
# What zipfile raises for a damaged archive; RuntimeError is its word for encryption.
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OSError, RuntimeError)


def read_torch(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict, by name.

    Parameters
    ----------
    path : Path
        Zip or legacy format. A checkpoint that holds the state dict under ``state_dict``,
        ``model_state_dict``, ``model`` or ``net`` is unwrapped.

    Returns
    -------
    dict of str to ndarray
        In the file's order. bfloat16 is widened to float32; other types are the file's.

    Raises
    ------
    UnsafeFileError
        If it asks for anything but tensors and plain containers, or would grow beyond measure.
    WeightsError
        If it is damaged or holds no state dict.
    """
    with path.open("rb") as stream:
        zipped = stream.read(4) == ZIP_START
        stream.seek(0)
        return _read_zip(stream, str(path)) if zipped else _read_legacy(stream, str(path))


def _read_zip(stream: BinaryIO, name: str) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(stream) as archive:
            return _read_archive(archive, name, stream.seek(0, 2))
    except _ZIP_DAMAGE as exc:
        raise WeightsError(f"{name}: a damaged zip archive ({exc}); fetch or copy the file again") from exc


def _read_archive(archive: zipfile.ZipFile, name: str, file_size: int) -> dict[str, NDArray[Any]]:
    entries = {info.filename: info for info in archive.infolist()}
    _check_sizes(archive.infolist(), name, file_size)
    folder = _inner_folder(list(entries), name)

    def read(entry: str, needed: int | None = None) -> bytes:
        info = entries.get(f"{folder}/{entry}")
        if info is None:
            raise WeightsError(f"{name}: lacks {listed([entry])}; the file is damaged")
        if needed is not None and info.file_size != needed:
            raise WeightsError(
                f"{name}: {listed([entry])} has {info.file_size} bytes, needed {needed}; the file is damaged"
            )
        return archive.read(info)

    if entries[f"{folder}/data.pkl"].file_size > _MAX_PICKLE:
        raise UnsafeFileError(f"{name}: a description of tensors of more than {_MAX_PICKLE} bytes; refused")
    big = f"{folder}/byteorder" in entries and read("byteorder").strip() == b"big"
    found = _load(BytesIO(read("data.pkl")), name)
    return load_tensors(
        _state_dict(found, name),
        lambda storage: read(f"data/{storage.key}", storage.n_bytes),
        ">" if big else "<",
        name=name,
    )


def _check_sizes(entries: list[zipfile.ZipInfo], name: str, file_size: int) -> None:
    declared = sum(info.file_size for info in entries)
    if declared > file_size * _MOST_INFLATION + _FREE_BYTES:
        raise UnsafeFileError(
            f"{name}: an archive of {file_size} bytes that declares {declared} unpacked; refused"
        )
    if sum(info.compress_size for info in entries) > file_size:
        raise UnsafeFileError(f"{name}: an archive whose entries overlap or reach beyond its end; refused")
    for info in entries:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WeightsError(f"{name}: packed by a method that PyTorch does not use; save it again")


def _inner_folder(entries: list[str], name: str) -> str:
    """The one folder that everything lies in: the name the file had when it was saved."""
    folders = [entry.removesuffix("/data.pkl") for entry in entries if entry.endswith("/data.pkl")]
    if any(entry.endswith("/constants.pkl") for entry in entries):
        raise WeightsError(f"{name}: a TorchScript archive, which is code. {_ADVICE}")
    if len(folders) != 1 or "/" in folders[0]:
        raise WeightsError(f"{name}: a zip archive that PyTorch did not save (no data.pkl in its one folder)")
    return folders[0]


def _read_legacy(stream: BinaryIO, name: str) -> dict[str, NDArray[Any]]:
    start = [_load(stream, name), _load(stream, name)]
    if not all(isinstance(number, int) for number in start) or start != [MAGIC, _PROTOCOL]:
        raise WeightsError(f"{name}: not PyTorch's format of before 1.6; fetch the file again")
    system = _load(stream, name)
    little = not isinstance(system, dict) or system.get("little_endian") is not False
    order: ByteOrder = "<" if little else ">"
    storages: dict[str, Storage] = {}

    def note(key: object) -> Storage:
        storage = storage_of(key)
        if storages.setdefault(storage.key, storage) != storage:
            raise ValueError("two storages under one key")
        return storage

    found = _load(stream, name, note)
    positions = _legacy_positions(stream, _load(stream, name), storages, order=order, name=name)

    def read(storage: Storage) -> bytes:
        stream.seek(positions[storage.key])
        return stream.read(storage.n_bytes)

    return load_tensors(_state_dict(found, name), read, order, name=name)


def _legacy_positions(
    stream: BinaryIO, keys: object, storages: dict[str, Storage], order: ByteOrder, name: str
) -> dict[str, int]:
    """Where each storage's numbers begin: they follow in the order of `keys`, each after its count."""
    known = isinstance(keys, list) and all(isinstance(key, str) and key in storages for key in keys)
    if not isinstance(keys, list) or not known or len(keys) != len(storages):
        raise WeightsError(f"{name}: its storages do not fit its tensors; the file is damaged")
    positions: dict[str, int] = {}
    here = stream.tell()
    end = stream.seek(0, 2)
    for key in keys:
        storage = storages[key]
        stream.seek(here)
        count = int.from_bytes(stream.read(8), "little" if order == "<" else "big")
        positions[storage.key] = here + 8
        here += 8 + storage.n_bytes
        if count != storage.count or here > end:
            raise WeightsError(f"{name}: storage {listed([key])} is cut off; fetch or copy the file again")
    return positions


def _load(stream: BinaryIO, name: str, storage: Callable[[object], Storage] = storage_of) -> object:
    return load_plain(
        stream, encoding="latin1", name=name, extra=TORCH_GLOBALS, persistent_load=storage, advice=_ADVICE
    )


def _state_dict(found: object, name: str) -> dict[str, StorageView]:
    """The tensors of `found` itself, or of the state dict it wraps."""
    if isinstance(found, dict):
        # The nested one first: scripts keep other tensors, such as the best accuracy, beside it.
        for inner in (*(found.get(key) for key in _NESTED), found):
            if isinstance(inner, dict):
                tensors = {key: value for key, value in inner.items() if isinstance(value, StorageView)}
                if tensors:
                    return {str(key): value for key, value in tensors.items()}
        raise WeightsError(f"{name}: no state dict; it holds {listed(found)}. {_ADVICE}")
    kind = "tensor" if isinstance(found, StorageView) else type(found).__name__
    raise WeightsError(f"{name}: no state dict but a {kind}. {_ADVICE}")
