"""A network of the network store in 8-bit integers, as a network of its own."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.extract.engine.quantiser import quantise_statically
from fc7.extract.engine.trial import try_network
from fc7.extract.quantise.pixels import calibration_pixels
from fc7.extract.quantise.search import Found, TrialRun, leave_out_the_worst
from fc7.models.catalog import catalog
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.common.progress import Notify, Progress
from fc7.models.graph.files import GRAPH_FILE, load_whole_graph, save_graph
from fc7.models.graph.pixels import pixels_in
from fc7.models.graph.quantised import layers_of_quantised, to_quantise, weighted_nodes, without_pixels
from fc7.models.store.store import StoredNetwork, check_free, save

if TYPE_CHECKING:
    from fc7.extract.options import RunOptions
    from fc7.extract.records import Listing


@dataclass(frozen=True, slots=True)
class QuantiseOptions:
    """What is made.

    Attributes
    ----------
    name : str
        What the network store will call it.
    layer : str or None
        Where its features come from; None for the original's own.
    replace : bool
        Whether a network of that name may be replaced.

    Examples
    --------
    >>> QuantiseOptions("alexnet-small", layer="fc6").replace
    False
    """

    name: str
    layer: str | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class QuantisedNetwork:
    """What was made.

    Attributes
    ----------
    found : Found
        Which layers are in integers; its graph is the stored one.
    n_calibration : int
        Crops that the ranges were measured on.
    """

    network: StoredNetwork
    found: Found
    n_calibration: int


def quantise(
    stored: StoredNetwork,
    listing: Listing,
    options: QuantiseOptions,
    how: RunOptions,
    progress: Progress,
    notify: Notify,
) -> QuantisedNetwork:
    """Put a network in integers into the network store; it is whole there, or not there.

    Parameters
    ----------
    listing : Listing
        The images to measure on; their labels are not looked at.
    how : RunOptions
        The engine that the layers are judged on.
    notify : callable
        Is told in one line how far each step of the search came.

    Raises
    ------
    UsageError
        If the name is taken, or the catalogue's.
    UnknownLayerError
        If there is no such layer.
    WeightsError
        If the network cannot be quantised; with the reason.
    DataError
        If no image can be read.
    """
    check_free(options.name, options.replace)
    if options.name.lower() in catalog.names():
        raise UsageError(
            f"{options.name!r} is the catalogue's name of another network; give yours a name of its own with "
            "--as"
        )
    spec = stored.spec
    layer = spec.layer(options.layer or spec.default_layer).name
    model = to_quantise(load_whole_graph(stored.graph_path), spec.name)
    names = weighted_nodes(model, spec.layer(layer).tensor)
    if not names:
        raise WeightsError(
            f"network {spec.name!r} has no convolution and no product with weights before {layer!r}, and so "
            "nothing to quantise; choose another layer"
        )
    pixels = calibration_pixels(listing, spec.preprocess, progress)
    fed = pixels_in(model, spec.preprocess)
    progress.start(len(pixels), "measuring ranges")
    integers = without_pixels(
        quantise_statically(fed, names, pixels, name=spec.name, progress=progress), fed, model
    )
    progress.finish()
    with tempfile.TemporaryDirectory(prefix="fc7-quantise-") as folder:
        measured = TrialRun(Path(folder), spec, layer, pixels=pixels, how=how)
        found = leave_out_the_worst(
            integers, (stored.graph_path, model), names, measured=measured, progress=progress, notify=notify
        )
        graph_path = Path(folder) / GRAPH_FILE
        graph_path.write_bytes(found.graph.SerializeToString())
        whole = load_whole_graph(graph_path)
    made = dataclasses.replace(
        spec,
        name=options.name,
        arch="onnx",
        layers=layers_of_quantised(whole, spec.layers),
        default_layer=layer,
        # It must not end with the original's hash, which would claim the original's published accuracy.
        source=f"made of {spec.name} ({spec.source}): {len(found.quantised)} of {len(names)} layers in "
        "integers",
    )

    def write(folder: Path) -> None:
        save_graph(whole, folder)
        try_network(folder / GRAPH_FILE, made, notify)

    network = save(made, write, replace=options.replace)
    return QuantisedNetwork(network, found, len(pixels))
