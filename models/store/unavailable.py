"""What to say when a network is neither in the store nor to be had: first what works here and now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.common.program import command_line, own_call_with
from fc7.models.store import store
from fc7.models.store.availability import ready_networks
from fc7.models.store.default import called_default
from fc7.models.store.installed import is_installed, pip_line

Need = Literal["features", "classes", "this"]
"""What is needed: any network's features, ImageNet's 1000 classes, or this network and no other."""

Attempts = Sequence[tuple[str, str]]
"""Every address that was tried, with the reason it gave nothing."""

_WIDTH, _READY = 100, 3
# A command is for pasting, and may take two lines of a narrow terminal; no more.
_COMMAND_WIDTH = 160


def what_to_run_instead(name: str, need: Need, attempts: Attempts) -> str:
    """For a command that wanted to run the network: one screen, each failed host in one line.

    Parameters
    ----------
    name : str
        Of the catalogue.
    need : {"features", "classes", "this"}
    """
    called = called_default(name) if need != "this" else ""
    lines = [f"network {name!r}{called} is not in the network store; fetching it failed."]
    if need != "this":
        lines += [*_ready_here(need), *brought_by_pip(name)]
    lines += _ways_to(name, catalog.entry(name).sources)
    if need == "features":
        lines += ["To try the tool without trained weights:", f"  {_own_call_with('alexnet-untrained')}"]
    return "\n".join([*lines, *_tried(attempts)])


def how_to_bring(name: str, sources: Sequence[WeightSource], attempts: Attempts) -> str:
    """For `models pull`, which wants this network and no other: every address in full.

    Parameters
    ----------
    sources : sequence of WeightSource
        The catalogue's; none of a name that is not in it.
    """
    head = f"network {name!r} is not in the network store; fetching it failed. Tried:"
    tried = [line for address, reason in attempts for line in (f"  {address}", f"    {reason}")]
    return "\n".join([head, *tried, *(_ways_to(name, sources) if sources else ())])


def brought_by_pip(wanted: str) -> Iterator[str]:
    """Lines on the smallest network that a package brings; none if one is here, or `wanted` is such a one."""
    sources = {entry.name: source for entry in catalog.NETWORKS for source in entry.sources if source.package}
    here = store.names()
    if wanted in sources or any(name in here or is_installed(source) for name, source in sources.items()):
        return
    smallest, source = min(sources.items(), key=lambda item: item[1].size or 0)
    yield f"The package index has {smallest}{size_note(source)}:"
    yield f"  {pip_line(source)}"


def _ready_here(need: Need) -> Iterator[str]:
    ready = [network for network in ready_networks() if network.classifies or need == "features"]
    if ready:
        yield "These trained networks run here and now, the most accurate first:"
    for network in ready[:_READY]:
        yield f"  {_own_call_with(network.name)}"
    if len(ready) > _READY:
        yield f"  and {len(ready) - _READY} more: {command_line('models', 'list')}"


def _own_call_with(network: str) -> str:
    """The user's own command with another network, if it fits a line; in Python the option."""
    line = own_call_with("--network", network)
    if line is None:
        return f"ExtractOptions(network={network!r})"
    return line if len(line) <= _COMMAND_WIDTH else f"--network {network}"


def _ways_to(name: str, sources: Sequence[WeightSource]) -> Iterator[str]:
    """How to bring the very network."""
    yield f"To bring {name!r} itself:"
    for source in sources:
        if source.package:
            yield f"  {pip_line(source)}"
    if any(source.urls for source in sources):
        yield f"  {command_line('models', 'pull', name)}"
        path = command_line("models", "path", name)
        yield f"    on a machine with a connection; copy the folder that `{path}`"
        yield f"    prints there to {store.store_root() / 'networks' / name} here"
    yield f"  {command_line('models', 'import', 'FILE', '--as', name)}"
    yield "    from a file of its weights: " + " or ".join(f"{s.filename}{size_note(s)}" for s in sources)


def size_note(source: WeightSource) -> str:
    """`` (243.9 MB)``, or empty where nobody published the size."""
    return f" ({source.size / 1e6:.1f} MB)" if source.size else ""


def _tried(attempts: Attempts) -> Iterator[str]:
    """One line for each host and reason."""
    found = dict.fromkeys((urlsplit(address).hostname or address, reason) for address, reason in attempts)
    for host, reason in found:
        yield textwrap.shorten(f"Tried {host}: {reason}", _WIDTH, placeholder="...")
