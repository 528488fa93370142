"""What may happen to workers, nodes and the driver; every result is compared row for row.

A fault is brought about from within the run, when a given number of images are done, so that nothing here
depends on how fast the machine is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from fc7.extract.cache.commit.segments import open_segment, segment_info
from fc7.extract.cache.format.files import list_segments
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import ClusterOptions, ExtractOptions
from fc7.extract.pipeline import extract_features
from tests.extract.cluster.nodes import (
    N_IMAGES,
    At,
    Nodes,
    assert_same,
    content,
    extract,
    needs_ray,
    to_extract,
)
from tests.extract.cluster.origins import CrampedOrigin, seen_through, with_lethal
from tests.support import CommandLine, command, read_json

pytestmark = needs_ray
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")


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


def test_workers_that_are_stopped_are_ended_and_replaced(
    cli: CommandLine, nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray takes them for alive. Their own deadlines are those of the cluster's environment."""
    monkeypatch.setenv("FC7_DEADLINE", "5")
    stopped: list[int] = []

    def stop_all() -> None:
        stopped.extend(nodes.workers())
        for worker in stopped:
            os.kill(worker, signal.SIGSTOP)

    progress = At(1, stop_all)
    _, notes = extract(cli, tmp_path / "f.h5", progress)
    assert progress.happened
    assert any("it has not answered for" in note for note in notes)
    assert_same(tmp_path / "f.h5", cli)
    # Ray gives a process five seconds to leave.
    deadline = time.monotonic() + 60
    while (left := set(stopped) & set(nodes.workers())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (bool(stopped), left) == (True, set())


def test_a_node_that_is_killed_mid_run_and_one_that_joins_late(
    cli: CommandLine, nodes: Nodes, tmp_path: Path
) -> None:
    nodes.two_again()
    lost = At(1, nodes.lose_one)
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
    assert_same(out, cli, given_up=[lethal])
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
    assert_same(tmp_path / "f.h5", cli, given_up=["blue/0100-large.png"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_is_started_again_and_nothing_finished_is_redone(
    cli: CommandLine, nodes: Nodes, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "f.h5"
    arguments = [*to_extract(out), "--ray", nodes.address]
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
    summary = read_json(cli.incomplete(*arguments).out)
    assert summary["reused"] >= kept
    assert 0 < summary["extracted"] <= N_IMAGES - kept
    assert_same(out, cli)
