"""`models bench`: what it measures, what it keeps, and when the kept figures are shown."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fc7.cli import application
from fc7.extract.engine import bench
from fc7.extract.engine.bench import Failed, bench_networks
from fc7.extract.engine.bench_process import peak_bytes
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import StoppedError, UnknownNetworkError, UsageError
from fc7.models.common.progress import Silent
from fc7.models.listing import network_rows, stored_facts
from fc7.models.network.spec import caffe_preprocess
from fc7.models.network_table import network_table
from fc7.models.store import host_file, measured, store
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.measured import Measured, keep, measured_here
from fc7.models.store.store import StoredNetwork
from tests.support import CommandLine, Ran, read_json, tiny_network
from tests.support.models.fake_networks import fake_files, fake_spec

QUICK = ("--device", "cpu", "--seconds", "0")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the network ``tiny``, which runs."""
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    bring(tmp_path, 0)
    return tmp_path / "home"


def bring(folder: Path, seed: int) -> StoredNetwork:
    file = tiny_network(folder / "tiny.onnx", seed)
    return import_network(
        file, "tiny", ImportOptions(preprocess=caffe_preprocess(), layer="embedding", replace=True)
    )


def fc7(*arguments: str) -> Ran:
    """The command line, in this process; the measuring is in one of its own all the same."""
    result = CliRunner().invoke(application(), arguments, catch_exceptions=False)
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the network ``mine``, which does not run."""
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    store.save(fake_spec("mine"), fake_files(), replace=False)
    return tmp_path / "home"


def figures(name: str = "mine") -> Measured:
    spec = store.load(name).spec
    return Measured(
        images_per_second=123.44,
        peak_bytes=456_000_000,
        engine="CPUExecutionProvider fp32",
        batch_size=32,
        threads=2,
        runs=3,
        cpu="a processor",
        date="2026-01-02T03:04:05+00:00",
        layer=spec.default_layer,
        fingerprint=spec.fingerprint(spec.default_layer),
    )


def shown(name: str) -> Any:
    """What the list says was measured of a network, or None."""
    return {row["name"]: row for row in network_rows()}[name].get("measured")


def test_a_bench_prints_its_figures_and_the_list_shows_them_afterwards(tiny: Path) -> None:
    cli = CommandLine(tiny.parent)
    cli.store = tiny
    ran = cli.good("models", "bench", *QUICK)
    head, line = ran.out.splitlines()[:2]
    assert head.split() == ["NETWORK", "IMG/S", "MS/IMG", "PEAK", "MB", "ENGINE"]
    name, speed, milliseconds, _, *engine = line.split()
    assert (name, engine) == ("tiny", ["CPUExecutionProvider", "fp32"])
    assert float(milliseconds) == pytest.approx(1000 / float(speed), abs=0.006)
    assert str(tiny / measured.FILE) in ran.out
    assert ran.err == ""
    head, *lines = fc7("models", "list").out.splitlines()
    assert head.endswith("IMG/S  PEAK MB")
    (row,) = [line for line in lines if line.startswith("tiny ")]
    assert row.split()[-2] == speed


def test_the_answer_to_a_program_is_measured_for_as_long_as_was_asked(tiny: Path) -> None:
    began = time.monotonic()
    ran = fc7("models", "bench", "tiny", "tiny", "--device", "cpu", "--seconds", "0.5", "--json")
    took = time.monotonic() - began
    answer = read_json(ran.out)
    assert (answer["failed"], answer["kept_in"]) == ([], str(tiny / measured.FILE))
    (row,) = answer["networks"]
    assert (row["layer"], row["batch_size"], row["threads"]) == ("embedding", 16, default_jobs())
    # Half of the runs took at least the median each, and all of them went on for half a second.
    assert row["runs"] >= 3
    assert row["runs"] / 2 * row["batch_size"] / row["images_per_second"] < took
    assert row["ms_per_image"] * row["images_per_second"] == pytest.approx(1000)
    assert took > 0.5
    kept = read_json(fc7("models", "show", "tiny", "--json").out)["measured"]
    assert kept["images_per_second"] == row["images_per_second"]
    assert f"{row['images_per_second']:.1f} images/s" in fc7("models", "show", "tiny").out


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is checked against Linux's own figure")
def test_the_peak_is_the_networks_own_and_not_that_of_the_process_that_asked(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Folders of the user's with our names, in the current folder, are not taken for ours.
    for name in ("models", "extract"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong folder')")
    monkeypatch.chdir(tmp_path)
    ballast = b"\1" * 400_000_000
    benched = bench_networks(["tiny"], Silent(), device="cpu", seconds=0)
    assert benched.failed == []
    ours = peak_bytes()
    peak = benched.measured["tiny"].peak_bytes
    assert ours is not None
    assert ours > len(ballast)
    assert peak is not None
    assert 20_000_000 < peak < ours - 200_000_000


def test_a_replaced_networks_figures_vanish(tiny: Path, tmp_path: Path) -> None:
    keep("tiny", figures("tiny"))
    bring(tmp_path, 0)
    assert shown("tiny") is not None  # the same weights again
    bring(tmp_path, 1)
    assert shown("tiny") is None
    assert "IMG/S" not in network_table(network_rows())


def test_a_network_of_another_recipe_or_layer_has_no_figures(root: Path) -> None:
    keep("mine", figures())
    assert shown("mine")["images_per_second"] == 123.44
    spec = store.load("mine").spec
    for changed in (
        dataclasses.replace(spec, default_layer="pool5"),
        dataclasses.replace(spec, preprocess=dataclasses.replace(spec.preprocess, resize="short")),
    ):
        store.save(changed, fake_files(), replace=True)
        assert shown("mine") is None
        assert stored_facts(store.load("mine"))["measured"] is None
    store.save(spec, fake_files(), replace=True)
    assert shown("mine") is not None
    store.remove("mine")
    assert measured_here() == {}


def test_another_machines_figures_are_not_shown_and_not_lost(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("mine", figures())
    monkeypatch.setattr(host_file, "host_name", lambda: "another")
    assert shown("mine") is None
    assert "IMG/S" not in network_table(network_rows())
    keep("mine", dataclasses.replace(figures(), images_per_second=7.0))
    assert shown("mine")["images_per_second"] == 7.0
    monkeypatch.undo()
    monkeypatch.setenv("FC7_HOME", str(root))
    assert shown("mine")["images_per_second"] == 123.44


def test_the_table_shows_a_dash_where_nothing_was_measured(root: Path) -> None:
    keep("mine", dataclasses.replace(figures(), peak_bytes=None))
    table = {line.split()[0]: line for line in network_table(network_rows()).splitlines()}
    assert table["mine"].endswith("123.4  not known")
    assert table["alexnet"].split()[-2:] == ["-", "-"]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"hosts": []}',
        b'{"hosts": {"HOST": {"mine": 3}}}',
        b'{"hosts": {"HOST": {"mine": {"images_per_second": 3}}}}',
        b"[" * 100_000,
    ],
    ids=range(8),
)
def test_a_damaged_file_is_passed_over_with_a_note_and_written_anew(root: Path, damage: bytes) -> None:
    file = root / measured.FILE
    file.write_bytes(damage.replace(b"HOST", host_file.host_name().encode()))
    notes: list[str] = []
    assert measured_here(notes.append) == {}
    (note,) = notes
    assert str(file) in note
    assert "damaged" in note
    assert network_table(network_rows())
    keep("mine", figures())
    assert measured_here() == {"mine": figures()}
    assert {path.name for path in root.iterdir()} == {"networks", measured.FILE}


@pytest.mark.parametrize(
    ("field", "value"),
    [("images_per_second", "fast"), ("images_per_second", float("nan")), ("peak_bytes", -1), ("cpu", 7)],
)
def test_a_value_that_no_measurement_has_counts_as_damage(root: Path, field: str, value: object) -> None:
    file = keep("mine", figures())
    found = json.loads(file.read_text("utf-8"))
    found["hosts"][host_file.host_name()]["mine"][field] = value
    file.write_text(json.dumps(found), "utf-8")
    notes: list[str] = []
    assert measured_here(notes.append) == {}
    assert len(notes) == 1


def test_figures_that_cannot_be_kept_are_printed_and_said_not_to_be_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(fake_spec("second"), fake_files(), replace=False)
    monkeypatch.setattr(bench, "_measured", lambda name, *_, **__: figures(name))
    file = root / measured.FILE
    file.mkdir()  # as unwritable as a read-only store, for root too
    ran = fc7("models", "bench")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["NETWORK", "mine", "second"]
    assert ran.code == 0
    assert ran.err.count(f"could not be kept: {file}: cannot be written") == 1
    assert read_json(fc7("models", "bench", "--json").out)["kept_in"] is None
    assert {path.name for path in root.iterdir()} == {"networks", measured.FILE}


def test_a_network_that_does_not_run_is_named_and_its_neighbours_are_measured(tiny: Path) -> None:
    store.save(fake_spec("broken"), fake_files(), replace=False)
    ran = fc7("models", "bench", *QUICK, "--json")
    assert ran.code == 1
    answer = read_json(ran.out)
    assert [row["name"] for row in answer["networks"]] == ["tiny"]
    assert [failed["name"] for failed in answer["failed"]] == ["broken"]
    assert ran.err.startswith("error: broken: ")
    assert "network.onnx" in ran.err


def test_ctrl_c_keeps_what_was_measured(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(fake_spec("second"), fake_files(), replace=False)

    def stopped_at_the_second(name: str, *_: object, **__: object) -> Measured:
        if name == "second":
            raise KeyboardInterrupt
        return figures(name)

    monkeypatch.setattr(bench, "_measured", stopped_at_the_second)
    with pytest.raises(StoppedError, match=r"after 1 of 2 networks, and the measurements of mine are in"):
        bench_networks([], Silent())
    assert measured_here() == {"mine": figures()}


def test_a_network_that_is_not_here_is_said_before_anything_is_measured(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> Failed:
        raise AssertionError("measured")

    monkeypatch.setattr(bench, "_measured", never)
    with pytest.raises(UnknownNetworkError, match="it has mine"):
        bench_networks(["mine", "other"], Silent())
    store.remove("mine")
    with pytest.raises(UsageError, match="models list` shows which can be brought"):
        bench_networks([], Silent())


def test_a_process_that_is_killed_is_a_failure_with_a_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -9, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", killed)
    (failed,) = bench_networks([], Silent()).failed
    assert (failed.name, failed.exit_code) == ("mine", 1)
    assert "killed by signal 9" in failed.reason
    assert "memory" in failed.reason
