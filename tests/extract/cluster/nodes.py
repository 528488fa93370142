"""A real Ray on this machine whose nodes and workers can be lost, runs on it, and what a cache holds."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fc7.extract.options import ClusterOptions, ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.extract.summary import ExtractSummary
from tests.support import CommandLine

needs_ray = [
    pytest.mark.ray,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers by Linux's /proc"),
]

N_IMAGES = 256
BROKEN = ("blue/0004.png", "red/0077.png")
STORE_BYTES = 100 << 20  # Ray takes no less than 75 MB


def patiently(start: Callable[[], Any]) -> Any:
    """Ray gives a node half a minute to start, which a machine that does much else may not have for it."""
    for _ in range(3):
        before = {process for process, parent in parents().items() if parent == os.getpid()}
        try:
            return start()
        except Exception:
            # What was started lives on, and what it takes is missing at the next try.
            for process, parent in parents().items():
                if parent == os.getpid() and process not in before:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
    return start()


def parents() -> dict[int, int]:
    """Every process of this machine -> the one that started it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


class Nodes:
    """A cluster of nodes with a core each; the first is the head."""

    def __init__(self, others: int = 1) -> None:
        from ray.cluster_utils import Cluster

        self.cluster: Any = Cluster()
        patiently(lambda: self.cluster.add_node(**self.arguments()))
        self.others: list[Any] = [self.add() for _ in range(others)]

    @staticmethod
    def arguments() -> dict[str, Any]:
        return {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        node = patiently(lambda: self.cluster.add_node(**self.arguments()))
        self.cluster.wait_for_nodes()
        return node

    def lose_one(self) -> None:
        """As if its power had gone."""
        if self.others:
            self.cluster.remove_node(self.others.pop(), allow_graceful=False)

    def one_more(self) -> None:
        self.others.append(self.add())

    def two_again(self) -> None:
        if not self.others:
            self.one_more()

    def head(self) -> list[int]:
        """What a cluster cannot do without: its head node's two processes."""
        processes = self.cluster.head_node.all_processes
        return [info.process.pid for name in ("gcs_server", "raylet") for info in processes[name]]

    def close(self) -> None:
        """End all of it."""
        self.cluster.shutdown()

    def workers(self) -> list[int]:
        """Processes of ours on these nodes."""
        raylets = {
            info.process.pid
            for node in self.cluster.list_all_nodes()
            for info in node.all_processes.get("raylet", [])
        }
        found = []
        for process, parent in parents().items():
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{process}/cmdline").read_bytes()
                if parent in raylets and title.startswith(b"ray::Actor"):
                    found.append(process)
        return found


def content(path: Path) -> dict[str, Any]:
    """Everything a reader sees, without us."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


class At:
    """A progress that does something when so many images are done."""

    def __init__(self, images: int, what: Callable[[], None]) -> None:
        self.left = images
        self.what: Callable[[], None] | None = what

    def start(self, total: int, what: str) -> None:
        self.counting = what == "extracting"

    def advance(self, n: int = 1) -> None:
        self.left -= n if self.counting else 0
        if self.left <= 0 and self.what is not None:
            what, self.what = self.what, None
            what()

    def finish(self) -> None:
        pass

    @property
    def happened(self) -> bool:
        return self.what is None


def to_extract(out: Path) -> list[str | Path]:
    """The command, without a cluster."""
    return ["extract", "imgs", "--network", "tiny", "-b", "8", "-o", out, "--json"]


def extract(
    cli: CommandLine, out: Path, progress: At | None = None, **cluster: Any
) -> tuple[ExtractSummary, list[str]]:
    """A run on the cluster that this process is connected to."""
    notes: list[str] = []
    os.environ["FC7_HOME"] = str(cli.store)
    options = ExtractOptions(network="tiny", batch_size=8, cluster=ClusterOptions(**cluster))
    summary = extract_features([cli.folder / "imgs"], out, options, progress=progress, notify=notes.append)
    return summary, notes


def assert_same(path: Path, cli: CommandLine, given_up: Collection[str] = ()) -> None:
    """Row for row what one process makes of the images of `cli`."""
    assert_same_content(content(path), content(cli.folder / "whole.h5"), given_up)
    assert not list(path.parent.glob(f"{path.name}.*"))


def assert_same_content(
    found: Mapping[str, Any], wanted: Mapping[str, Any], given_up: Collection[str] = ()
) -> None:
    """Features to 1e-5, all else to the letter but checksums; `given_up` are failures here and not there."""
    names = [name.encode() for name in given_up]
    stays = ~np.isin(wanted["path"], names)
    known = ~np.isin(found["failures/path"], names)
    assert sorted({*wanted["failures/path"], *names}) == found["failures/path"].tolist()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if name.startswith("features/"):
            np.testing.assert_allclose(found[name], value[stays], rtol=1e-5, atol=1e-5, err_msg=name)
        elif name.startswith("failures/"):
            np.testing.assert_array_equal(found[name][known], value, err_msg=name)
        elif not name.startswith("checksums"):
            kept = value[stays] if len(value) == len(stays) else value
            np.testing.assert_array_equal(found[name], kept, err_msg=name)
