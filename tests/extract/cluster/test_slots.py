"""Where workers go."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc7.extract.cluster.slots import Node, Slot, plan_slots
from tests.extract.cluster.fake_backend import node


def shares(slots: list[Slot]) -> list[tuple[str, float, float]]:
    return [(slot.node.name, slot.cpus, slot.gpus) for slot in slots]


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"),
    [
        (1, 0, [(1, 0)]),
        (2, 0, [(1, 0)] * 2),
        (64, 0, [(16, 0)] * 4),
        (0, 0, []),
        (8, 1, [(8, 1)]),
        (9, 4, [(2, 1)] * 4),
        (2, 4, [(0.5, 1)] * 4),
    ],
)
def test_a_node_has_one_worker_a_gpu_or_up_to_four_without(
    cpus: float, gpus: float, expected: list[tuple[float, float]]
) -> None:
    found = plan_slots([node("a", cpus, gpus)], None, None)
    assert [(slot.cpus, slot.gpus) for slot in found] == expected


def test_workers_may_share_a_gpu_or_use_none() -> None:
    box = node("box", 8, 2)
    assert shares(plan_slots([box], None, 0.5)) == [("box", 2, 0.5)] * 4
    assert shares(plan_slots([box], None, 2)) == [("box", 8, 2)]
    assert shares(plan_slots([box], None, 0)) == [("box", 2, 0)] * 4


def test_three_thirds_of_a_gpu_are_one() -> None:
    assert len(plan_slots([node("a", 3, 1)], None, 1 / 3)) == 3


def test_nodes_without_gpus_get_no_worker_where_one_is_asked_for() -> None:
    assert [slot.node.name for slot in plan_slots([node("a", 8), node("b", 8, 1)], None, 1)] == ["b"]


def test_a_number_of_workers_is_shared_out_by_size() -> None:
    found = plan_slots([node("small", 2), node("large", 6)], 4, None)
    assert Counter(slot.node.name for slot in found) == {"small": 1, "large": 3}
    assert {slot.cpus for slot in found} == {2}


def test_more_workers_than_cores_share_them() -> None:
    assert shares(plan_slots([node("a", 2)], 3, None)) == [("a", 0.667, 0)] * 3


def test_more_workers_than_gpus_are_not_started() -> None:
    assert len(plan_slots([node("a", 8, 2), node("b", 8, 1)], 9, None)) == 3


nodes = st.lists(
    st.builds(node, st.text("abc", min_size=4, max_size=8), st.integers(0, 130), st.integers(0, 8)),
    max_size=5,
    unique_by=lambda one: one.id,
)


@given(nodes, st.none() | st.integers(1, 40), st.none() | st.sampled_from([0, 0.25, 1, 2]))
def test_no_node_is_given_more_than_it_has(
    machines: list[Node], workers: int | None, gpus: float | None
) -> None:
    found = plan_slots(machines, workers, gpus)
    assert workers is None or len(found) <= workers
    for machine in machines:
        own = [slot for slot in found if slot.node == machine]
        assert sum(slot.gpus for slot in own) <= machine.gpus + 1e-6
        assert sum(slot.cpus for slot in own) <= machine.cpus + 0.001 * len(own)
        assert all(slot.cpus == int(slot.cpus) or slot.cpus < 1 for slot in own)
