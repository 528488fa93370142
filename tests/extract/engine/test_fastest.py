"""Which engine `auto` takes in single precision: measured once, kept, and measured anew when it must be."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest

from fc7.extract.engine import fastest
from fc7.extract.engine.fastest import WORTH_IMAGES, fastest_first
from fc7.extract.engine.providers import CPU, CUDA, OPENVINO, AvailableProviders, Candidate, candidates
from fc7.extract.engine.session import Session
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.models.common.errors import WeightsError
from fc7.models.common.progress import Detail
from fc7.models.network.spec import NetworkSpec
from fc7.models.store import host_file, store
from fc7.models.store.measured import ENGINES, EngineRates, engine_rates
from tests.support import CommandLine, write_pictures
from tests.support.models.fake_networks import fake_files, fake_spec

pytestmark = pytest.mark.usefixtures("every_device")
PLAIN = AvailableProviders(cuda_built=False, nvidia_driver=False, openvino=True, bf16=False)
MANY = WORTH_IMAGES


class Machine:
    """Two engines of given speeds; which were opened, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **rates: float) -> None:
        self.rates = rates
        self.opened: list[str] = []
        self.closed = 0
        self.versions = "onnxruntime 1, openvino 1"
        monkeypatch.setattr(fastest, "versions", lambda: self.versions)
        monkeypatch.setattr(fastest, "rates_of", lambda session, *_, **__: [1.0, session.rate])

    def open(self, candidate: Candidate) -> Session:
        self.opened.append(candidate.provider)
        rate = self.rates["openvino" if candidate.provider == OPENVINO else "cpu"]
        if rate == 0:
            raise WeightsError("refused")
        return cast(Session, Opened(rate, self))

    def ranked(self, n_images: int | None = MANY, threads: int = 2) -> list[Candidate]:
        return fastest_first(candidates("auto", "auto", PLAIN), the_spec(), threads, n_images, self.open)


class Opened:
    def __init__(self, rate: float, machine: Machine) -> None:
        self.rate, self.machine, self.engine = rate, machine, self

    def close(self) -> None:
        self.machine.closed += 1


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    store.save(fake_spec("mine"), fake_files(), replace=False)
    return tmp_path / "home"


def the_spec() -> NetworkSpec:
    return store.load("mine").spec


def providers(found: list[Candidate]) -> list[str]:
    return [one.provider for one in found]


@pytest.mark.parametrize(
    ("openvino", "cpu", "first", "said"),
    [
        (
            30.0,
            20.0,
            OPENVINO,
            "OpenVINO in fp32: 30.0 images/s of mine against 20.0 with ONNX Runtime's",
        ),
        (
            20.0,
            21.0,
            CPU,
            "ONNX Runtime's CPU provider in fp32: 21.0 images/s of mine against 20.0 with",
        ),
        (0.0, 0.5, CPU, "ONNX Runtime's CPU provider"),
    ],
)
def test_the_faster_engine_comes_first_and_is_measured_once(
    monkeypatch: pytest.MonkeyPatch, openvino: float, cpu: float, first: str, said: str
) -> None:
    machine = Machine(monkeypatch, openvino=openvino, cpu=cpu)
    found, again = machine.ranked(), machine.ranked()
    assert machine.opened == [OPENVINO, CPU]
    assert machine.closed == (2 if openvino else 1)
    for ranked in (found, again):
        assert providers(ranked)[0] == first
        assert set(providers(ranked)) == {OPENVINO, CPU}
        assert ranked[0].why.startswith(said)
    # Told when it is measured, afterwards only to those who ask for details.
    assert [isinstance(ranked[0].why, Detail) for ranked in (found, again)] == [False, True]


def test_a_short_run_measures_nothing_and_goes_by_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, openvino=2, cpu=1)
    assert providers(machine.ranked(MANY - 1)) == [CPU, OPENVINO]
    assert providers(machine.ranked(None)) == [OPENVINO, CPU]
    assert machine.opened == []
    machine.ranked()
    assert providers(machine.ranked(1)) == [OPENVINO, CPU]


