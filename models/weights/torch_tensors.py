"""PyTorch's tensors as their pickles describe them: a storage, an offset, a size and strides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.floats import BFLOAT16, ByteOrder, decode, item_size
from fc7.models.weights.pickled_arrays import RefusedError

_MAX_DIMENSIONS = 16
# Tensors may share a storage or repeat it by a stride of 0, but not to fill the memory.
_MOST_EXPANSION, _FREE_BYTES = 8, 1 << 24


@dataclass(frozen=True, slots=True)
class StorageType:
    """A storage class of torch: the type of its numbers."""

    code: str


@dataclass(frozen=True, slots=True)
class Storage:
    """One run of numbers in the file.

    Attributes
    ----------
    key : str
        The file's own name for it.
    code : str
        As for `models.weights.floats.item_size`.
    count : int
        How many numbers.
    """

    key: str
    code: str
    count: int

    @property
    def n_bytes(self) -> int:
        """Bytes in the file."""
        return self.count * item_size(self.code)


@dataclass(frozen=True, slots=True)
class StorageView:
    """A view of a storage; all in items, not bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def storage_of(key: object) -> Storage:
    """The storage that a persistent id names: ("storage", type, key, place, count).

    Source: torch/serialization.py, `persistent_id` of `_save` and `_legacy_save`; the legacy
    form has a sixth entry, None unless the storage is a view of another.
    """
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
        # The legacy format pickles a whole model's class, with its source, under ("module", ...).
        raise RefusedError("a pickled model, where a state dict was needed")
    _, kind, name, _, count, *view = key
    if not isinstance(kind, StorageType) or not isinstance(name, str) or not _is_size(count) or any(view):
        raise ValueError("a storage of unknown form")
    return Storage(name, kind.code, count)


def load_tensors(
    tensors: Mapping[str, StorageView], read: Callable[[Storage], bytes], order: ByteOrder, name: str
) -> dict[str, NDArray[Any]]:
    """Arrays of the tensors; each storage is read once.

    Parameters
    ----------
    read : callable
        Gives a storage's bytes, exactly `Storage.n_bytes` of them.
    order : {"<", ">"}
        The file's byte order.
    name : str
        The file, for messages.

    Raises
    ------
    UnsafeFileError
        If the tensors claim far more than their storages hold.
    WeightsError
        If a tensor reaches outside its storage.
    """
    storages = {tensor.storage for tensor in tensors.values()}
    held = sum({storage.key: storage.n_bytes for storage in storages}.values())
    claimed = sum(storage.n_bytes for storage in storages)
    claimed += sum(math.prod(t.size) * item_size(t.storage.code) for t in tensors.values())
    if claimed > held * _MOST_EXPANSION + _FREE_BYTES:
        raise UnsafeFileError(f"{name}: its tensors claim {claimed} bytes, its storages hold {held}; refused")
    numbers: dict[Storage, NDArray[Any]] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for key, tensor in tensors.items():
        storage = tensor.storage
        if storage not in numbers:
            numbers[storage] = decode(read(storage), storage.code, order)
        arrays[key] = _view(numbers[storage], tensor, key, name=name)
    return arrays


def _view(numbers: NDArray[Any], tensor: StorageView, key: str, name: str) -> NDArray[Any]:
    reach = sum((size - 1) * step for size, step in zip(tensor.size, tensor.stride, strict=True))
    empty = 0 in tensor.size
    if not empty and tensor.offset + reach >= numbers.size:
        raise WeightsError(
            f"{name}: tensor {listed([key])} reaches to number {tensor.offset + reach} of a storage of "
            f"{numbers.size}; the file is damaged"
        )
    if empty:
        return np.empty(tensor.size, numbers.dtype)
    strides = [step * numbers.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.size, strides)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> StorageView:
    """``torch._utils._rebuild_tensor`` and ``_v2``; gradients and hooks are no data."""
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("a tensor of unknown form")
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        raise ValueError("a tensor whose strides do not fit its size")
    if not isinstance(offset, int) or not all(map(_is_size, (offset, *size, *stride))):
        raise RefusedError("a tensor with a negative or absurd size")
    return StorageView(storage, offset, size, stride=stride)


def _typed_tensor(
    storage: object, offset: object, size: object, stride: object, *rest: object
) -> StorageView:
    """``_rebuild_tensor_v3``: the storage is bytes, the tensor says what they are."""
    # Gradients and hooks come first; what follows is metadata of the tensor.
    kind = rest[2] if len(rest) > 2 else None
    if not isinstance(storage, Storage) or not isinstance(kind, StorageType):
        raise ValueError("a tensor of unknown form")
    typed = Storage(storage.key, kind.code, storage.n_bytes // item_size(kind.code))
    return _tensor(typed, offset, size, stride)


def _parameter(data: object, *_: object) -> object:
    return data


def _size(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(sizes, tuple):
        raise ValueError("a torch.Size that is not a tuple")
    return sizes


def _nothing(*_: object) -> None:
    return None


_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
_DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": BFLOAT16,
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "b1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
}
# Every name of torch that a state dict needs (torch/_utils.py, torch/_tensor.py `_reduce_ex_internal`).
TORCH_GLOBALS: dict[tuple[str, str], object] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _typed_tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _nothing,
    ("torch.storage", "UntypedStorage"): StorageType("u1"),
    **{("torch", name): StorageType(code) for name, code in (_STORAGES | _DTYPES).items()},
}
