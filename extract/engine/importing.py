"""Bring a network of one's own into the store, tried as the command line does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fc7.extract.engine.trial import try_network
from fc7.models.common.progress import Notify
from fc7.models.store import importing
from fc7.models.store.importing import ImportOptions as ImportOptions

if TYPE_CHECKING:
    from fc7.models.store.store import StoredNetwork


def import_network(
    path: str | Path,
    name: str,
    options: ImportOptions | None = None,
    *,
    notify: Notify | None = None,
) -> StoredNetwork:
    """Put the network in a weight file into the store, if it passes a trial.

    Parameters
    ----------
    path : str or Path
        Weights of a network that fc7 builds itself, any ONNX graph, or any ``.caffemodel`` together with its
        prototxt.
    name : str
        What the store calls it from now on.
    notify : callable or None
        Is given one-line notes of what was decided.

    Raises
    ------
    UsageError
        If the preprocessing or the layer of an unknown graph is not given, what is stated does not go
        together, or `name` is the catalogue's name of another network.
    UnsafeFileError
        If the file asks to run code, to leave its folder or to exhaust memory.
    WeightsError
        If the file is damaged, of an unknown format or of another architecture, or the network does not pass
        (`extract.engine.trial.try_network`).

    Examples
    --------
    ``tiles.onnx`` takes pictures of 32x32 pixels.

    >>> import fc7
    >>> said = fc7.ImportOptions(preprocess="torch", layer="tiles")
    >>> stored = fc7.import_network("tiles.onnx", "mine", said)
    >>> stored.spec.default_layer, stored.spec.layer("tiles").shape
    ('tiles', (3, 8, 8))
    >>> stored.spec.preprocess.describe()
    'short side 37 bilinear, centre crop 32x32, RGB, x 0.0039215686, ...'
    """
    return importing.import_network(path, name, options, notify=notify, trial=try_network)
