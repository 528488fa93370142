"""The one door to Ray: connect, start workers, call them, learn that they are gone."""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast

from fc7.extract.cluster.actor import Actor
from fc7.extract.cluster.backend import Broken, Gone, Outcome
from fc7.extract.cluster.guard import ExitReporter
from fc7.extract.cluster.heartbeat import LAST_SECONDS, ClusterLostError, Endpoint, Heartbeat, leave, ping
from fc7.extract.cluster.slots import Node, Slot
from fc7.extract.options import AUTO, LOCAL
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.common.program import pip_install

# Set before Ray is imported: nothing is reported anywhere, nothing but errors is printed, and no page
# is served (docs.ray.io, "Usage Stats Collection", "Configuring Ray").
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_LOG_TO_DRIVER": "0",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray import exceptions
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as exc:
    raise UsageError(
        f"--ray needs Ray, which is not installed ({exc}); {pip_install('fc7[ray]')} brings it, and the same "
        "must be done on every node"
    ) from exc

# One chunk at its end and the next one's beginning: `extract.worker.worker.Worker`.
AT_ONCE = 2
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 10.0
# Ray waits 60 s for a head node, whose service may be started anew meanwhile, and twelve for the other.
_HEAD_SECONDS = 20.0
_NODE_SECONDS = 3.0
# What was started for this run does not come back.
_LOCAL_LAST_SECONDS = 10.0
# The driver's own machine must have room for the object; these are no fault of an image.
_FULL = (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError)


