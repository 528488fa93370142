"""The head of a cluster dies in the midst of a run: one line says so, and the next cluster goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

pytest.importorskip("moto", reason="the extra test brings an S3 server (moto)")
pytest.importorskip("s3fs", reason="the extra cloud brings s3fs")
pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")

from fc7.extract.cache.commit.segments import open_segment, segment_info
from fc7.extract.cache.format.files import list_segments
from tests.extract.cluster.nodes import Nodes, assert_same_content, content, needs_ray
from tests.support import CommandLine, command, read_json, write_pictures
from tests.support.extract.s3_server import s3_bucket

pytestmark = [*needs_ray, pytest.mark.apart]

N_IMAGES = 120


def test_a_head_that_is_killed_is_named_and_a_new_cluster_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images lie in a bucket whose server answers no more once something is finished."""
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", per_class=N_IMAGES // 3)
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        if any(tmp_path.glob("f.h5.work/*-*.h5")):
            reached.set()
            go_on.wait(300)

    with s3_bucket() as bucket:
        bucket.upload(tmp_path / "imgs", "held")
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        to_extract = ["extract", "s3://pictures/held", "--network", "tiny", "-b", "4", "--json", "-o"]
        cli.good(*to_extract, "whole.h5")
        bucket.server.at_get = hold
        first = Nodes()
        address = first.address
        try:
            driver = subprocess.Popen(
                command([*to_extract, "f.h5", "--ray", address]),
                cwd=tmp_path,
                env=cli.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert reached.wait(240)
            for process in first.head():
                os.kill(process, signal.SIGKILL)
            printed, said = driver.communicate(timeout=120)
        finally:
            go_on.set()
            first.close()
        assert (driver.returncode, printed) == (1, ""), said
        error = said.splitlines()[-1]
        assert error.startswith(f"error: the head node of the Ray cluster at {address} is gone (")
        assert "finished features are kept" in error
        assert "run the same command" in error
        assert "Traceback" not in said
        assert not (tmp_path / "f.h5").exists()
        kept = 0
        for path in list_segments(tmp_path / "f.h5.work"):
            with open_segment(path) as file:
                kept += segment_info(file).rows
        assert kept > 0
        bucket.server.at_get = lambda count: None
        second = Nodes()
        try:
            summary = read_json(cli.good(*to_extract, "f.h5", "--ray", second.address).out)
        finally:
            second.close()
    assert summary["reused"] >= kept
    assert 0 < summary["extracted"] <= N_IMAGES - kept
    assert_same_content(content(tmp_path / "f.h5"), content(tmp_path / "whole.h5"))
