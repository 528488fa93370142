"""The loop that hands out chunks, on a cluster in this process where faults come when a test says so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.extract.cache.commit.segments import SegmentHeader, open_segment, segment_info
from fc7.extract.cache.format.files import list_segments
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.clock import Clock
from fc7.extract.cluster import driver
from fc7.extract.cluster import workers as pool
from fc7.extract.cluster.backend import Outcome
from fc7.extract.cluster.chunks import Chunk
from fc7.extract.cluster.driver import Driver, RunReport, _allowed
from fc7.extract.cluster.messages import Greeting, Parcel
from fc7.extract.cluster.slots import Slot
from fc7.extract.cluster.workers import Member
from fc7.extract.options import ClusterOptions
from fc7.extract.records import UNSEEN, Failure, ImageRef, Rows
from fc7.extract.worker.worker import Keeping
from fc7.models.common.errors import Fc7Error, UsageError
from tests.extract.cluster.fake_backend import (
    LAYER,
    FakeBackend,
    FakeWorker,
    feature_of,
    images,
    network_run,
    node,
)
from tests.support.fakes import MemoryOrigin


class Ran:
    """A driver's run to its end, or to `stop_after` answers."""

    def __init__(
        self,
        backend: FakeBackend,
        folder: Path,
        refs: Sequence[ImageRef],
        *,
        shared: bool = True,
        in_order: bool = False,
        stop_after: int | None = None,
        options: ClusterOptions | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.clock = Clock()
        self.work = folder / "features.h5.work"
        network = folder / "network"
        network.mkdir(exist_ok=True)
        run = network_run(network)
        run = replace(run, how=replace(run.how, cluster=options))
        header = SegmentHeader(CacheIdentity.of(run.spec), {})
        report = RunReport(self.clock, self.notes.append)
        driver = Driver(
            backend,
            refs,
            run,
            report,
            keeping=Keeping(self.work, header, "float32", number="000007") if shared else None,
            in_order=in_order,
        )
        self.done: list[Rows] = []
        finished = driver.finished()
        for done in finished:
            self.done.append(done)
            if len(self.done) == stop_after:
                break
        finished.close()  # type: ignore[attr-defined]
        self.nodes = report.nodes

    @property
    def paths(self) -> list[str]:
        """Of the rows, in the order they came."""
        return [ref.path for done in self.done for ref in done.refs]

    @property
    def failures(self) -> list[Failure]:
        return [failure for done in self.done for failure in done.failures]

    def rows_in_segments(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for path in list_segments(self.work):
            with open_segment(path) as file:
                n = segment_info(file).rows
                found.update(name.decode() for name in file.read("path", 0, n).tolist())
        return found


def all_paths(n: int) -> list[str]:
    return [ref.path for ref in images(n)]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("machines", [1, 2, 5])
def test_every_image_is_done_once(tmp_path: Path, shared: bool, machines: int) -> None:
    backend = FakeBackend([node(f"n{i}", 2) for i in range(machines)], broken={"0003.jpg", "0070.jpg"})
    ran = Ran(backend, tmp_path, images(103), shared=shared)
    good = [path for path in all_paths(103) if path not in backend.broken]
    assert sorted(ran.paths) == good
    assert sorted(failure.path for failure in ran.failures) == sorted(backend.broken)
    assert {done.kept for done in ran.done} == {shared}
    assert sum(work.images for work in ran.nodes.values()) == 103
    assert ran.clock.decode == len(ran.done)
    if shared:
        assert ran.rows_in_segments() == Counter(good)
        assert all(path.name.startswith("000007-") for path in ran.work.iterdir())
    else:
        for done in ran.done:
            expected = [feature_of(ref.path, 3) for ref in done.refs]
            np.testing.assert_array_equal(done.features[LAYER], expected)
            assert done.provenance == {"provider": "fake", "precision": "fp32"}


def test_in_order_means_in_the_order_of_the_listing(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 2), node("b", 2)], newest_first=True, broken={"0000.jpg"})
    ran = Ran(backend, tmp_path, images(150), shared=False, in_order=True)
    assert ran.paths == all_paths(150)[1:]
    started = [int(paths[0][:4]) for _, paths in backend.parcels]
    assert started != sorted(started) or len(started) > 4


def test_in_order_does_not_run_far_ahead_of_what_is_slow(tmp_path: Path) -> None:
    """Rows that are finished early wait in memory, so there must not be many."""
    backend = FakeBackend([node("a", 1), node("b", 1)], newest_first=True)
    ran = Ran(backend, tmp_path, images(5000), shared=False, in_order=True)
    assert ran.paths == all_paths(5000)
    first = backend.parcels[0][1][0]
    assert first != "0000.jpg"


