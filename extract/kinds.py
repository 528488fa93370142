"""The kinds of files that this stage writes, and names of those that it reads; `models.outputs.kinds`."""

from __future__ import annotations

from pathlib import Path

from fc7.extract.images.codecs.formats import HEAD_BYTES, begins_as_image, sniff
from fc7.models.common.errors import CacheCorruptError, CacheError
from fc7.models.outputs.kinds import HDF5_START, Kind, head, name_by, named, png_says, table, tail, zip_names

DRAWN_BY = "fc7"
"""What PNG files of ours say that made them."""

FAILURE_COLUMNS = ("path", "reason")
_NPZ_ARRAYS = (
    "X",
    "y",
    "paths",
    "groups",
    "splits",
    "sha256",
    "layer",
    "network",
    "fingerprint",
    "preprocessing",
)
# Parquet's footer ends with its key-value metadata, the created-by and a few bytes a column (parquet.thrift,
# FileMetaData); what is in it beside our few texts is Arrow's copy of the schema.
_FOOTER_BYTES = 1 << 18


def _is_cache(path: Path) -> bool:
    """Whether a file is a cache, or was one before it was damaged."""
    start = head(path, len(HDF5_START))
    if start != HDF5_START:
        return HDF5_START.startswith(start)  # cut short
    from fc7.extract.cache.format.hdf5 import OpenFile
    from fc7.extract.cache.format.header import FORMAT

    try:
        with OpenFile(path) as file:
            return file.attributes("/").get("format") == FORMAT
    except CacheCorruptError:
        return True
    except CacheError:
        return False


def _is_parquet(path: Path) -> bool:
    end = tail(path, _FOOTER_BYTES)
    return end.endswith(b"PAR1") and b"fc7.fingerprint" in end


def _image(path: Path) -> str | None:
    start = head(path, HEAD_BYTES)
    return f"a picture ({sniff(start)})" if begins_as_image(start) else None


name_by(_image)
FEATURE_CACHE = named(Kind("a feature cache", _is_cache, streams=False, replaceable=True))
NPZ = named(
    Kind(
        "a file of NumPy arrays",
        lambda path: zip_names(path) == {f"{name}.npy" for name in _NPZ_ARRAYS},
        streams=False,
    )
)
PARQUET = named(Kind("a Parquet file", _is_parquet, streams=False))
FAILURES = table("a table of failures", FAILURE_COLUMNS, replaceable=True)
DRAWING = named(Kind("a picture drawn by fc7", lambda path: png_says(path, DRAWN_BY)))
