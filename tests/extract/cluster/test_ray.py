"""Two nodes of a real Ray on this machine make what one process makes.

`make test-ray` runs these, and what lies beside them, alone.
"""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.extract.cache.commit.segments import open_segment, segment_info
from fc7.extract.cache.format.files import list_segments
from fc7.extract.cache.format.header import features_name
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import RunOptions
from tests.extract.cluster.nodes import (
    BROKEN,
    N_IMAGES,
    At,
    Nodes,
    assert_same,
    extract,
    needs_ray,
    to_extract,
)
from tests.support import CommandLine, lines_of, read_json

pytestmark = needs_ray
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")


def test_two_nodes_make_what_one_process_makes_and_say_what_each_did(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    arguments = to_extract(tmp_path / "f.h5")
    ran = cli.incomplete(*arguments, "--ray", nodes.address)
    summary = read_json(ran.out)
    assert_same(tmp_path / "f.h5", cli)
    assert sum(node["images"] for node in summary["nodes"]) == N_IMAGES
    assert all(node["images_per_second"] > 0 for node in summary["nodes"])
    assert f"workers see {tmp_path / 'f.h5.work'} and write their rows there" in ran.err
    before = (tmp_path / "f.h5").stat().st_mtime_ns
    again = read_json(cli.incomplete(*arguments, "--ray", nodes.address).out)
    assert (again["reused"], again["written"]) == (N_IMAGES - len(BROKEN), False)
    assert (tmp_path / "f.h5").stat().st_mtime_ns == before


def test_classify_gives_the_lines_of_one_process_in_the_same_order(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    cli.good("fit", "--force", "whole.h5", "--svm", "-o", "c.onnx")
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


def test_a_task_that_the_engine_runs_twice_is_one_segment(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    from fc7.extract.cache.commit.segments import SegmentHeader
    from fc7.extract.cache.format.identity import CacheIdentity
    from fc7.extract.cluster.heartbeat import Heartbeat
    from fc7.extract.cluster.messages import Parcel
    from fc7.extract.cluster.ray_backend import RayBackend
    from fc7.extract.cluster.slots import plan_slots
    from fc7.extract.worker.worker import Keeping, NetworkRun
    from fc7.models.store import store

    os.environ["FC7_HOME"] = str(cli.store)
    network = store.load("tiny")
    refs = list_inputs([cli.folder / "imgs"]).images[:20]
    backend = RayBackend(False, Heartbeat([]))
    slots = plan_slots(backend.nodes(), 2, None)
    workers = [backend.start(slot) for slot in slots]
    run = NetworkRun(network.graph_path, network.spec, ("embedding",), RunOptions(batch_size=8))
    keeping = Keeping(tmp_path, SegmentHeader(CacheIdentity.of(network.spec), {}), "float32")
    parcel = Parcel.of(refs, 0, {id(refs[0].origin): 0}, "000000", "about")
    written = []
    for worker in workers:
        backend.wait([backend.call(worker, "open", run, keeping, 20, [refs[0].origin], None)], 120)
        [(_, result)] = backend.wait([backend.call(worker, "process", parcel)], 120)
        assert result.finished.kept
        [segment] = list_segments(tmp_path)
        with open_segment(segment) as file:
            rows = segment_info(file).rows
            written.append(file.read(features_name("embedding"), 0, rows))
    first, second = written
    np.testing.assert_array_equal(first, second)
    backend.stop_all(workers, [])


def test_what_ray_itself_prints_is_not_in_the_results() -> None:
    from fc7.extract.cluster.ray_backend import WithoutRay

    stream = io.StringIO()
    quiet: Any = WithoutRay(stream)
    ray_thread = threading.Thread(target=print, args=("raylet died",), kwargs={"file": quiet}, name="ray_x")
    ray_thread.start()
    ray_thread.join()
    print("ours", file=quiet, flush=True)
    assert stream.getvalue() == "ours\n"


def test_what_ray_prints_while_it_ends_is_not_in_the_results_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fc7.extract.cluster import ray_backend

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: print("raylet died"))
    monkeypatch.setattr(ray_backend, "_initialise", lambda address: True)
    monkeypatch.setattr(ray_backend, "_places", lambda *, local: [])
    with ray_backend.connect("local"):
        print("ours")
    assert capsys.readouterr().out == "ours\n"


def test_an_address_without_a_cluster_is_a_wrong_call(cli: CommandLine, nodes: Nodes) -> None:
    """`nodes` is there so that Ray is not started for this alone."""
    ran = cli("extract", "imgs", "--network", "tiny", "-o", "no.h5", "--ray", "127.0.0.1:9")
    assert ran.code == 2
    assert "no Ray cluster can be reached or started there" in ran.err
    ran = cli("extract", "imgs", "--network", "tiny", "-o", "no.h5", "--workers", "2")
    assert ran.code == 2
    assert "add --ray" in ran.err
