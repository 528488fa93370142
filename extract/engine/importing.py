"""Bring a network of one's own into the store, tried as the command line does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fc7.extract.engine.trial import try_network
from fc7.models.common.progress import Notify
from fc7.models.network.spec import Pool, PreprocessSpec
from fc7.models.store import importing
from fc7.models.store.preprocess_options import PreprocessOptions

if TYPE_CHECKING:
    from fc7.models.store.store import StoredNetwork


def import_network(
    path: str | Path,
    name: str,
    *,
    arch: str | None = None,
    preprocess: PreprocessSpec | PreprocessOptions | str | None = None,
    layer: str | None = None,
    pool: Pool | None = None,
    prototxt: str | Path | None = None,
    mean: str | Path | None = None,
    replace: bool = False,
    source: str = "",
    licence: str = "",
    notify: Notify | None = None,
) -> StoredNetwork:
    """Put the network in a weight file into the store, if it passes a trial.

    Parameters
    ----------
    path : str or Path
        Weights of a network that fc7 builds itself, any ONNX graph, or any ``.caffemodel`` together with its
        `prototxt`.
    name : str
        What the store calls it from now on.
    arch : str or None
        The architecture of bare weights; None tells it from the catalogue or from the file.
    preprocess : PreprocessSpec, PreprocessOptions, str or None
        What its authors fed it, as a text the name of a preset ("torch"); None takes the catalogue's or the
        architecture's.
    layer : str or None
        The layer, tensor or node that features come from by default.
    pool : {"flatten", "avg", "max", "token"} or None
        How a map or a sequence of tokens becomes a vector.
    prototxt : str, Path or None
        The network's ``deploy.prototxt``.
    mean : str, Path or None
        A mean image (``.binaryproto``); its channel means replace the preprocessing's.
    replace : bool
        Whether a network of that name may be replaced.
    source : str
        Where the file came from; the file's name and sha256 are added.
    licence : str
        Its terms, where the catalogue does not know the file by its hash.
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
    >>> stored = fc7.import_network("tiles.onnx", "mine", preprocess="torch", layer="tiles")
    >>> stored.spec.default_layer, stored.spec.layer("tiles").shape
    ('tiles', (3, 8, 8))
    >>> stored.spec.preprocess.describe()
    'short side 37 bilinear, centre crop 32x32, RGB, x 0.0039215686, ...'
    """
    return importing.import_network(
        path,
        name,
        arch=arch,
        preprocess=preprocess,
        layer=layer,
        pool=pool,
        prototxt=prototxt,
        mean=mean,
        replace=replace,
        source=source,
        licence=licence,
        notify=notify,
        trial=try_network,
    )