def test_the_loss_of_a_worker_costs_no_image_and_it_is_replaced(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 1), node("b", 1)])
    killed: list[FakeWorker] = []

    def kill_once(worker: FakeWorker, parcel: Parcel) -> None:
        if len(backend.parcels) == 5 and not killed:
            worker.dead = True
            killed.append(worker)

    backend.before = kill_once
    ran = Ran(backend, tmp_path, images(200))
    assert sorted(ran.paths) == all_paths(200)
    assert not ran.failures
    assert len(backend.workers) == 3
    assert any("lost a worker on" in note for note in ran.notes)
    assert ran.rows_in_segments() == Counter(all_paths(200))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may be silent for 0.4 s."""
    monkeypatch.setenv("FC7_DEADLINE", "0.1")
    monkeypatch.setattr(driver, "_CHUNK_SECONDS", 0.05)
    monkeypatch.setattr(driver, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(pool, "_LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("machines", [1, 2])
def test_a_worker_that_is_stopped_is_ended_and_replaced_and_costs_no_image(
    tmp_path: Path, machines: int
) -> None:
    backend = FakeBackend([node(f"n{i}", 1) for i in range(machines)])
    stopped: list[FakeWorker] = []

    def stop_once(worker: FakeWorker, parcel: Parcel) -> None:
        if len(backend.parcels) == 5 and not stopped:
            worker.stopped = True
            stopped.append(worker)

    backend.before = stop_once
    ran = Ran(backend, tmp_path, images(200))
    assert ran.rows_in_segments() == Counter(all_paths(200))
    assert not ran.failures
    assert [worker.dead for worker in stopped] == [True]
    assert len(backend.workers) == machines + 1
    [lost] = [note for note in ran.notes if "lost a worker" in note]
    assert lost.startswith(f"lost a worker on {stopped[0].slot.node.name} (it has not answered for 0 s); ")


@pytest.mark.usefixtures("quick")
def test_a_worker_that_is_stopped_while_it_loads_the_network_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, usual = FakeBackend([node("a", 1)]), FakeWorker.open

    def stop_first(worker: FakeWorker, *arguments: Any) -> Outcome:
        worker.stopped = worker is backend.workers[0]
        return usual(worker, *arguments)

    monkeypatch.setattr(FakeWorker, "open", stop_first)
    ran = Ran(backend, tmp_path, images(20))
    assert ran.rows_in_segments() == Counter(all_paths(20))
    assert [worker.stopped for worker in backend.workers] == [True, False]


@pytest.mark.usefixtures("quick")
def test_a_worker_that_has_not_begun_may_wait_for_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, usual = FakeBackend([node("a", 1), node("full", 1)]), FakeWorker.hello

    def wait_for_room(worker: FakeWorker, greeting: Greeting) -> Outcome:
        worker.stopped = worker.slot.node.name == "full"
        return usual(worker, greeting)

    monkeypatch.setattr(FakeWorker, "hello", wait_for_room)
    backend.before = lambda worker, parcel: time.sleep(0.05)
    ran = Ran(backend, tmp_path, images(200))
    assert ran.rows_in_segments() == Counter(all_paths(200))
    assert len(backend.workers) == 2


@pytest.mark.usefixtures("quick")
def test_a_driver_that_was_stopped_has_not_waited(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 1), node("b", 1)])
    backend.before = lambda worker, parcel: time.sleep(0.6 if len(backend.parcels) == 2 else 0)
    ran = Ran(backend, tmp_path, images(60))
    assert sorted(ran.paths) == all_paths(60)
    assert not any("lost a worker" in note for note in ran.notes)


def test_how_long_a_worker_may_be_silent_is_measured() -> None:
    member = Member(Slot(node("a"), 1, 0), None)
    assert _allowed(member) == 8 + 3 * 1800
    member.patience.tell(100, 0.5)
    assert _allowed(member) == 8 + 3 * 120
    # A hundred times its rate: at 200 images a second, 4,000 take twenty.
    member.holds = {1: (Chunk(0, 3000), 0.0), 2: (Chunk(3000, 4000), 0.0)}
    assert _allowed(member) == 8 + 3 * 2000


def test_a_node_that_is_lost_costs_nothing_but_what_it_was_doing(tmp_path: Path) -> None:
    a, b = node("a", 1), node("b", 1)
    backend = FakeBackend([a, b])

    def lose(worker: FakeWorker, parcel: Parcel) -> None:
        if len(backend.parcels) == 6 and b in backend.alive:
            backend.alive.remove(b)

    backend.before = lose
    ran = Ran(backend, tmp_path, images(300))
    assert sorted(ran.paths) == all_paths(300)
    assert not ran.failures
    assert any("its machine was lost" in note for note in ran.notes)
    again = Counter(path for _, paths in backend.parcels for path in paths)
    assert sum(n - 1 for n in again.values()) <= 64


def test_a_node_that_joins_late_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LOOK_SECONDS", 0.0)
    late = node("late", 1)
    backend = FakeBackend([node("a", 1)])

    def join(worker: FakeWorker, parcel: Parcel) -> None:
        if len(backend.parcels) == 3:
            backend.alive.append(late)

    backend.before = join
    ran = Ran(backend, tmp_path, images(400))
    assert sorted(ran.paths) == all_paths(400)
    assert ran.nodes["late"].images > 0
    assert ran.nodes["a"].images + ran.nodes["late"].images == 400


@pytest.mark.parametrize("how", ["lethal", "tells", "out_of_memory"])
@pytest.mark.parametrize("in_order", [True, False])
def test_an_image_that_ends_its_worker_is_named_and_the_rest_goes_on(
    tmp_path: Path, how: str, in_order: bool
) -> None:
    poison = {"0000.jpg", "0041.jpg", "0042.jpg", "0099.jpg"}
    backend = FakeBackend([node("a", 1), node("b", 1)], tells=how == "tells")
    setattr(backend, how if how == "out_of_memory" else "lethal", poison)
    ran = Ran(backend, tmp_path, images(100), shared=not in_order, in_order=in_order)
    assert sorted(ran.paths) == [path for path in all_paths(100) if path not in poison]
    assert sorted(failure.path for failure in ran.failures) == sorted(poison)
    for failure in ran.failures:
        assert "2 times" in failure.reason
        # What memory is known to have been short for is tried again on the next run.
        assert (failure.size, failure.mtime_ns) == (8, UNSEEN if how == "out_of_memory" else 1)
    alone = Counter(paths[0] for _, paths in backend.parcels if len(paths) == 1)
    assert all(alone[path] >= 2 for path in poison)


@pytest.mark.parametrize(("memory", "deaths"), [(False, 3), (True, 3)])
def test_few_workers_die_of_one_image_and_its_neighbours_are_not_blamed(
    tmp_path: Path, memory: bool, deaths: int
) -> None:
    """Once in company, so that it is not known which of three it was; twice alone."""
    backend = FakeBackend([node("a", 2)], lethal={"0050.jpg"}, tells=True, memory=memory)
    ran = Ran(backend, tmp_path, images(200))
    [failure] = ran.failures
    assert (failure.path, failure.unseen) == ("0050.jpg", memory)
    assert sum("lost a worker" in note for note in ran.notes) == deaths
    done = Counter(path for _, paths in backend.parcels for path in paths)
    assert done["0050.jpg"] == deaths
    assert max(n for path, n in done.items() if path != "0050.jpg") == 2
    assert len(backend.parcels) < 40
    assert ran.rows_in_segments() == Counter(path for path in all_paths(200) if path != "0050.jpg")
    assert not list(ran.work.glob("*.partial"))


def test_a_suspect_is_alone_on_its_machine_while_others_go_on(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 2), node("b", 1)], lethal={"0010.jpg"}, tells=True)
    tried: list[str] = []

    def look(worker: FakeWorker, parcel: Parcel) -> None:
        if len(parcel.paths) == 1 and parcel.paths[0] != "0008.jpg":
            tried.append(parcel.paths[0])
            doing = [to for to, what, _ in backend.calls.values() if what == "process" and not to.dead]
            assert worker.slot.node not in [other.slot.node for other in doing]
            if len(tried) == 1:
                assert doing, "the other machine has nothing to do"

    backend.before = look
    Ran(backend, tmp_path, images(400))
    assert Counter(tried) == {"0009.jpg": 1, "0010.jpg": 2, "0011.jpg": 1}


def test_the_same_work_done_twice_is_one_segment(tmp_path: Path) -> None:
    """The first worker finishes, and dies before it says so."""
    backend = FakeBackend([node("a", 1)])
    finished: list[str] = []

    def write_then_die(worker: FakeWorker, parcel: Parcel) -> None:
        if not finished:
            finished.append(parcel.name)
            backend.before = None
            worker.process(parcel)
            backend.alive = [node("b", 1)]
            worker.dead = True

    backend.before = write_then_die
    ran = Ran(backend, tmp_path, images(40))
    assert ran.rows_in_segments() == Counter(all_paths(40))
    assert [paths for _, paths in backend.parcels].count(backend.parcels[0][1]) == 3


def test_segments_are_named_by_what_they_hold() -> None:
    refs = images(3)
    numbers = {id(refs[0].origin): 0}
    name = Parcel.of(refs, 0, numbers, "000001", "fc7").name
    again = images(3)
    assert name == Parcel.of(again, 0, {id(again[0].origin): 0}, "000001", "fc7").name
    changed = [*refs[:2], *MemoryOrigin({refs[2].path: b"22"}).refs()]
    others = {id(ref.origin): 0 for ref in changed}
    assert name != Parcel.of(changed, 0, others, "000001", "fc7").name
    assert name != Parcel.of(refs, 0, numbers, "000001", "fc6").name
    assert name != Parcel.of(refs[:2], 0, numbers, "000001", "fc7").name
    assert name.split("-")[1] == Parcel.of(refs, 0, numbers, "000002", "fc7").name.split("-")[1]


def test_workers_that_do_not_see_the_folder_hand_their_rows_back_and_it_is_said(tmp_path: Path) -> None:
    backend = FakeBackend([node("sees", 1), node("blind", 1)], blind={"blind"})
    ran = Ran(backend, tmp_path, images(100))
    assert sorted(ran.paths) == all_paths(100)
    assert {done.kept for done in ran.done} == {True, False}
    assert any("blind does not see" in note and "object store" in note for note in ran.notes)
    kept = [ref.path for done in ran.done if done.kept for ref in done.refs]
    assert ran.rows_in_segments() == Counter(kept)


def test_the_network_is_sent_once_to_those_that_do_not_see_it(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 2), node("b", 2)], without_network={"b"})
    ran = Ran(backend, tmp_path, images(100))
    sent = [files for name, _, files in backend.opened if name == "b"]
    assert len(sent) == 2
    assert sent[0] is sent[1]
    assert set(sent[0]) == {"network.onnx", "network.weights"}
    assert all(files is None for name, _, files in backend.opened if name == "a")
    assert any("b does not see the network" in note for note in ran.notes)


def test_rows_of_one_run_are_of_one_precision(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 1), node("b", 1)], bf16={"a"})
    Ran(backend, tmp_path, images(50))
    assert {run.how.precision for _, run, _ in backend.opened} == {"bf16"}


def test_workers_get_their_share_of_the_cores(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 8)])
    Ran(backend, tmp_path, images(50), options=ClusterOptions(workers=2))
    assert [(run.how.threads, run.jobs) for _, run, _ in backend.opened] == [(4, 4)] * 2


def test_a_node_that_does_not_see_the_images_takes_no_part_and_says_so(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 1), node("b", 1)], without_images={"b"})
    ran = Ran(backend, tmp_path, images(50))
    assert sorted(ran.paths) == all_paths(50)
    assert set(ran.nodes) == {"a"}
    assert any("b takes no part" in note and "a.jpg (vanished)" in note for note in ran.notes)


def test_if_no_node_can_take_part_the_run_ends_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not see the images: a.jpg"):
        Ran(FakeBackend([node("a", 1)], without_images={"a"}), tmp_path, images(5))
    with pytest.raises(UsageError, match=r"has fc7 0.0.1"):
        Ran(FakeBackend([node("a", 1)], versions={"a": "0.0.1"}), tmp_path, images(5))
    with pytest.raises(Fc7Error, match=r"5 workers in a row died there before they were ready"):
        Ran(FakeBackend([node("a", 1)], dies_at_once={"a"}), tmp_path, images(5))
    assert not list(tmp_path.glob("*.work/*"))


def test_an_end_in_the_middle_ends_all_workers_and_takes_the_probe_away(tmp_path: Path) -> None:
    backend = FakeBackend([node("a", 2)])
    ran = Ran(backend, tmp_path, images(500), stop_after=2)
    assert all(worker.dead for worker in backend.workers)
    assert ran.rows_in_segments().total() == len(ran.paths)
    assert not list(ran.work.glob("*.partial"))


def test_origins_are_sent_once_and_found_by_number(tmp_path: Path) -> None:
    first, second = MemoryOrigin({"a.jpg": b"1"}), MemoryOrigin({"b.jpg": b"2"})
    refs = [*first.refs(), *second.refs()]
    backend = FakeBackend([node("a", 1)])
    Ran(backend, tmp_path, refs)
    assert backend.shared == [[first, second]]
    parcel = Parcel.of(refs, 0, {id(first): 0, id(second): 1}, "000001", "")
    assert parcel.refs([first, second]) == refs
    assert [ref.origin for ref in parcel.refs([first, second])] == [first, second]
