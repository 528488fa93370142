"""Stage one: images to features. `extract_features` and `load_features` are its Python interface.

`import_network` brings a network of one's own, and tries it, which needs this room's engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fc7.extract.cache.reader import load_features as load_features
    from fc7.extract.engine.importing import ImportOptions as ImportOptions
    from fc7.extract.engine.importing import import_network as import_network
    from fc7.extract.options import ExtractOptions as ExtractOptions
    from fc7.extract.pipeline import extract_features as extract_features

__all__ = ["ExtractOptions", "ImportOptions", "extract_features", "import_network", "load_features"]

_HOMES = {
    "ExtractOptions": "fc7.extract.options",
    "ImportOptions": "fc7.extract.engine.importing",
    "extract_features": "fc7.extract.pipeline",
    "import_network": "fc7.extract.engine.importing",
    "load_features": "fc7.extract.cache.reader",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line's help must not wait for NumPy and HDF5.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fc7.extract' has no attribute {name!r}")