def test_a_worker_beside_others_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, openvino=1, cpu=2)
    possible = candidates("auto", "auto", PLAIN)
    assert providers(fastest_first(possible, the_spec(), 2, MANY, None)) == [OPENVINO, CPU]
    assert not machine.opened


def test_another_version_another_processor_and_other_threads_are_measured_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, openvino=2, cpu=1)
    machine.ranked()
    machine.rates = {"openvino": 1, "cpu": 2}
    assert providers(machine.ranked())[0] == OPENVINO
    machine.versions = "onnxruntime 2, openvino 1"
    assert providers(machine.ranked())[0] == CPU
    machine.rates = {"openvino": 2, "cpu": 1}
    assert providers(machine.ranked(threads=4))[0] == OPENVINO
    machine.rates = {"openvino": 1, "cpu": 2}
    monkeypatch.setattr(fastest, "cpu_name", lambda: "another")
    assert providers(machine.ranked(threads=4))[0] == CPU
    assert len(machine.opened) == 8
    monkeypatch.setattr(host_file, "host_name", lambda: "another machine with this store")
    machine.ranked(threads=4)
    assert len(machine.opened) == 10


@pytest.mark.parametrize("change", ['{"hosts": {', '{"hosts": []}', "[]", "negative", "NaN", "text"])
def test_a_damaged_file_is_measured_anew_and_never_believed(
    root: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    machine = Machine(monkeypatch, openvino=2, cpu=1)
    machine.ranked()
    file = root / ENGINES
    whole = file.read_text()
    values = {"negative": -1, "NaN": float("nan"), "text": "fast"}
    if change in values:
        said = json.loads(whole)
        said["hosts"][host_file.host_name()]["mine"]["openvino"] = values[change]
        change = json.dumps(said)
    file.write_text(change)
    assert providers(machine.ranked()) == [OPENVINO, CPU]
    assert len(machine.opened) == 4
    assert json.loads(file.read_text())["hosts"][host_file.host_name()]["mine"]["openvino"] == 2


def test_a_store_that_cannot_be_written_costs_only_the_record(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, openvino=2, cpu=1)
    (root / ENGINES).mkdir()
    assert providers(machine.ranked()) == [OPENVINO, CPU]
    assert not isinstance(machine.ranked()[0].why, Detail)


def test_a_network_that_was_removed_leaves_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, openvino=2, cpu=1).ranked()
    store.save(fake_spec("other"), fake_files(), replace=False)
    store.remove("mine")
    rates = EngineRates(1, 2, "", "", 2, "", "")
    engine_rates().keep("other", rates, lambda note: None)
    assert list(engine_rates().here(lambda note: None)) == ["other"]


@pytest.mark.parametrize(
    "possible",
    [
        [Candidate(OPENVINO, "bf16", ""), Candidate(CPU, "fp32", "")],
        [Candidate(CPU, "fp32", "")],
        [Candidate(CUDA, "fp32", ""), Candidate(CPU, "fp32", "")],
    ],
)
def test_nothing_is_measured_where_there_is_one_engine(
    monkeypatch: pytest.MonkeyPatch, possible: list[Candidate]
) -> None:
    machine = Machine(monkeypatch)
    assert fastest_first(possible, the_spec(), 2, MANY, machine.open) == possible


def test_a_gpu_stays_ahead_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, openvino=1, cpu=2)
    gpu = AvailableProviders(cuda_built=True, nvidia_driver=True, openvino=True, bf16=False)
    found = fastest_first(candidates("auto", "auto", gpu), the_spec(), 2, MANY, machine.open)
    assert providers(found) == [CUDA, CPU, OPENVINO]


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_extract_says_once_which_engine_it_took_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.setattr(fastest, "WORTH_IMAGES", 1)
    write_pictures(tmp_path / "imgs", 2)
    options: Any = ExtractOptions(network="tiny", precision="fp32")
    told: list[list[str]] = []
    for name in ("a.h5", "b.h5"):
        notes: list[str] = []
        extract_features([tmp_path / "imgs"], tmp_path / name, options, notify=notes.append)
        told.append([note for note in notes if "measured once" in note])
    assert [len(notes) for notes in told] == [1, 1]
    assert [isinstance(notes[0], Detail) for notes in told] == [False, True]
