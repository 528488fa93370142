"""What workers are told of a run, and what follows from what they see of the driver's files."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fc7.extract.cache.format.header import tool_version
from fc7.extract.cluster.backend import Backend
from fc7.extract.cluster.messages import Greeting, Introduction
from fc7.extract.cluster.slots import Slot
from fc7.extract.records import ImageRef, Origin
from fc7.extract.worker.worker import Keeping, NetworkRun
from fc7.models.common.errors import ImageError, UsageError
from fc7.models.common.progress import Notify

# Of each place one image is tried; with more places than these, not of every one.
_PLACES_TRIED = 16
_TRIES_A_PLACE = 4


class Handshake:
    """The run as workers get to know it.

    Parameters
    ----------
    run : NetworkRun
        Its threads, and images decoded at once, unless given, are each worker's share of its node.
    keeping : Keeping or None
        None lets all workers hand rows back.
    say : callable
        Is told of each finding once.
    """

    def __init__(
        self,
        backend: Backend,
        images: Sequence[ImageRef],
        run: NetworkRun,
        keeping: Keeping | None,
        say: Notify,
    ) -> None:
        self.run = run
        self._backend = backend
        self._keeping = keeping
        self._say = say
        self._network: Any = None
        self._n_images = len(images)
        origins: dict[int, tuple[Origin, list[ImageRef]]] = {}
        for ref in images:
            _, first = origins.setdefault(id(ref.origin), (ref.origin, []))
            if len(first) < _TRIES_A_PLACE:
                first.append(ref)
        self.numbers: Mapping[int, int] = {key: number for number, key in enumerate(origins)}
        self._origins = backend.share([origin for origin, _ in origins.values()])
        probe, word = _write_probe(keeping.folder) if keeping is not None else (None, b"")
        places = [first for _, first in origins.values()][:_PLACES_TRIED]
        self.greeting = Greeting(
            probe=probe,
            word=word,
            network={str(path): path.stat().st_size for path in self._network_files()},
            samples=[ref for ref in map(_readable, places) if ref is not None],
            device=run.how.device,
            precision=run.how.precision,
        )

    def close(self) -> None:
        """Take the probe away."""
        if self.greeting.probe is not None:
            self.greeting.probe.unlink(missing_ok=True)

    def order(self, slot: Slot, answer: Introduction) -> tuple[Any, ...]:
        """What a worker that has introduced itself is to open: the arguments of `Actor.open`.

        Raises
        ------
        UsageError
            If its machine cannot take part.
        """
        name = slot.node.name
        if answer.version != tool_version():
            raise UsageError(
                f"{name} has fc7 {answer.version} and this machine {tool_version()}; install the same one in "
                "every node's environment"
            )
        if answer.unseen is not None:
            raise UsageError(
                f"{name} does not see the images: {answer.unseen}; they must lie where every node reads them "
                "under the same path, or be given by an address (s3://bucket/imgs)"
            )
        if self.run.how.precision == "auto":
            # What the first worker takes is taken by all: rows of one run are to be alike.
            how = dataclasses.replace(self.run.how, precision=answer.precision)
            self.run = dataclasses.replace(self.run, how=how)
        keeping = self._keeping if answer.sees_folder else None
        if keeping is not None:
            self._say(f"workers see {keeping.folder} and write their rows there")
        elif self._keeping is not None:
            self._say(
                f"{name} does not see {self._keeping.folder}: its rows travel through Ray's object store, "
                "and this process writes them"
            )
        cores = max(1, int(slot.cpus))
        how = self.run.how
        how = dataclasses.replace(how, jobs=how.jobs or cores, threads=how.threads or cores)
        run = dataclasses.replace(self.run, how=how)
        return (
            run,
            keeping,
            self._n_images,
            self._origins,
            None if answer.sees_network else self._sent_network(name),
        )

    def _sent_network(self, name: str) -> Any:
        """The network's files in the object store, put there when the first worker needs them."""
        self._say(f"{name} does not see the network's files and gets them through Ray's object store")
        if self._network is None:
            self._network = self._backend.share(
                {path.name: path.read_bytes() for path in self._network_files()}
            )
        return self._network

    def _network_files(self) -> list[Path]:
        return sorted(path for path in self.run.graph_path.parent.iterdir() if path.is_file())


def _write_probe(folder: Path) -> tuple[Path, bytes]:
    word = secrets.token_bytes(16)
    folder.mkdir(exist_ok=True)
    # Under this suffix a probe of a killed run is swept away with segments that were not finished.
    probe = folder / f"probe-{secrets.token_hex(4)}.partial"
    probe.write_bytes(word)
    return probe, word


def _readable(refs: Sequence[ImageRef]) -> ImageRef | None:
    """The first of them that this machine can read, if there is one."""
    for ref in refs:
        try:
            ref.origin.read(ref)
        except ImageError:
            continue
        return ref
    return None
