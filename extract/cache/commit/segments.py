"""Finished work: a few seconds' rows in one small file, in the folder ``features.h5.work``.

A segment is written under another name, brought onto the disk, and renamed; so what is called
``*.h5`` is whole. Any process may write segments beside the one that holds the cache's lock, on
any machine that shares the folder: it needs a `SegmentHeader` and a name that no other work
shares. Equal work may be written twice under one name; the second copy replaces an equal one.

    attributes                    format, format_version; network, layers, preprocessing ... as in
                                  a cache; forced (0 or 1), provenance (JSON)
    /features/<layer> /checksums_of_rows/<layer> /path /size /mtime_ns /sha256 /thumbnail /colour
    /failures/... /checksums
                                  as in a cache
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.thumbnail_columns import write_thumbnails
from fc7.extract.cache.format.columns import (
    digest_column,
    failure_columns,
    number_column,
    text_column,
    write_columns,
)
from fc7.extract.cache.format.files import list_segments, put_in_place, remove, write_error
from fc7.extract.cache.format.header import Run, features_name, identity_attributes, read_identity
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.extract.cache.format.sealed_writer import SealedWriter
from fc7.extract.records import Rows
from fc7.models.common.errors import CacheCorruptError, CacheError

FORMAT = "fc7-segment"
FORMAT_VERSION = 1
KIND = "a segment of a feature cache"
_PARTIAL = ".partial"
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a writer of segments must know; it can be sent to another process.

    Attributes
    ----------
    identity : CacheIdentity
        Of at least the layers in the blocks.
    provenance : mapping of str to str
        Engine, precision, versions: what is to be remembered of how the rows were made.
    forced : bool
        Whether the run replaces what is in the cache instead of adding to it.
    """

    identity: CacheIdentity
    provenance: Mapping[str, str]
    forced: bool = False


def write_segment(folder: Path, name: str, header: SegmentHeader, block: Rows) -> Path:
    """Write rows and failures as the segment ``<folder>/<name>.h5``; durable when this returns.

    Parameters
    ----------
    folder : Path
        Made if missing.
    name : str
        Segments of one cache are read in the order of their names: they begin with a number, and one
        that is written from elsewhere goes on with ``-`` and what tells it from others of that number.
    block : Rows
        May be empty.

    Raises
    ------
    CacheError
        If the file system fails (then nothing of the segment stays), or rows, digests and
        features do not fit each other or the identity.
    """
    digests = _digests(block)
    identity = header.identity.only(block.features or header.identity.layers[:1])
    attributes = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **identity_attributes(identity),
        "forced": int(header.forced),
        "provenance": json.dumps(dict(header.provenance), sort_keys=True),
    }
    columns = [
        text_column("path", block.refs, "path"),
        number_column("size", block.refs, "size"),
        number_column("mtime_ns", block.refs, "mtime_ns"),
        digest_column("sha256", digests),
    ]
    path = folder / f"{name}.h5"
    # Two processes may be writing the same segment.
    partial = folder / f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}"
    try:
        folder.mkdir(exist_ok=True)
        with SealedWriter(partial, attributes) as file:
            for layer in identity.layers:
                rows = block.features.get(layer, np.empty((0, identity.dims[layer]), np.float32))
                if rows.shape != (len(block.refs), identity.dims[layer]):
                    raise CacheError(
                        f"layer {layer}: rows of shape {rows.shape} were given for {len(block.refs)} images "
                        f"of {identity.dims[layer]} numbers each"
                    )
                about = {"layer": layer, "fingerprint": identity.fingerprints[layer]}
                file.add_rows(features_name(layer), rows.shape, "<f4", attributes=about).append_rows(rows)
            write_columns(file, columns)
            write_thumbnails(file, block.thumbnails)
            write_columns(file, failure_columns(block.failures))
        put_in_place(partial, path)
    except OSError as exc:
        remove(partial)
        kept = f"the cache and the segments in {folder} are whole"
        raise write_error(path, exc, kept) from exc
    except BaseException:
        remove(partial)
        raise
    return path


def open_segment(path: Path) -> SealedReader:
    """Open a segment.

    Raises
    ------
    CacheError, CacheCorruptError
        As `SealedReader`.
    """
    return SealedReader(path, KIND, FORMAT, version=FORMAT_VERSION)


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What a segment says of itself."""

    identity: CacheIdentity
    rows: int
    forced: bool
    provenance: Run


def segment_info(file: SealedReader) -> SegmentInfo:
    """Read a segment's attributes.

    Raises
    ------
    CacheCorruptError
        If they are not those of a segment.
    """
    found = file.attributes
    try:
        return SegmentInfo(
            identity=read_identity(file),
            rows=file["path"].shape[0],
            forced=bool(found["forced"]),
            provenance=json.loads(str(found["provenance"])),
        )
    except (KeyError, ValueError, TypeError) as exc:
        raise CacheCorruptError(f"{file.path}: its attributes are not those of {KIND}: {exc}") from exc


def next_number(folder: Path) -> int:
    """The number for a new segment, above those that are there."""
    numbers = (path.stem.partition("-")[0] for path in list_segments(folder))
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def check_segment(path: Path) -> SegmentInfo:
    """Read a whole segment and compare every checksum.

    Raises
    ------
    CacheError, CacheCorruptError
    """
    with open_segment(path) as file:
        info = segment_info(file)
        for name in file.names():
            for _, problem in file.damaged(name):
                raise problem
    return info


def remove_partials(folder: Path) -> None:
    """Remove segments that were not finished."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.endswith(_PARTIAL):
                remove(path)


def remove_folder(folder: Path) -> None:
    """Remove the folder of segments, unless something else lies in it."""
    remove_partials(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _digests(block: Rows) -> NDArray[np.uint8]:
    if len(block.sha256) != len(block.refs) or any(not _DIGEST.fullmatch(text) for text in block.sha256):
        raise CacheError(
            f"{len(block.sha256)} digests were given for {len(block.refs)} images; "
            "each image needs one of 64 hex digits"
        )
    return np.frombuffer(bytes.fromhex("".join(block.sha256)), np.uint8).reshape(-1, 32)
