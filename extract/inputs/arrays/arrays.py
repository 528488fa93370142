"""Images in ``.npy``, ``.npz`` and pickles such as the traffic signs' ``train.p``.

Which arrays are taken, and how their axes stand: `extract.inputs.arrays.layout`.
"""

from __future__ import annotations

import csv
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.images.limits import check_expansion
from fc7.extract.inputs.arrays.layout import Part, find_parts, label_texts, layout
from fc7.extract.inputs.arrays.stacks import FileStack, MemoryStack, Stacked, stack_source
from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.places.join import ListedSource
from fc7.models.common.errors import SourceError
from fc7.models.common.files import refuse_pipe
from fc7.models.common.progress import Notify
from fc7.models.weights.pickles import load_plain

PICKLE_SUFFIXES = (".p", ".pickle", ".pkl")
NAMES_FILE = "signnames.csv"
"""Beside a pickle: ClassId,SignName, as in the German traffic sign course material."""

_MAGIC = b"\x93NUMPY"
# What NumPy raises for headers and archives that are damaged or claim more than there is.
_DAMAGE = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    TypeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def list_arrays(path: Path, typed: str, notify: Notify) -> ListedSource:
    """Every image of an array file.

    A C-ordered ``.npy`` stays on the disk; anything else is loaded once. Objects in arrays are
    refused, and pickles are read as data only (`models.weights.pickles`).

    Parameters
    ----------
    path : Path
        Absolute.
    typed : str
        As the user gave it.
    notify : callable
        Is told which arrays were taken.

    Returns
    -------
    ListedSource
        With `ListedSource.key`; `ImageRef.size` is the bytes of the pixels, `ImageRef.mtime_ns` the file's.

    Raises
    ------
    SourceError
        If it is damaged, holds no uint8 images or labels that do not fit, or can be read in several ways.
    UnsafeFileError
        If it asks to run code or claims memory beyond what it holds.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        parts = [_npy(path, typed)]
        if _is_one(parts[0]):
            notify(f"{typed}: one picture without a label; --labels gives it")
        else:
            notify(f"{typed}: images without labels; --labels gives them")
    else:
        arrays = _pickled(path, typed) if suffix in PICKLE_SUFFIXES else _npz(path, typed)
        names = _class_names(path, typed, notify) if suffix in PICKLE_SUFFIXES else None
        found = find_parts({key: array.shape for key, array in arrays.items()}, typed)
        parts = [_stacked(arrays, part, typed, names=names) for part in found]
        notify(f"{typed}: {', '.join(map(_taken, found, parts))}")
    return stack_source(path, typed, parts)


def _taken(part: Part, stacked: Stacked) -> str:
    """Which arrays were taken, for a note."""
    images = "one picture" if _is_one(stacked) else "images"
    return f"{images} from {part.images}, " + (f"labels from {part.labels}" if part.labels else "no labels")


def _is_one(stacked: Stacked) -> bool:
    """Whether the array is one picture, and not a stack of them."""
    return stacked.stack.layout.axis is None


def _stacked(
    arrays: Mapping[str, NDArray[Any]], part: Part, typed: str, names: Mapping[str, str] | None
) -> Stacked:
    array = arrays[part.images]
    shape = None if part.labels is None else arrays[part.labels].shape
    axes = layout(array.shape, array.dtype, f"{typed}: {part.images}", labels=shape)
    labels = None
    if part.labels is not None:
        labels = label_texts(arrays[part.labels], axes.count, f"{typed}: {part.labels}")
        if names is not None:
            labels = [names.get(label, label) for label in labels]
    return Stacked(
        MemoryStack(array, axes),
        labels,
        part.split,
        folder=escape(part.images) if part.split is not None else "",
    )


def _npy(path: Path, typed: str) -> Stacked:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise SourceError(f"{typed}: a damaged .npy file, or not one: it lacks NumPy's first bytes")
    try:
        # Mapped only to have NumPy check the header against the file; a claim may overflow its product.
        with np.errstate(over="ignore"):
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as exc:
        raise SourceError(_objects(typed, exc) or f"{typed}: a damaged .npy file ({exc})") from exc
    axes = layout(mapped.shape, mapped.dtype, typed)
    if not mapped.flags.c_contiguous:
        return Stacked(MemoryStack(np.array(mapped), axes), None, None, folder="")
    start = int(mapped.offset)
    each = mapped.shape if axes.axis is None else mapped.shape[1:]
    return Stacked(FileStack(path, start, each, layout=axes), None, None, folder="")


def _npz(path: Path, typed: str) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        expanded, stored = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
        check_expansion(typed, expanded, stored)
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise SourceError(f"{typed}: this is not an .npz file; give it its right suffix")
            return {key: file[key] for key in file.files}
    except _DAMAGE as exc:
        raise SourceError(
            _objects(typed, exc) or f"{typed}: a damaged .npz file, or not one ({exc})"
        ) from exc


def _objects(typed: str, exc: BaseException) -> str | None:
    if "object" not in str(exc).lower():
        return None
    return (
        f"{typed}: an array of Python objects; refused, reading it would run what it holds. "
        "Save numbers as numbers (dtype uint8) and names as text (dtype str)"
    )


def _pickled(path: Path, typed: str) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream:
            # Python 2's strings hold the array data; latin1 keeps every byte.
            found = load_plain(stream, encoding="latin1", name=typed)
    except OSError as exc:
        raise SourceError(f"{typed}: cannot be read: {exc.strerror or exc}") from exc
    if not isinstance(found, dict):
        raise SourceError(
            f"{typed}: holds a {type(found).__name__}; a dict with features and labels is needed, as train.p"
        )
    arrays = {}
    for key, value in found.items():
        name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif isinstance(value, list) and all(isinstance(item, str | int) for item in value):
            arrays[name] = np.array(value, dtype=object)
    return arrays


def _class_names(path: Path, typed: str, notify: Notify) -> dict[str, str] | None:
    """Number -> name from `NAMES_FILE` beside the pickle, if it is there."""
    names_path = path.with_name(NAMES_FILE)
    refuse_pipe(names_path)
    try:
        with names_path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError, csv.Error) as exc:
        raise SourceError(f"{names_path}: cannot be read ({exc}); repair it, or move it away") from exc
    try:
        names = {str(int(row["ClassId"])): escape(row["SignName"].strip()) for row in rows}
    except (KeyError, ValueError, TypeError, AttributeError) as exc:
        raise SourceError(
            f"{names_path}: lines of ClassId,SignName are needed; repair it, or move it away"
        ) from exc
    doubled = {name for name in names.values() if list(names.values()).count(name) > 1}
    notify(f"{typed}: class names from {NAMES_FILE}")
    # Two classes of one name would become one.
    return {number: f"{name} ({number})" if name in doubled else name for number, name in names.items()}
