"""Features that a cache does not have: earlier layers of its network, and another network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from fc7.classify.fit.next_steps import NextStep, option_of
from fc7.extract.cache.reader import CacheReader
from fc7.models.catalog import catalog
from fc7.models.common.errors import Fc7Error
from fc7.models.common.program import command_line, pasted
from fc7.models.network.spec import NetworkSpec, Pool
from fc7.models.store import store
from fc7.models.store.availability import ready_networks

# How many earlier layers are named; the accuracy of features falls with the distance from the last ones.
_MOST_LAYERS = 2
# A row of AlexNet's pool5 has 9216 features. Longer ones make a cache that is large and slow to fit on.
_MOST_FEATURES = 16384


def earlier_layers(reader: CacheReader, given_before: str) -> Iterator[NextStep]:
    """How to extract layers of the network before the cache's earliest; none if the network is not here.

    For a network of the catalogue they are those it lists; for another one the last before each reduction
    of the map.

    Parameters
    ----------
    given_before : str
        As `options_of_before` gives it.
    """
    identity = reader.identity
    spec = _spec_of(identity.network)
    if spec is None or not {layer.name for layer in spec.layers}.issuperset(reader.layers):
        return
    names = [layer.name for layer in spec.layers]
    first = min(map(names.index, reader.layers))
    listed = _listed(spec) or _before_reductions(spec)
    earlier = [name for name in listed if names.index(name) < first][-_MOST_LAYERS:]
    given = cast(Pool, identity.pool)
    pool = _pool(spec, given, earlier)
    if not earlier or pool is None:
        return
    flags = [] if pool == given else ["--pool", pool]
    fit = pasted(["fit", "--layer", "auto", *option_of(reader.corrected)])
    latest_first = [*reversed(reader.layers), *reversed(earlier)]
    yield NextStep(
        f"The feature cache has no layer before {names[first]}, and images unlike those of ImageNet are "
        f"often told apart better by an earlier one: extract {' and '.join(reversed(earlier))} too"
        f"{given_before}, then {fit}.",
        command_line(
            *("extract", *reader.header.roots, "--network", identity.network),
            *("--layer", ",".join(latest_first), *flags, "-o", _beside(reader.path, "layers")),
        ),
    )


def another_network(reader: CacheReader, given_before: str) -> Iterator[NextStep]:
    """The most accurate network that is here, or else one to download; by published top-1 on ImageNet."""
    current = reader.identity.network
    here = [ready for ready in ready_networks() if ready.name != current]
    if here:
        best = here[0]
        published = "" if best.top1 is None else f", {best.top1:.1f}% top-1 on ImageNet"
        yield NextStep(
            f"Another network may tell these images apart better: {best.name} is here{published}. Compare "
            f"both on the same test images{given_before}.",
            command_line(
                *("choose", *reader.header.roots, "--networks", f"{current},{best.name}"),
                *option_of(reader.corrected),
            ),
        )
        return
    sized = [
        (entry.name, entry.top1, source.size)
        for entry in catalog.NETWORKS
        for source in entry.sources[:1]
        if entry.name != current and entry.top1 and source.urls and source.size
    ]
    if not sized:
        return
    # Published accuracy for each doubling of the download: bytes matter by their order of magnitude. That is
    # a convention of this program.
    name, top1, size = max(sized, key=lambda one: one[1] / one[2].bit_length())
    yield NextStep(
        f"Another network may tell these images apart better: {name} ({top1:.1f}% top-1 on "
        f"ImageNet, {size / 1e6:.0f} MB to download).",
        command_line("models", "pull", name),
    )


def options_of_before(reader: CacheReader) -> str:
    """What a command that extracts again must be given too, where the folders alone do not tell it."""
    columns = reader.columns()
    corrected = set() if reader.corrected is None else {image.path for image in reader.corrected.images}
    of_folders = all(
        not label or label in path.split("/")[:-1]
        for path, label in zip(columns.path, columns.label, strict=True)
        if path not in corrected
    )
    wanted = [*([] if of_folders else ["--labels"]), *(["--group-by"] if any(columns.group) else [])]
    return f" (add the {' and '.join(wanted)} of before)" if wanted else ""


def _spec_of(network: str) -> NetworkSpec | None:
    try:
        return store.load(network).spec
    except Fc7Error:  # advice does without a network that is gone or damaged
        return None


def _listed(spec: NetworkSpec) -> list[str]:
    """What the catalogue lists of it, but for what stands before an activation (fc6_pre before fc6)."""
    if spec.name not in catalog.names():
        return []
    names = {layer.name for layer in spec.layers}
    listed = catalog.entry(spec.name).layers
    return [name for name, _ in listed if name in names and not name.endswith("_pre")]


def _before_reductions(spec: NetworkSpec) -> list[str]:
    """The last layer of each size of the map, in the order of the graph."""
    last: dict[tuple[int, ...], str] = {}
    for layer in spec.layers:
        if len(layer.shape) == 3:
            size = layer.shape[:2] if layer.channels_last else layer.shape[1:]
            last.pop(size, None)
            last[size] = layer.name
    return list(last.values())


def _pool(spec: NetworkSpec, pool: Pool, layers: Sequence[str]) -> Pool | None:
    """The cache's own, or else avg, if that makes rows of a length to fit on; None if neither does."""
    ways: tuple[Pool, ...] = (pool, "avg")
    for way in ways:
        if all(spec.layer(name).dim(way) <= _MOST_FEATURES for name in layers):
            return way
    return None


def _beside(features: Path, suffix: str) -> str:
    return str(features.with_name(f"{features.stem}-{suffix}.h5"))