class RayBackend:
    """A connected Ray; use `connect`."""

    def __init__(self, local: bool, heartbeat: Heartbeat) -> None:
        self.local = local
        self._heartbeat = heartbeat
        self._nodes: dict[str, Node] = {}
        self._alive: list[Node] = []

    @property
    def described(self) -> str:
        """For the user."""
        if self.local:
            return "a local Ray cluster, started for this run"
        return f"the Ray cluster at {ray.get_runtime_context().gcs_address}"

    def nodes(self) -> list[Node]:
        """The machines that are alive, in a fixed order; those of the last time while Ray cannot be asked.

        Raises
        ------
        ClusterLostError
        """
        self._heartbeat.check()
        if not self._heartbeat.answers():
            return self._alive
        alive = [node for node in ray.nodes() if node["Alive"]]
        hosts = [str(node["NodeManagerHostname"]) for node in alive]
        for node, host in zip(alive, hosts, strict=True):
            known = self._nodes.get(node["NodeID"])
            twin = hosts.count(host) > 1 or any(
                n.name == host for n in self._nodes.values() if n is not known
            )
            name = f"{host}/{node['NodeID'][:6]}" if twin else host
            resources = node["Resources"]
            self._nodes[node["NodeID"]] = Node(
                node["NodeID"],
                known.name if known else name,
                resources.get("CPU", 0.0),
                gpus=resources.get("GPU", 0.0),
            )
        found = (self._nodes[node["NodeID"]] for node in alive)
        self._alive = sorted(found, key=lambda node: (node.name, node.id))
        return self._alive

    def share(self, value: Any) -> Any:
        """Put a value where every worker can fetch it; once for all of them."""
        return ray.put(value)

    def start(self, slot: Slot) -> Any:
        """A new worker; its first calls wait until it runs."""
        # A worker is not restarted, and no call repeated, behind the driver's back: it decides what
        # is done again, and in which pieces.
        remote: Any = ray.remote(Actor)
        return remote.options(
            num_cpus=slot.cpus,
            num_gpus=slot.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=AT_ONCE,
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node.id, soft=False),
        ).remote()

    def call(self, worker: Any, method: str, *arguments: Any) -> Any:
        """Ask a worker something; the ticket for its answer."""
        return getattr(worker, method).remote(*arguments)

    def wait(self, tickets: Sequence[Any], seconds: float) -> list[tuple[Any, Outcome]]:
        """Answers that have come, at least one if one comes within `seconds`.

        Raises
        ------
        Fc7Error
            If Ray itself has no room left.
        ClusterLostError
        """
        self._heartbeat.check()
        waiting = list(tickets)
        ready, _ = ray.wait(waiting, num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [(ticket, _outcome(ticket)) for ticket in ready]

    def stop(self, worker: Any) -> None:
        """End a worker, whatever it is doing."""
        if self._heartbeat.lost:
            return
        with contextlib.suppress(exceptions.RayError):
            ray.kill(worker, no_restart=True)

    def stop_all(self, workers: Iterable[Any], tickets: Sequence[Any]) -> None:
        """End workers and wait until what they were doing has ended."""
        if self._heartbeat.lost:
            return
        for worker in workers:
            self.stop(worker)
        if tickets:
            with contextlib.suppress(exceptions.RayError):
                ray.wait(list(tickets), num_returns=len(tickets), timeout=_STOP_SECONDS)


class WithoutRay:
    """A stream that leaves out what Ray's own threads print.

    Ray tells of workers and nodes that died on stdout, whatever its settings (2.60), in the midst of what
    another program reads there. The driver hears of them by its calls and says so itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what others print."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def connect(address: str) -> Iterator[RayBackend]:
    """A connection to a cluster; a local one lives as long as the block.

    Parameters
    ----------
    address : str
        See `extract.options.ClusterOptions`.

    Raises
    ------
    UsageError
        If there is no cluster at the address.
    ClusterLostError
        If what the run needs of it is gone.
    """
    if ray.is_initialized():
        # Somebody who uses fc7 as a library has connected already, and goes on after us.
        places = _places(local=False)
        with ExitReporter(places), Heartbeat(places) as heartbeat:
            yield RayBackend(False, heartbeat)
        return
    with redirect_stdout(cast("TextIO", WithoutRay(sys.stdout))):
        try:
            local = _initialise(address)
            places = _places(local=local)
            last = _LOCAL_LAST_SECONDS if local else LAST_SECONDS
            with ExitReporter(places), Heartbeat(places, last) as heartbeat:
                yield RayBackend(local, heartbeat)
        except ClusterLostError:
            # Ray's own end waits for what is gone until Ray ends the process.
            atexit.register(leave)
            raise
        except BaseException as exc:
            _shut_down()
            if isinstance(exc, exceptions.RayError):
                raise Fc7Error(f"the Ray cluster failed: {_line(exc)}; the same command goes on") from exc
            raise
        _shut_down()


def _shut_down() -> None:
    """End the connection, when Ray prints what it has held back as repetitions, in this very thread."""
    with redirect_stdout(io.StringIO()):
        ray.shutdown()


def _places(*, local: bool) -> list[Endpoint]:
    """Without which Ray ends this process."""
    context = ray.get_runtime_context()
    addresses = [
        f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
        for node in ray.nodes()
        if node["NodeID"] == context.get_node_id()
    ]
    if local:
        name, remedy = "the local Ray cluster of this run", "run the same command again to go on"
        # Nobody starts its service anew.
        return [
            Endpoint(name, address, _NODE_SECONDS, remedy=remedy)
            for address in (context.gcs_address, *addresses)
        ]
    head = Endpoint("the head node of the Ray cluster", context.gcs_address, _HEAD_SECONDS)
    name = "the node of the Ray cluster that this process was connected to"
    return [head, *(Endpoint(name, address, _NODE_SECONDS) for address in addresses)]


def _initialise(address: str) -> bool:
    """Connect; whether a local cluster was started for it."""
    wanted = _running() if address == AUTO else address
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        if wanted in (None, LOCAL):
            ray.init(address=LOCAL, _node_ip_address="127.0.0.1", include_dashboard=False, **quiet)
            return True
        ping(str(wanted), _ANSWER_SECONDS)
        ray.init(address=wanted, **quiet)
    except (OSError, ValueError, RuntimeError, exceptions.RayError) as exc:
        raise UsageError(
            f"--ray {wanted or LOCAL}: no Ray cluster can be reached or started there "
            f"({_line(exc)}); start one with `ray start --head` and give its host:port, or give --ray local"
        ) from exc
    except Exception as exc:  # Ray raises it bare where a node does not start within half a minute
        raise Fc7Error(f"Ray did not start: {_line(exc)}; run the same command again to go on") from exc
    return False


def _running() -> str | None:
    """What Ray's own tools would take: $RAY_ADDRESS, else what `ray start` noted, if it answers."""
    if os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"]
    noted = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    try:
        address = noted.read_text(encoding="utf-8").strip()
        ping(address, _ANSWER_SECONDS)
    except (OSError, ValueError):
        return None  # the note outlives a cluster that was killed
    return address


def _line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:300]


def _outcome(ticket: Any) -> Outcome:
    try:
        return ray.get(ticket)
    except exceptions.RayTaskError as exc:
        cause = exc.cause if isinstance(getattr(exc, "cause", None), BaseException) else exc
        return Broken(cause)
    except _FULL as exc:
        raise Fc7Error(
            f"Ray's object store is full: {_line(exc)}; give Ray more memory or disk, or put the feature "
            "cache where every worker sees it"
        ) from exc
    except exceptions.RayError as exc:
        return _gone(exc)


def _gone(exc: exceptions.RayError) -> Gone:
    """Ray's reason in one line: its messages are paragraphs."""
    if isinstance(exc, exceptions.OutOfMemoryError) or "low on memory" in str(exc):
        return Gone("Ray ended it because its machine ran out of memory", memory=True)
    if "connection error code" in str(exc):
        return Gone("it was killed or crashed, as happens when memory runs out")
    return Gone(_line(exc))
