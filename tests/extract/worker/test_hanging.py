"""What does not come to an end is noticed, and Ctrl-C ends a run wherever it is; in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract.clock import Clock
from fc7.extract.patience import Patience
from fc7.extract.records import UNSEEN
from fc7.extract.worker import decode_pipe
from fc7.extract.worker.decoders import DecodeProcesses
from fc7.extract.worker.stream import Decoding, feature_blocks
from fc7.extract.worker.worker import NetworkRun, Worker
from fc7.models.common.errors import HungError
from fc7.models.network.spec import PreprocessSpec
from fc7.models.store import store
from tests.extract.worker.test_decoders import children, gone, on_linux
from tests.support import ROOT, CommandLine, command, read_json, write_pictures
from tests.support.fakes import MeanNetwork, MemoryOrigin, decode_first_byte

ARGUMENTS = ["extract", "imgs", "--network", "tiny", "-o", "f.h5", "-j", "2", "-b", "4"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("hanging")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=8)
    here.good(*ARGUMENTS[:4], "-o", "whole.h5")
    return here


@pytest.fixture
def fresh(cli: CommandLine) -> CommandLine:
    for left in cli.folder.glob("f.h5*"):
        assert left.is_file(), left
        left.unlink()
    return cli


def started(
    cli: CommandLine, where: str, arguments: Sequence[str], env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.extract.hanging", where, *arguments],
        cwd=cli.folder,
        env=cli.environment({"PYTHONPATH": str(ROOT), **(env or {})}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(cli: CommandLine, where: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A run that hangs there already."""
    process = started(cli, where, ARGUMENTS, env)
    assert process.stdout is not None
    assert process.stdout.readline() == "hangs\n"
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said, said
    return process.returncode, said


