"""A cluster in this process whose workers answer at once, or die when a test says so."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fc7.extract.cache.commit.segments import write_segment
from fc7.extract.cache.format.header import tool_version
from fc7.extract.clock import Clock
from fc7.extract.cluster.backend import Broken, Gone, Outcome
from fc7.extract.cluster.messages import Greeting, Introduction, Parcel, Result, WorkerReady
from fc7.extract.cluster.slots import Node, Slot
from fc7.extract.records import Failure, ImageRef, Origin, Rows
from fc7.extract.worker.in_flight import InFlight
from fc7.extract.worker.worker import Keeping, NetworkRun
from fc7.models.network.spec import LayerSpec, NetworkSpec, caffe_preprocess
from tests.support.fakes import MemoryOrigin
from tests.support.models.fake_networks import fake_files

LAYER = "pool5"
BATCH = 4


def feature_of(path: str, dim: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the made-up network gives for an image."""
    seed = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).random(dim, np.float32)


@dataclass
class FakeWorker:
    """The worker's side, without a network: `broken` paths fail, and `lethal` ones end it."""

    backend: FakeBackend
    slot: Slot
    dead: bool = False
    stopped: bool = False
    keeping: Keeping | None = None
    run: NetworkRun | None = None
    origins: Sequence[Origin] = ()
    in_flight: InFlight | None = None

    def hello(self, greeting: Greeting) -> Outcome:
        backend, node = self.backend, self.slot.node.name
        if node in backend.dies_at_once:
            self.dead = True
            return Gone("killed")
        backend.greetings.append(greeting)
        sees = greeting.probe is not None and node not in backend.blind
        assert not sees or greeting.probe is None or greeting.probe.read_bytes() == greeting.word
        return Introduction(
            backend.versions.get(node, tool_version()),
            sees_folder=sees,
            sees_network=node not in backend.without_network,
            unseen="a.jpg (vanished)" if node in backend.without_images else None,
            precision="bf16" if node in backend.bf16 else "fp32",
        )

    def open(
        self, run: NetworkRun, keeping: Keeping | None, n_images: int, origins: Any, files: Any
    ) -> Outcome:
        self.keeping, self.run, self.origins = keeping, run, origins
        self.backend.opened.append((self.slot.node.name, run, files))
        self.about = {"provider": "fake", "precision": str(run.how.precision)}
        if keeping is not None and self.backend.tells:
            self.in_flight = InFlight(keeping.folder / f"in-flight-{id(self)}.partial")
        return WorkerReady("fake: as asked", BATCH, self.in_flight.path if self.in_flight else None)

    def process(self, parcel: Parcel) -> Outcome:
        backend = self.backend
        backend.parcels.append((self.slot.node.name, list(parcel.paths)))
        if backend.before is not None:
            backend.before(self, parcel)
        if self.dead or self.stopped:
            return Gone("killed")
        deadly = [parcel.start + i for i, path in enumerate(parcel.paths) if path in backend.lethal]
        if deadly:
            self.dead = True
            if self.in_flight is not None:
                # As a kill leaves it, in the midst of that image and its neighbours.
                inside = range(parcel.start, parcel.start + len(parcel.paths))
                reading = [i + 1 for i in range(deadly[0] - 1, deadly[0] + 2) if i in inside]
                self.in_flight.path.write_bytes(array("q", reading).tobytes())
            return Gone("killed or crashed", memory=backend.memory)
        if backend.out_of_memory & set(parcel.paths):
            return Broken(MemoryError())
        rows = [i for i, path in enumerate(parcel.paths) if path not in backend.broken]
        paths = [parcel.paths[i] for i in rows]
        failures = [
            Failure(path, "not an image", size, mtime)
            for path, size, mtime in zip(parcel.paths, parcel.sizes, parcel.mtimes_ns, strict=True)
            if path in backend.broken
        ]
        sha = [hashlib.sha256(path.encode()).hexdigest() for path in paths]
        assert self.run is not None
        dim = self.run.spec.layer(LAYER).dim("flatten")
        features = (
            {LAYER: np.array([feature_of(path, dim) for path in paths]).reshape(-1, dim)} if paths else {}
        )
        if self.keeping is None:
            finished = Rows((), sha, features, failures=failures, provenance=self.about)
            return Result(rows, finished, Clock(1.0, 2.0, 3.0))
        refs = parcel.refs(self.origins)
        block = Rows([refs[i] for i in rows], sha, features, failures=failures)
        write_segment(self.keeping.folder, parcel.name, self.keeping.header, block)
        kept = Rows((), sha, {}, failures=failures, kept=True, provenance=self.about)
        return Result(rows, kept, Clock(1.0, 2.0, 3.0))


