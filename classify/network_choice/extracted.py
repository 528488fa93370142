"""One extraction for each network, with all layers that are compared; a network that fails is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fc7.classify.network_choice.candidates import NetworkCandidate
from fc7.classify.network_choice.labelled_progress import LabelledProgress
from fc7.classify.network_choice.result import Speed
from fc7.extract.engine.trial import try_network
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.records import Listing
from fc7.extract.summary import ExtractSummary, failed_text
from fc7.models.common.errors import (
    CredentialsError,
    Fc7Error,
    HungError,
    ProviderError,
    StoppedError,
)
from fc7.models.common.progress import Notify, Progress
from fc7.models.common.terminal import counted
from fc7.models.outputs.outputs import Output
from fc7.models.store.ensure import ensure_network
from fc7.models.store.measured import Measured, measured_here

# Of the machine, the call or its images, not of one network: the next one would fail alike.
_OF_ALL = (CredentialsError, HungError, ProviderError)


@dataclass(frozen=True, slots=True)
class Extracted:
    """A network whose features lie in its cache.

    Attributes
    ----------
    layers : tuple of str
        As the cache names them.
    size : int
        Bytes of the network's files.
    measured : Measured or None
        What `models bench` measured of the network on this machine.
    """

    network: str
    layers: tuple[str, ...]
    size: int
    measured: Measured | None
    summary: ExtractSummary

    @property
    def cache(self) -> Path:
        """The feature cache."""
        return self.summary.out

    def name(self, layer: str) -> str:
        """What a layer is called: by its network alone where no other layer of it is compared."""
        return self.network if len(self.layers) == 1 else f"{self.network}:{layer}"

    def speed(self, layer: str) -> Speed | None:
        """The speed of this extraction if it did all rows; else what `models bench` measured, if it did."""
        if self.summary.extracted == self.summary.rows:
            return Speed(self.summary.rate, "extract")
        if self.measured is None or self.measured.layer != layer:
            return None
        return Speed(self.measured.images_per_second, "bench")


def extract_all(
    candidates: Sequence[NetworkCandidate],
    listing: Listing,
    outputs: Mapping[str, Output],
    options: ExtractOptions,
    progress: Progress,
    notify: Notify,
) -> tuple[list[Extracted], list[tuple[str, str]]]:
    """Extract with every network in turn.

    Parameters
    ----------
    outputs : mapping of str to Output
        `NetworkCandidate.file` -> where the cache goes.

    Returns
    -------
    list of Extracted
        Those that gave features.
    list of (str, str)
        The others, each with the reason.

    Raises
    ------
    StoppedError
        After Ctrl-C.
    CredentialsError, HungError, ProviderError
        What would fail with every network ends the run.
    """
    done: list[Extracted] = []
    failed: list[tuple[str, str]] = []
    for i, candidate in enumerate(candidates, 1):
        network = candidate.network
        notify(f"network {i} of {len(candidates)}: {network}")
        chosen = replace(options, network=network, layers=candidate.layers)
        labelled = LabelledProgress(progress, network)
        try:
            found = _extract(listing, outputs[candidate.file], chosen, progress=labelled, notify=notify)
        except StoppedError as exc:
            whole = ", ".join(str(each.cache) for each in done)
            raise StoppedError(f"{network}: {exc}" + (f"; {whole} whole" if whole else "")) from exc
        except _OF_ALL:
            raise
        except Fc7Error as exc:
            # What follows is a way out for `extract`, and this call goes on.
            reason = str(exc).partition("\n")[0]
            failed.append((network, reason))
            notify(f"{network} failed: {reason}")
            continue
        done.append(found)
        notify(_said(found.summary))
    return done, failed


def _extract(
    listing: Listing, output: Output, options: ExtractOptions, progress: Progress, notify: Notify
) -> Extracted:
    # Before the clock of `extract_features` starts: a download says nothing of a network's speed.
    stored = ensure_network(options.network, progress, notify=notify, trial=try_network)
    spec = stored.spec
    layers = tuple(dict.fromkeys(spec.layer(name or spec.default_layer).name for name in options.layers))
    summary = extract_features(
        listing, output, replace(options, layers=layers), progress=progress, notify=notify
    )
    if not summary.rows:
        raise Fc7Error(failed_text(summary))
    return Extracted(
        spec.name, layers, stored.size, measured=measured_here(notify).get(spec.name), summary=summary
    )


def _said(summary: ExtractSummary) -> str:
    """A line when a network is done."""
    rate = f", {summary.rate:.0f} images/s" if summary.extracted else ""
    return (
        f"{summary.out}: {counted(summary.rows, 'row')}, {summary.extracted} extracted now in "
        f"{summary.seconds:.1f} s{rate}"
    )
