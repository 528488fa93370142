"""A network in integers, and what it costs and brings beside the one it was made of: `models quantize`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fc7.classify.quantise.accuracy import AccuracyChange, accuracy_change
from fc7.classify.quantise.result import QuantiseReport
from fc7.extract.cache.reader import FeatureSet, load_features
from fc7.extract.engine.side_by_side import integer_products, side_by_side
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import ExtractOptions, RunOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.quantise.network import QuantisedNetwork, QuantiseOptions, quantise
from fc7.extract.quantise.search import cosines
from fc7.extract.records import Listing
from fc7.models.common.errors import DataError, Fc7Error, StoppedError
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.store.store import StoredNetwork, load


def quantise_network(
    name: str,
    images: Sequence[str | Path],
    options: QuantiseOptions,
    how: RunOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> QuantiseReport:
    """Make a network in 8-bit integers of one in the network store, and measure what that costs and brings.

    Parameters
    ----------
    name : str
        The network of single precision.
    images : sequence of str or Path
        As `extract_features` takes them. The ranges of the network's maps are measured on some of them, the
        features of both networks on all; the accuracy where they have labels.
    how : RunOptions or None
        The engine; single precision is measured on the same device.
    notify : callable
        Is given one-line notes.

    Raises
    ------
    UnknownNetworkError
        If the store has no such network.
    UsageError
        If the new name is taken, or there are no images.
    WeightsError
        If the network cannot be quantised; with the reason.
    StoppedError
        After Ctrl-C; it says whether the new network is in the store.

    Examples
    --------
    >>> from fc7.extract.quantise.network import QuantiseOptions
    >>> quantise_network("tiles", ["drawn"], QuantiseOptions("tiles-int8"))
    Traceback (most recent call last):
    fc7.models.common.errors.WeightsError: network 'tiles' has no convolution and no product with weights ...
    """
    how, progress = how or RunOptions(), progress or Silent()
    stored = load(name)
    listing = list_inputs(images, notify=notify)
    made: QuantisedNetwork | None = None
    try:
        made = quantise(stored, listing, options, how=how, progress=progress, notify=notify)
        return _measured(stored, made, listing, how=how, progress=progress)
    except (KeyboardInterrupt, StoppedError) as exc:
        where = (
            f"{options.name} is in the network store, and was not compared with {name}"
            if made is not None
            else "nothing was added to the network store"
        )
        raise StoppedError(f"stopped; {where}") from exc
    except Fc7Error:
        if made is not None:
            notify(f"{options.name} is in the network store, and was not compared with {name}")
        raise
    finally:
        progress.finish()


def _measured(
    stored: StoredNetwork, made: QuantisedNetwork, listing: Listing, how: RunOptions, progress: Progress
) -> QuantiseReport:
    layer = made.network.spec.default_layer
    single, integers = (
        _features(listing, network.spec.name, layer, how=chosen, progress=progress)
        for network, chosen in ((stored, replace(how, precision="fp32")), (made.network, how))
    )
    change: AccuracyChange | None = None
    why_not = ""
    try:
        change = accuracy_change(single, integers, "svm", progress=progress)
    except DataError as exc:
        why_not = str(exc)
    return QuantiseReport(
        name=made.network.spec.name,
        of=stored.spec.name,
        layer=layer,
        quantised=made.found.quantised,
        single=made.found.single,
        n_calibration=made.n_calibration,
        cosines=cosines(single.X, integers.X),
        accuracy=change,
        no_accuracy=why_not,
        speeds=side_by_side(stored, made.network, layer, how=how, progress=progress),
        integer_products=integer_products(),
        sizes=(stored.size, made.network.size),
        folder=made.network.folder,
    )


def _features(listing: Listing, network: str, layer: str, how: RunOptions, progress: Progress) -> FeatureSet:
    """The rows of all images that can be read, on one engine."""
    with tempfile.TemporaryDirectory(prefix="fc7-quantise-") as folder:
        out = Path(folder) / "features.h5"
        chosen = ExtractOptions(**asdict(how), network=network, layers=(layer,))
        extract_features(listing, out, chosen, progress=progress)
        return load_features(out)
