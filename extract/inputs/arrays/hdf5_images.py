"""Images in HDF5 files, MATLAB's among them (``save -v7.3``, ``h5write``). Imports h5py.

MATLAB stores its arrays column by column, so a reader of rows sees the axes in reverse. A file is
taken for MATLAB's if it begins with MATLAB's text or the array has the attribute ``MATLAB_class``:

====================  ======================  ===================
in MATLAB             as it lies              here
====================  ======================  ===================
H x W x 3 x N         (N, 3, W, H)            N images (H, W, 3)
N x H x W x 3         (3, W, H, N)            N images (H, W, 3)
H x W x N             (N, W, H)               N images (H, W)
N x H x W             (W, H, N)               N images (H, W)
H x W x 3, H x W x 4  (3, W, H), (4, W, H)    one image (H, W, 3), (H, W, 4)
H x W                 (W, H)                  one image (H, W)
====================  ======================  ===================

Where two lines fit, the one whose N is the number of labels is taken, else the upper one; but
whether (3, a, b) or (4, a, b) is one image or several is asked where no labels tell. Without
a mark the rules of `extract.inputs.arrays.layout` hold, and (3, W, H, N) is read as MATLAB's, since nothing
else writes it. An unmarked (N, 3, a, b) counts as (N, 3, H, W): from ``h5write`` of H x W x 3 x N it
would come out turned about its diagonal; a note says how it was read.

`mat73` (0.65) reads whole files: of 2,000 images of 224 x 224 it takes 294 MB where this takes 28 MB.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.hdf5_filters import missing_filter
from fc7.extract.images.limits import FREE_BYTES, check_expansion
from fc7.extract.inputs.arrays.layout import (
    PLANES,
    ArrayLayout,
    AxesReading,
    Part,
    chosen,
    counts_of,
    find_parts,
    label_texts,
    layout,
)
from fc7.extract.inputs.arrays.stacks import MemoryStack, Stack, Stacked, stack_source
from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.places.join import ListedSource
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError, SourceError, UnsafeFileError, UsageError
from fc7.models.common.progress import Notify

# What h5py raises for files that are damaged or not built as expected.
_LIBRARY_ERRORS = (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError)
_BLOCK_BYTES = 16 << 20
_MOST_LABELS = 100_000_000
_CHANNELS = (1, 3)
# MathWorks' MAT-file format, "Level 5": the text both generations of .mat begin with.
_MATLAB_5, _MATLAB_73 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"


def is_feature_cache(path: Path) -> bool:
    """Whether an HDF5 file holds features that we made, rather than images. False if it cannot be opened."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _is_ours(file)
    except _LIBRARY_ERRORS:
        return False


def list_hdf5(path: Path, typed: str, notify: Notify) -> ListedSource:
    """Every image of an HDF5 file.

    Parameters
    ----------
    path : Path
        Absolute.
    typed : str
        As the user gave it.
    notify : callable
        Is told which datasets were taken, and how.

    Returns
    -------
    ListedSource
        Like that of `extract.inputs.arrays.arrays.list_arrays`.

    Raises
    ------
    UsageError
        If it is a feature cache.
    SourceError
        If it is damaged, or holds no images in uint8, or labels that do not fit.
    UnsafeFileError
        If it leads to other files or claims far more than it holds.
    """
    with path.open("rb") as raw:
        start = raw.read(len(_MATLAB_73))
    if start == _MATLAB_5:
        raise SourceError(f"{typed}: an older MATLAB file; save it again with save(..., '-v7.3')")
    with _border(typed, "a damaged HDF5 file, or not one"):
        file = h5py.File(path, "r", locking=False)
    try:
        with _border(typed, "its contents cannot be read"):
            if _is_ours(file):
                raise UsageError(
                    f"{typed} holds features that fc7 made, not images; "
                    "give the images, or give this file to fit, classify or evaluate"
                )
            found = find_parts(_datasets(file), typed)
            parts = [_stacked(file, part, start == _MATLAB_73, typed=typed, notify=notify) for part in found]
    except BaseException:
        file.close()
        raise
    return stack_source(path, typed, parts)


