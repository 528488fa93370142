"""Compression of HDF5 datasets that is not the library's own. Imports h5py, and hdf5plugin where needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import h5py

from fc7.models.common.program import pip_install

# From the HDF Group's registry (docs/RegisteredFilterPlugins.md in github.com/HDFGroup/hdf5_plugins), except
# 32033 from hdf5plugin's list, and 4, the library's own, which some builds leave out.
_NAMES = {
    4: "szip",
    305: "LZO",
    307: "bzip2",
    32001: "Blosc",
    32003: "Snappy",
    32004: "LZ4",
    32007: "JPEG-XR",
    32008: "bitshuffle",
    32012: "JPEG-LS",
    32013: "zfp",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32019: "JPEG",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
    32033: "HTJ2K",
}
FLETCHER32 = h5py.h5z.FILTER_FLETCHER32
# What hdf5plugin 7.1 registers (`hdf5plugin.FILTERS`).
_IN_HDF5PLUGIN = frozenset({307, 32001, 32004, 32008, 32013, 32015, 32017, 32018, 32024, 32026, 32028, 32033})


def missing_filter(data: Any) -> str | None:
    """Why a dataset cannot be decompressed here, and the cure; None if it can.

    hdf5plugin, if it is installed, is loaded the first time that a filter is missing.

    Parameters
    ----------
    data : h5py.Dataset
    """
    lacking = _lacking(data)
    if lacking is None or (_has_hdf5plugin() and (lacking := _lacking(data)) is None):
        return None
    number, said = lacking
    known = _NAMES.get(number, said)
    name = f"{known} (HDF5 filter {number})" if known else f"HDF5 filter {number}"
    cure = (
        f"{pip_install('-U', 'hdf5plugin')} brings it"
        if number in _IN_HDF5PLUGIN
        else "save it with gzip where it can be read (h5repack -f GZIP=4 old.h5 new.h5)"
    )
    return f"compressed with {name}, which is not installed; {cure}"


def only_filters(data: Any, *numbers: int) -> bool:
    """Whether a dataset's chunks pass just these filters, in this order.

    Parameters
    ----------
    data : h5py.Dataset
    """
    made = data.id.get_create_plist()
    return tuple(made.get_filter(index)[0] for index in range(made.get_nfilters())) == numbers


def _lacking(data: Any) -> tuple[int, str] | None:
    """Number of the first filter that is not there, and what the file calls it."""
    made = data.id.get_create_plist()
    for index in range(made.get_nfilters()):
        number, _, _, said = made.get_filter(index)
        if not h5py.h5z.filter_avail(number):
            return int(number), said.decode("utf-8", "backslashreplace")
    return None


def _has_hdf5plugin() -> bool:
    try:
        import_module("hdf5plugin")  # registers its filters
    except (ImportError, OSError):
        return False
    return True