def rows(path: Path) -> dict[bytes, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    with h5py.File(path) as file:
        return dict(zip(file["path"][()].tolist(), file["features/embedding"][()], strict=True))


def what_is_kept(cli: CommandLine) -> str:
    """What is to be said of `f.h5`; two batches are run at a time, so the first may be done or not."""
    return "what was done is kept in f.h5" if (cli.folder / "f.h5").exists() else "no image was done yet"


def assert_whole(cli: CommandLine) -> None:
    found, wanted = rows(cli.folder / "f.h5"), rows(cli.folder / "whole.h5")
    assert found.keys() == wanted.keys()
    for path, row in wanted.items():
        np.testing.assert_allclose(found[path], row, rtol=1e-5, atol=1e-6)
    assert not list(cli.folder.glob("f.h5.*"))


@pytest.mark.parametrize("where", ["list", "load", "read", "decode", "network", "commit"])
def test_ctrl_c_ends_a_run_wherever_it_hangs_and_the_next_one_goes_on(fresh: CommandLine, where: str) -> None:
    process = begun(fresh, where)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130, said
    assert not (fresh.folder / "f.h5.lock").exists()
    if where in ("read", "decode", "network"):
        assert f"stopped; {what_is_kept(fresh)}: run the same command again" in said
    fresh.good(*ARGUMENTS)
    assert_whole(fresh)


def test_a_second_ctrl_c_waits_for_nothing(fresh: CommandLine) -> None:
    process = begun(fresh, "decode", {"CLOSE_SECONDS": "600"})
    process.send_signal(signal.SIGINT)
    # Until the first one was heard it is one for both.
    while process.poll() is None:
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130, said
    assert "stopped at once" in said
    assert not (fresh.folder / "f.h5").exists()
    assert not (fresh.folder / "f.h5.lock").exists()
    fresh.good(*ARGUMENTS)
    assert_whole(fresh)


def test_an_image_that_does_not_come_to_an_end_ends_the_run_and_is_tried_apart_next_time(
    fresh: CommandLine,
) -> None:
    code, said = ended(begun(fresh, "decode", {"FC7_DEADLINE": "1"}))
    assert code == 1, said
    assert ".png: reading and decoding it has not ended within 2 s; what was done is kept in f.h5" in said
    assert 0 < len(rows(fresh.folder / "f.h5")) < 24
    again = fresh.good(*ARGUMENTS)
    assert "the run before this one ended while it was reading" in again.err
    assert_whole(fresh)


def test_a_network_that_is_never_loaded_ends_the_run(fresh: CommandLine) -> None:
    code, said = ended(begun(fresh, "load", {"FC7_DEADLINE": "1"}))
    assert code == 1, said
    assert "error: the network has not been loaded within 1 s; no image was done yet" in said
    fresh.good(*ARGUMENTS)
    assert_whole(fresh)


def test_a_network_that_is_never_loaded_is_not_imported(cli: CommandLine) -> None:
    arguments = ["models", "import", "tiny.onnx", "--as", "second", "--preprocess", "caffe"]
    arguments += ["--layer", "embedding"]
    code, said = ended(started(cli, "load", arguments, {"FC7_DEADLINE": "1"}))
    assert (code, said.splitlines()[-1]) == (1, "error: the network has not been loaded within 1 s")
    assert [path.name for path in (cli.store / "networks").iterdir() if path.is_dir()] == ["tiny"]


def test_a_network_that_is_never_loaded_is_not_measured(cli: CommandLine) -> None:
    """The process that measures it ends too."""
    process = started(cli, "bench", ["models", "bench", "tiny", "--device", "cpu"], {"FC7_DEADLINE": "1"})
    code, said = ended(process)
    assert (code, said) == (1, "error: tiny: the network has not been loaded within 1 s\n")


def test_an_exported_file_that_is_never_loaded_is_not_written(cli: CommandLine) -> None:
    cli.good("fit", "--force", "whole.h5", "--svm", "-C", "1")
    process = started(cli, "open", ["export", "--features", "whole.h5"], {"FC7_DEADLINE": "10"})
    code, said = ended(process)
    assert (code, said.splitlines()[-1]) == (1, "error: full.onnx has not been loaded within 10 s")
    assert not [path.name for path in cli.folder.iterdir() if "full.onnx" in path.name]


def test_a_network_that_is_never_loaded_ends_the_start_of_a_clusters_worker(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.setenv("FC7_DEADLINE", "0.4")
    monkeypatch.setattr("fc7.extract.patience._CLOSE_SECONDS", 0.1)
    monkeypatch.setattr("fc7.extract.engine.session.open_session", lambda *_, **__: free.wait(30))
    tiny = store.load("tiny")
    with pytest.raises(HungError, match=r"^the network has not been loaded within 0 s$"):
        Worker(NetworkRun(tiny.graph_path, tiny.spec, ("embedding",)), None)
    free.set()


def test_a_network_that_does_not_answer_ends_the_run(fresh: CommandLine) -> None:
    code, said = ended(begun(fresh, "network", {"FC7_DEADLINE": "1"}))
    assert code == 1, said
    assert f"error: the network has not answered for 1 s (4 images); {what_is_kept(fresh)}" in said
    fresh.good(*ARGUMENTS)
    assert_whole(fresh)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Enough pictures that -j 9 decodes them in processes."""
    here = CommandLine(tmp_path_factory.mktemp("stopped")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=310)
    return here


def stopped(cli: CommandLine, env: Mapping[str, str]) -> tuple[subprocess.Popen[str], set[int]]:
    """A run some of whose decoding processes are stopped, when the first image was decoded."""
    (cli.folder / "f.h5").unlink(missing_ok=True)
    process = subprocess.Popen(
        command([*ARGUMENTS[:-4], "-j", "9", "--json", "-v"]),
        cwd=cli.folder,
        env=cli.environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(("cpu:", "cuda:", "openvino"))
    found = set(sorted(children(process.pid))[:3])
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    return process, found


@on_linux
def test_a_decoding_process_that_is_stopped_costs_no_image(many: CommandLine) -> None:
    process, found = stopped(many, {"FC7_DEADLINE": "8"})
    printed, said = process.communicate(timeout=120)
    assert found
    assert process.returncode == 0, said
    summary = read_json(printed)
    assert (summary["rows"], summary["failures"]) == (930, [])
    assert gone(found)


@on_linux
def test_ctrl_c_ends_a_run_one_of_whose_processes_is_stopped(many: CommandLine) -> None:
    process, found = stopped(many, {})
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert gone(found)


def test_seconds_are_allowed_by_what_was_measured() -> None:
    patience = Patience()
    assert patience.allows(1) == 1800
    for _ in range(10):
        patience.tell(100, 0.5)
    # A hundred times what the longest took; at the mean rate 10,000 take fifty seconds, a hundredfold 5,000.
    assert patience.allows(100) == 120
    assert patience.allows(10_000) == 5000
    patience.tell(100, 30)
    assert patience.allows(100) == 3000


def test_the_deadline_is_the_users_to_set(cli: CommandLine) -> None:
    ran = cli("extract", "imgs", "--network", "tiny", "-o", "set.h5", env={"FC7_DEADLINE": "soon"})
    assert (ran.code, ran.err.splitlines()[-1]) == (
        2,
        "error: FC7_DEADLINE='soon' was found; give a number of seconds, or leave it unset",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FC7_DEADLINE", "7.5")
        assert Patience().allows(1e9) == 7.5


class Long(Patience):
    def allows(self, amount: float) -> float:
        return 60


def test_a_process_that_does_not_answer_is_a_failure_after_two_tries() -> None:
    """Both times it is ended; what is said of it says nothing of the image."""
    hang = "import os, time; os.write(1, b'!'); time.sleep(100)"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FC7_DEADLINE", "0.5")
        patched.setattr(decode_pipe, "command", lambda *_: [sys.executable, "-c", hang])
        spec = PreprocessSpec("short", 32, 32, 27, 27, "RGB")
        processes = DecodeProcesses(spec, False, 2, lambda note: None)
        origin = MemoryOrigin({"a": b"1"})
        # Time enough for both; it is the processes' own deadline that counts.
        patched.setattr("fc7.extract.worker.read_ahead.Patience", Long)
        blocks = feature_blocks(origin.refs(), Decoding(processes, 1), lambda: MeanNetwork(4), clock=Clock())
        [failure] = [failure for block in blocks for failure in block.failures]
        processes.close()
    assert failure.mtime_ns == UNSEEN
    assert failure.reason.startswith("the process that decoded it had not answered for 0 s (2 tries")


def test_an_image_is_named_that_hangs_while_its_neighbours_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setenv("FC7_DEADLINE", "0.4")
    monkeypatch.setattr("fc7.extract.patience._CLOSE_SECONDS", 0.1)

    def decode(data: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        if data == b"3":
            free.wait(30)
        return decode_first_byte(data)  # type: ignore[arg-type]

    origin = MemoryOrigin({name: name.encode() for name in "0123456789"})
    blocks = feature_blocks(origin.refs(), Decoding(decode, 2), lambda: MeanNetwork(2), clock=Clock())
    done: list[str] = []
    with pytest.raises(HungError, match=r"^3: reading and decoding it has not ended within 1 s"):
        for block in blocks:
            done += [ref.path for ref in block.refs]
    free.set()
    assert "3" not in done