class _HdfStack:
    """Images of a dataset; a block of neighbours is read at once, since chunks hold many."""

    def __init__(self, data: Any, axes: ArrayLayout) -> None:
        assert axes.axis is not None
        self.layout = axes
        self._axis = axes.axis
        self._data = data
        self._lock = threading.Lock()
        per_chunk = data.chunks[self._axis] if data.chunks else 1
        count = max(1, _BLOCK_BYTES // axes.bytes_each)
        self._per_block = max(per_chunk, count // per_chunk * per_chunk)
        self._blocks: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def image(self, index: int) -> Pixels:
        number, within = divmod(index, self._per_block)
        try:
            with self._lock:
                block = self._blocks.get(number)
                if block is None:
                    block = self._blocks[number] = self._read(number * self._per_block)
                    # Two: reads from several threads straddle a border for a while.
                    if len(self._blocks) > 2:
                        self._blocks.popitem(last=False)
        except _LIBRARY_ERRORS as exc:
            raise ImageError(f"cannot be read from the HDF5 file: {_short(exc)}") from exc
        return self.layout.picture(np.take(block, within, self._axis))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Elsewhere, (self._data.file.filename, self._data.name, self.layout)

    def _read(self, start: int) -> NDArray[Any]:
        where = [slice(None)] * self._data.ndim
        where[self._axis] = slice(start, start + self._per_block)
        block: NDArray[Any] = self._data[tuple(where)]
        return block


class _Elsewhere:
    """An `_HdfStack` that was sent to another process: the file is opened there for the first image."""

    def __init__(self, path: str, name: str, axes: ArrayLayout) -> None:
        self.layout = axes
        self._path = path
        self._name = name
        self._lock = threading.Lock()
        self._stack: _HdfStack | None = None

    def image(self, index: int) -> Pixels:
        with self._lock:
            if self._stack is None:
                try:
                    data = h5py.File(self._path, "r", locking=False)[self._name]
                except _LIBRARY_ERRORS as exc:
                    raise ImageError(f"the HDF5 file cannot be opened: {_short(exc)}") from exc
                lacking = missing_filter(data)
                if lacking is not None:
                    raise ImageError(lacking)
                self._stack = _HdfStack(data, self.layout)
        return self._stack.image(index)


def _is_ours(file: Any) -> bool:
    kind = file.attrs.get("format", b"")
    kind = kind.decode("latin-1") if isinstance(kind, bytes) else str(kind)
    return kind.startswith("fc7-") or isinstance(file.get("features"), h5py.Group)


def _datasets(file: Any) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for key in file:
        # A link to another file could name any file of the machine.
        if isinstance(file.get(key, getlink=True), h5py.HardLink) and isinstance(file[key], h5py.Dataset):
            shapes[str(key)] = tuple(int(extent) for extent in file[key].shape or ())
    return shapes


def _stacked(file: Any, part: Part, is_matlab: bool, typed: str, notify: Notify) -> Stacked:
    data = _checked(file[part.images], f"{typed}: {part.images}")
    labels = None if part.labels is None else _labels(file, part.labels, typed)
    is_matlab = is_matlab or "MATLAB_class" in data.attrs
    shape = None if labels is None else labels.shape
    if shape is not None and is_matlab and 1 in shape:
        shape = (math.prod(shape),)  # MATLAB has no vectors of one axis
    axes = _axes(data.shape, data.dtype, is_matlab, labels=shape, name=f"{typed}: {part.images}")
    how = f", stored {data.shape} by MATLAB" if is_matlab else ""
    if not is_matlab and axes.turn == (1, 2, 0):
        number = "" if axes.axis is None else "N, "
        how = f", read as ({number}channels, rows, columns) {data.shape}"
    images = "one picture" if axes.axis is None else "images"
    notify(f"{typed}: {images} from {part.images}{how}, labels from {part.labels or 'nowhere'}")
    texts = None if labels is None else label_texts(labels, axes.count, f"{typed}: {part.labels}")
    folder = escape(part.images) if part.split is not None else ""
    stack: Stack = MemoryStack(data[()], axes) if axes.axis is None else _HdfStack(data, axes)
    return Stacked(stack, texts, part.split, folder=folder)


def _checked(data: Any, name: str) -> Any:
    """A dataset that lies in this file, holds about what it claims, and can be decompressed here."""
    if data.is_virtual or data.external:
        raise UnsafeFileError(f"{name}: its data lies in other files; refused. Copy it into one file")
    size = math.prod(data.shape) * data.dtype.itemsize
    check_expansion(name, size, data.id.get_storage_size())
    if data.chunks and math.prod(data.chunks) * data.dtype.itemsize > FREE_BYTES:
        raise UnsafeFileError(
            f"{name}: chunks of more than {FREE_BYTES:,} bytes; refused. Save it in smaller ones"
        )
    lacking = missing_filter(data)
    if lacking is not None:
        raise SourceError(f"{name}: {lacking}")
    return data


def _axes(
    shape: tuple[int, ...], dtype: np.dtype[Any], is_matlab: bool, labels: tuple[int, ...] | None, name: str
) -> ArrayLayout:
    if dtype != np.uint8 or 0 in shape:
        return layout(shape, dtype, name, labels=labels)
    whole = math.prod(shape)
    reversed_axes = [
        ArrayLayout(shape[axis], axis, turn, bytes_each=whole // shape[axis])
        for axis, turn, fits in (
            (0, (2, 1, 0), len(shape) == 4 and shape[1] in _CHANNELS),
            (3, (2, 1, 0), len(shape) == 4 and shape[0] in _CHANNELS),
            (0, (1, 0), len(shape) == 3),
            (2, (1, 0), len(shape) == 3),
        )
        if fits
    ]
    counts = set() if labels is None else counts_of(labels)
    if is_matlab and len(shape) == 2 and (labels is None or 1 in counts):
        return ArrayLayout(1, None, (1, 0), bytes_each=whole)
    if is_matlab and len(shape) == 3 and shape[0] in PLANES:
        n = shape[0]
        # Of several pictures in colour only three planes are read.
        colours = "permute(x(:, :, 1:3), [4 1 2 3])" if n > 3 else "permute(x, [4 1 2 3])"
        one = AxesReading(
            ArrayLayout(1, None, (2, 1, 0), bytes_each=whole),
            f"one picture H x W x {n} of {PLANES[n]}",
            colours,
        )
        grey = AxesReading(
            reversed_axes[0], f"{n} grey pictures", f"reshape(x, size(x, 1), size(x, 2), 1, {n})"
        )
        if labels is None or counts & {1, n}:
            return chosen([one, grey], shape[::-1], labels, name=name)
    if is_matlab and reversed_axes:
        return next((axes for axes in reversed_axes if axes.count in counts), reversed_axes[0])
    if len(shape) == 4 and shape[0] in _CHANNELS and shape[1] not in _CHANNELS and shape[3] not in _CHANNELS:
        return reversed_axes[-1]
    return layout(shape, dtype, name, labels=labels)


def _labels(file: Any, key: str, typed: str) -> NDArray[Any]:
    data = _checked(file[key], f"{typed}: {key}")
    if math.prod(data.shape) > _MOST_LABELS:
        raise SourceError(f"{typed}: {key} has shape {data.shape}; one label an image is needed")
    values: NDArray[Any] = np.asarray(data[()])
    if h5py.check_ref_dtype(data.dtype) is not None:
        # MATLAB's cell array of texts: references to arrays of UTF-16 units.
        texts = [_decoded(np.asarray(file[reference][()])) for reference in values.reshape(-1)]
        return np.array(texts, dtype=object)
    kind = data.attrs.get("MATLAB_class", b"")
    if kind == b"char":
        return np.array([_decoded(row).rstrip() for row in values.T], dtype=object)
    return values


def _decoded(values: NDArray[Any]) -> str:
    if values.dtype != np.uint16:
        raise SourceError("labels in a cell array that are not texts; use cellstr or numbers")
    return values.reshape(-1).astype("<u2").tobytes().decode("utf-16-le", "replace")


@contextmanager
def _border(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except _LIBRARY_ERRORS as exc:
        raise SourceError(f"{name}: {what} ({_short(exc)}); copy or export it again") from exc


def _short(exc: BaseException) -> str:
    return str(exc.args[0] if exc.args else exc).partition("\n")[0]
