"""Arrays that an ONNX file keeps in files beside it: found, checked, read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed

# AlexNet's largest array, fc6 in float64, has 302 MB.
_MAX_DIMENSIONS, _MAX_BYTES = 16, 1 << 32


def external_file(folder: Path, entries: Mapping[str, str], name: str) -> Path:
    """The file that an array's ``external_data`` entries name.

    Parameters
    ----------
    folder : Path
        Where the .onnx file lies.
    entries : mapping of str to str
        ``location``, and perhaps ``offset`` and ``length`` (onnx/docs/ExternalData.md).
    name : str
        The .onnx file, for messages.

    Raises
    ------
    UnsafeFileError
        If the file lies outside `folder`, links followed.
    """
    location = entries.get("location", "")
    try:
        home = folder.resolve()
        target = (home / location).resolve()
        inside = bool(location) and target != home and target.is_relative_to(home)
    except (OSError, ValueError, RuntimeError):  # a name no file can have, or a circle of links
        inside = False
    # A backslash separates folders on Windows only; it is refused alike everywhere.
    if not inside or "\\" in location:
        raise UnsafeFileError(
            f"{name}: keeps an array in {listed([location])}, which is not inside its own folder; refused. "
            "Export the network again with its data beside it"
        )
    return target


def read_external(folder: Path, entries: Mapping[str, str], n_bytes: int, name: str) -> bytes:
    """The bytes of one array, exactly `n_bytes` of them.

    Raises
    ------
    UnsafeFileError
        If the file lies outside `folder`.
    WeightsError
        If it is missing or too short.
    """
    target = external_file(folder, entries, name)
    shown = listed([entries["location"]])
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or n_bytes)
        if not target.is_file():
            raise WeightsError(f"{name}: its data file {shown} is missing; copy it beside the .onnx")
        size = target.stat().st_size
        if offset < 0 or length != n_bytes or offset + length > size:
            raise WeightsError(
                f"{name}: an array of {n_bytes} bytes is given {length} at {offset} of {shown}, which has "
                f"{size}; copy the data file again"
            )
        with target.open("rb") as stream:
            stream.seek(offset)
            return stream.read(n_bytes)
    except ValueError as exc:
        raise WeightsError(f"{name}: an array with a damaged offset or length in {shown}") from exc
    except OSError as exc:
        raise WeightsError(f"{name}: its data file {shown} cannot be read ({exc.strerror or exc})") from exc


def claimed_bytes(dims: list[int], item_size: int, name: str) -> int:
    """How much memory a shape asks for.

    Raises
    ------
    UnsafeFileError
        If a size is negative or the whole is absurd.
    """
    sound = len(dims) <= _MAX_DIMENSIONS and all(size >= 0 for size in dims)
    n_bytes = math.prod(dims) * item_size if sound else -1
    if not 0 <= n_bytes <= _MAX_BYTES:
        raise UnsafeFileError(f"{name}: an array of an absurd shape, {listed(dims, 4)}; refused")
    return n_bytes
