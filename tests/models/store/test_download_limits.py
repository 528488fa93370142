"""What stands in a download's way: the disk, a kill, another process, a server that claims too much."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fc7.models.common.errors import DownloadError
from fc7.models.store.download import Wanted, fetch
from tests.support import ROOT
from tests.support.models.web_server import Server, serving

DATA = bytes(range(256)) * 3000 + b"the end"
SHA256 = hashlib.sha256(DATA).hexdigest()
FETCH = """
import sys
from pathlib import Path
from fc7.models.store.download import Wanted, fetch
fetch([sys.argv[1]], Path(sys.argv[2]), Wanted(sha256=sys.argv[3]))
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


def test_more_than_was_announced_is_not_written(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA * 3, headers={"Content-Length": None})
    with pytest.raises(DownloadError, match=f"more than the {len(DATA)} bytes"):
        fetch([url], tmp_path / "net.onnx", Wanted(size=len(DATA), sha256=SHA256))


def test_a_claim_of_a_size_that_no_network_has_is_refused(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA, headers={"Content-Length": str(1 << 60)})
    with pytest.raises(DownloadError, match="no network is that large"):
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))


def test_a_second_process_fetching_the_same_file_stops_at_once(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    from fc7.models.common.locks import exclusive

    url = server.add("/net.onnx", DATA)
    with exclusive(tmp_path / "net.onnx.lock"), pytest.raises(DownloadError, match="another process"):
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))


def test_a_full_disk_says_so_keeps_the_part_and_does_not_blame_the_mirror(
    server: Server, tmp_path: Path
) -> None:
    """A limit on the size of files is the full disk that needs no second disk."""
    resource = pytest.importorskip("resource")
    url = server.add("/net.onnx", DATA)
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, {resource.RLIM_INFINITY}))
{FETCH}
"""
    said = subprocess.run(
        [sys.executable, "-c", code, url, str(tmp_path / "net.onnx"), SHA256],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert "is full" in said
    assert "it goes on where it stopped" in said
    assert "Tried" not in said
    kept = (tmp_path / "net.onnx.part").stat().st_size
    assert 0 < kept <= 300_000
    fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert server.asked[-1].range == f"bytes={kept}-"
    assert (tmp_path / "net.onnx").read_bytes() == DATA


def test_too_little_room_is_seen_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA)
    with pytest.raises(DownloadError, match="MB free; make room or point FC7_HOME"):
        fetch([url], tmp_path / "net.onnx", Wanted(size=1 << 60))
    assert server.asked == []


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch([server.add("/net.onnx", DATA)], tmp_path / "file" / "net.onnx", Wanted(sha256=SHA256))


def test_the_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.add("http://nowhere.invalid/net.onnx", DATA)
    fetch(["http://nowhere.invalid/net.onnx"], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert server.asked[0].path == "http://nowhere.invalid/net.onnx"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA, slow=0.05)
    dest, part = tmp_path / "net.onnx", tmp_path / "net.onnx.part"
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, url, str(dest), SHA256], cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}
    )
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not dest.exists()
    kept = part.stat().st_size
    assert 0 < kept < len(DATA)
    server.add("/net.onnx", DATA)
    fetch([url], dest, Wanted(sha256=SHA256))
    assert dest.read_bytes() == DATA
    assert server.asked[-1].range == f"bytes={kept}-"
    assert server.asked[-1].sent == len(DATA) - kept
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
