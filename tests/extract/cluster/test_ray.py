"""Two nodes of a real Ray on this machine, and what may happen to them; every result is compared row for row.

`make test-ray` runs these alone. A fault is brought about from within the run, when a given number of
images are done, so that nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from extract.cache.header import features_name
from extract.cache.segments import list_segments, open_segment, segment_info
from extract.cluster.options import ClusterOptions
from extract.inputs import list_inputs
from extract.options import ExtractOptions
from extract.pipeline import extract_features
from extract.summary import ExtractSummary
from tests.extract.cluster.origins import CrampedOrigin, seen_through, with_lethal
from tests.support import CommandLine, command, lines_of, read_json

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers by Linux's /proc"),
]
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")

N_IMAGES = 256
BROKEN = ("blue/0004.png", "red/0077.png")
STORE_BYTES = 100 << 20  # Ray takes no less than 75 MB


class Nodes:
    """A cluster of two nodes with a core each; the first is the head."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster: Any = Cluster(initialize_head=True, head_node_args=self.arguments())
        self.second: Any = self.add()

    @staticmethod
    def arguments() -> dict[str, Any]:
        return {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        node = self.cluster.add_node(**self.arguments())
        self.cluster.wait_for_nodes()
        return node

    def lose_second(self) -> None:
        """As if its power had gone."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None

    def two_again(self) -> None:
        if self.second is None:
            self.second = self.add()

    def workers(self) -> list[int]:
        """Processes of ours on these nodes."""
        raylets = {
            info.process.pid
            for node in self.cluster.list_all_nodes()
            for info in node.all_processes.get("raylet", [])
        }
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                title = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in raylets and title.startswith(b"ray::Actor"):
                found.append(int(entry.name))
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


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Images that take a moment each, two of them broken, and what one process makes of them."""
    here = CommandLine(tmp_path_factory.mktemp("ray")).with_tiny_network()
    for i in range(N_IMAGES):
        colour = ("blue", "red")[i % 2]
        (here.folder / "imgs" / colour).mkdir(parents=True, exist_ok=True)
        # A large picture is a small file where it is plain; each one differs.
        picture = Image.new("RGB", (640, 640), (i % 256, i // 2 % 256, 90))
        picture.paste((255 - i % 256, 10, 200), (i, 0, 300 + i, 200 + i))
        picture.save(here.folder / "imgs" / colour / f"{i:04}.png", compress_level=1)
    for name in BROKEN:
        (here.folder / "imgs" / name).write_bytes(b"broken")
    here.good("extract", "imgs", "--network", "tiny", "-o", "whole.h5", "-b", "8")
    return here


@pytest.fixture(scope="module")
def nodes(cli: CommandLine) -> Iterator[Nodes]:
    """The cluster, and this process connected to it."""
    nodes = Nodes()
    ray.init(address=nodes.address, log_to_driver=False, logging_level="CRITICAL")
    yield nodes
    ray.shutdown()
    nodes.cluster.shutdown()


def extract(
    cli: CommandLine, out: Path, progress: At | None = None, **cluster: Any
) -> tuple[ExtractSummary, list[str]]:
    """A run on the cluster that this process is connected to."""
    notes: list[str] = []
    os.environ["FC7_HOME"] = str(cli.store)
    options = ExtractOptions(network="tiny", batch_size=8, cluster=ClusterOptions(**cluster))
    summary = extract_features([cli.folder / "imgs"], out, options, progress=progress, notify=notes.append)
    return summary, notes


def content(path: Path) -> dict[str, Any]:
    """Everything a reader sees, without us."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def assert_same(
    path: Path, cli: CommandLine, without: tuple[str, ...] = (), extra: tuple[str, ...] = ()
) -> None:
    """Row for row what one process makes; `without` and `extra` were given up, `extra` came later."""
    found, wanted = content(path), content(cli.folder / "whole.h5")
    stays = ~np.isin(wanted["path"], [name.encode() for name in without])
    rows = len(stays)
    for name, value in wanted.items():
        if name.startswith("features/"):
            np.testing.assert_allclose(found[name], value[stays], rtol=1e-5, atol=1e-5)
        elif not name.startswith(("failures/", "checksums")):
            np.testing.assert_array_equal(found[name], value[stays] if len(value) == rows else value)
    failed = sorted([*BROKEN, *without, *extra])
    assert [name.decode() for name in found["failures/path"]] == failed
    if not without and not extra:
        np.testing.assert_array_equal(found["failures/reason"], wanted["failures/reason"])
    assert not list(path.parent.glob(f"{path.name}.*"))


def test_two_nodes_make_what_one_process_makes_and_say_what_each_did(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    arguments: list[str | Path] = [
        "extract",
        "imgs",
        "--network",
        "tiny",
        "-b",
        "8",
        "-o",
        tmp_path / "f.h5",
        "--json",
    ]
    ran = cli.good(*arguments, "--ray", nodes.address)
    summary = read_json(ran.out)
    assert_same(tmp_path / "f.h5", cli)
    assert sum(node["images"] for node in summary["nodes"]) == N_IMAGES
    assert all(node["images_per_second"] > 0 for node in summary["nodes"])
    assert f"workers see {tmp_path / 'f.h5.work'} and write their rows there" in ran.err
    before = (tmp_path / "f.h5").stat().st_mtime_ns
    again = read_json(cli.good(*arguments, "--ray", nodes.address).out)
    assert (again["reused"], again["written"]) == (N_IMAGES - len(BROKEN), False)
    assert (tmp_path / "f.h5").stat().st_mtime_ns == before


def test_classify_gives_the_lines_of_one_process_in_the_same_order(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    cli.good("fit", "whole.h5", "--svm", "-o", "c.onnx")
    alone = cli("classify", "imgs", "-m", "c.onnx", "-o", tmp_path / "alone.csv")
    together = cli(
        "classify", "imgs", "-m", "c.onnx", "-o", tmp_path / "ray.csv", "--json", "--ray", nodes.address
    )
    assert (alone.code, together.code) == (1, 1)  # there are broken images
    found, wanted = lines_of(tmp_path / "ray.csv"), lines_of(tmp_path / "alone.csv")
    assert [line["path"] for line in found] == [line["path"] for line in wanted]
    for line, other in zip(found, wanted, strict=True):
        assert (line["label"], line["error"]) == (other["label"], other["error"])
        if line["score"]:
            assert float(line["score"]) == pytest.approx(float(other["score"]), abs=1e-5)
    assert sum(node["images"] for node in json.loads(together.out)["nodes"]) == N_IMAGES


def test_rows_travel_through_the_object_store_where_the_folder_is_not_shared(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    segments: list[int] = []
    watch = At(N_IMAGES // 2, lambda: segments.append(len(list((tmp_path / "f.h5.work").glob("*-*.h5")))))
    extract(cli, tmp_path / "f.h5", watch, share_folder=False)
    assert segments == [0]
    assert_same(tmp_path / "f.h5", cli)


def test_workers_that_are_killed_are_replaced(cli: CommandLine, nodes: Nodes, tmp_path: Path) -> None:
    def kill_all() -> None:
        # Some may be of the run before, and on their way out.
        for worker in nodes.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    progress = At(1, kill_all)
    _, notes = extract(cli, tmp_path / "f.h5", progress)
    assert progress.happened
    assert any("lost a worker" in note for note in notes)
    assert_same(tmp_path / "f.h5", cli)


def test_a_node_that_is_killed_mid_run_and_one_that_joins_late(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    nodes.two_again()
    lost = At(1, nodes.lose_second)
    # Its worker may not have had images yet: whether that is said is for test_driver, which decides it.
    extract(cli, tmp_path / "lost.h5", lost)
    assert lost.happened
    assert_same(tmp_path / "lost.h5", cli)
    late = At(1, nodes.two_again)
    summary, _ = extract(cli, tmp_path / "late.h5", late)
    assert late.happened
    assert sum(images for images, _ in summary.nodes.values()) == N_IMAGES
    assert_same(tmp_path / "late.h5", cli)


def test_an_image_that_ends_its_worker_is_named_and_the_rest_goes_on(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    nodes.two_again()
    lethal = "red/0201.png"
    os.environ["FC7_HOME"] = str(cli.store)
    listing = with_lethal(list_inputs([cli.folder / "imgs"]), [lethal])
    options = ExtractOptions(network="tiny", batch_size=8, cluster=ClusterOptions())
    out = tmp_path / "f.h5"
    summary = extract_features(listing, out, options)
    reasons = {failure.path: failure.reason for failure in summary.failures}
    assert "ended the worker that read it, 2 times" in reasons[lethal]
    assert_same(out, cli, without=(lethal,))
    # It is not tried again until that is asked for.
    assert extract_features(listing, out, options).extracted == 0


def test_an_image_that_no_memory_is_left_for_is_named_after_two_tries_and_ends_no_worker(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    """A real limit of the address space, and a real picture that does not fit into it."""
    nodes.two_again()
    # 8 MB as a file, 169 MB with its palette, 507 MB in colours.
    large = cli.folder / "imgs" / "blue" / "0100-large.png"
    Image.new("P", (13000, 13000), 3).save(large, compress_level=1)
    os.environ["FC7_HOME"] = str(cli.store)
    notes: list[str] = []
    try:
        listing = seen_through(
            list_inputs([cli.folder / "imgs"]), lambda inner: CrampedOrigin(inner, 400 << 20, os.getpid())
        )
        options = ExtractOptions(network="tiny", batch_size=8, cluster=ClusterOptions())
        summary = extract_features(listing, tmp_path / "f.h5", options, notify=notes.append)
    finally:
        large.unlink()
    reasons = {failure.path: failure.reason for failure in summary.failures}
    assert "more memory than there is (2 tries" in reasons["blue/0100-large.png"]
    assert not any("lost a worker" in note for note in notes)
    assert_same(tmp_path / "f.h5", cli, extra=("blue/0100-large.png",))


def test_a_task_that_the_engine_runs_twice_is_one_segment(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    from extract.cache.identity import CacheIdentity
    from extract.cache.segments import SegmentHeader
    from extract.cluster.lifeline import Lifeline
    from extract.cluster.messages import Parcel
    from extract.cluster.ray_engine import RayEngine
    from extract.cluster.slots import plan_slots
    from extract.worker import Keeping, NetworkRun
    from models import store

    os.environ["FC7_HOME"] = str(cli.store)
    network = store.load("tiny")
    refs = list_inputs([cli.folder / "imgs"]).images[:20]
    engine = RayEngine(False, Lifeline([]))
    slots = plan_slots(engine.nodes(), 2, None)
    workers = [engine.start(slot) for slot in slots]
    run = NetworkRun(network.graph_path, network.spec, ("embedding",), batch_size=8)
    keeping = Keeping(tmp_path, SegmentHeader(CacheIdentity.of(network.spec), {}), "float32")
    parcel = Parcel.of(refs, 0, {id(refs[0].origin): 0}, "000000", "about")
    written = []
    for worker in workers:
        engine.wait([engine.call(worker, "open", run, keeping, 20, [refs[0].origin], None)], 120)
        [(_, result)] = engine.wait([engine.call(worker, "process", parcel)], 120)
        assert result.kept
        [segment] = list_segments(tmp_path)
        with open_segment(segment) as file:
            rows = segment_info(file).rows
            written.append(file.read(features_name("embedding"), 0, rows))
    first, second = written
    np.testing.assert_array_equal(first, second)
    engine.stop_all(workers, [])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_is_started_again_and_nothing_finished_is_redone(
    cli: CommandLine, nodes: Nodes, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "f.h5"
    arguments: list[str | Path] = [
        "extract",
        "imgs",
        "--network",
        "tiny",
        "-b",
        "8",
        "-o",
        out,
        "--json",
        "--ray",
        nodes.address,
    ]
    process = subprocess.Popen(
        command(arguments),
        cwd=cli.folder,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("f.h5.work/*-*.h5")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        kept = 0
        for path in list_segments(tmp_path / "f.h5.work"):
            with open_segment(path) as file:
                kept += segment_info(file).rows
    else:
        assert process.returncode == 130, err
        assert "run the same command again" in err
        assert "Traceback" not in err
        kept = len(content(out)["path"]) if out.exists() else 0
    summary = read_json(cli.good(*arguments).out)
    assert summary["reused"] >= kept
    assert 0 < summary["extracted"] <= N_IMAGES - kept
    assert_same(out, cli)


def test_what_ray_itself_prints_is_not_in_the_results() -> None:
    from extract.cluster.ray_engine import WithoutRay

    stream = io.StringIO()
    quiet: Any = WithoutRay(stream)
    ray_thread = threading.Thread(target=print, args=("raylet died",), kwargs={"file": quiet}, name="ray_x")
    ray_thread.start()
    ray_thread.join()
    print("ours", file=quiet, flush=True)
    assert stream.getvalue() == "ours\n"


def test_an_address_without_a_cluster_is_a_wrong_call(cli: CommandLine, nodes: Nodes) -> None:
    """`nodes` is there so that Ray is not started for this alone."""
    ran = cli("extract", "imgs", "--network", "tiny", "-o", "no.h5", "--ray", "127.0.0.1:9")
    assert ran.code == 2
    assert "no Ray cluster can be reached or started there" in ran.err
    ran = cli("extract", "imgs", "--network", "tiny", "-o", "no.h5", "--workers", "2")
    assert ran.code == 2
    assert "add --ray" in ran.err