@dataclass
class FakeBackend:
    """Runs each call when it is waited for, the oldest first."""

    alive: list[Node]
    broken: set[str] = field(default_factory=set)
    lethal: set[str] = field(default_factory=set)
    out_of_memory: set[str] = field(default_factory=set)
    blind: set[str] = field(default_factory=set)
    without_network: set[str] = field(default_factory=set)
    without_images: set[str] = field(default_factory=set)
    dies_at_once: set[str] = field(default_factory=set)
    bf16: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    before: Callable[[FakeWorker, Parcel], None] | None = None
    newest_first: bool = False
    tells: bool = False
    memory: bool = False

    def __post_init__(self) -> None:
        self.described = "a cluster that is not there"
        self.calls: dict[int, tuple[FakeWorker, str, tuple[Any, ...]]] = {}
        self.workers: list[FakeWorker] = []
        self.parcels: list[tuple[str, list[str]]] = []
        self.greetings: list[Greeting] = []
        self.opened: list[tuple[str, NetworkRun, Any]] = []
        self.shared: list[Any] = []
        self._number = 0

    def nodes(self) -> list[Node]:
        return list(self.alive)

    def share(self, value: Any) -> Any:
        self.shared.append(value)
        return value

    def start(self, slot: Slot) -> FakeWorker:
        self.workers.append(FakeWorker(self, slot))
        return self.workers[-1]

    def call(self, worker: FakeWorker, method: str, *arguments: Any) -> int:
        self._number += 1
        self.calls[self._number] = worker, method, arguments
        return self._number

    def wait(self, tickets: Sequence[int], seconds: float) -> list[tuple[int, Outcome]]:
        tickets = [ticket for ticket in tickets if not self.calls[ticket][0].stopped]
        if not tickets:
            time.sleep(seconds)
            return []
        ticket = max(tickets) if self.newest_first else min(tickets)
        worker, method, arguments = self.calls.pop(ticket)
        if worker.dead or worker.slot.node not in self.alive:
            return [(ticket, Gone("killed"))]
        outcome = getattr(worker, method)(*arguments)
        if worker.stopped:
            self.calls[ticket] = worker, method, arguments
            return []
        return [(ticket, outcome)]

    def stop(self, worker: FakeWorker) -> None:
        worker.dead = True

    def stop_all(self, workers: Iterable[FakeWorker], tickets: Sequence[int]) -> None:
        for worker in workers:
            worker.dead = True


def node(name: str, cpus: float = 1, gpus: float = 0) -> Node:
    return Node(f"id-{name}", name, cpus, gpus)


def images(n: int) -> list[ImageRef]:
    """A listing of small images that can be read."""
    files: dict[str, bytes | None] = {f"{i:04}.jpg": b"1" * 8 for i in range(n)}
    return MemoryOrigin(files).refs()


def network_run(folder: Path) -> NetworkRun:
    """A run of a network of which only the record is looked at; its files are there."""
    spec = NetworkSpec(
        "made-up", "onnx", caffe_preprocess(), (LayerSpec(LAYER, LAYER, (3,), "a" * 64),), LAYER
    )
    fake_files()(folder)
    return NetworkRun(folder / "network.onnx", spec, (LAYER,))
