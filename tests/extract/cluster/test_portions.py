"""Which images are done again, and which is given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extract.cluster.portions import Portion, Portions


def everything(portions: Portions, size: int) -> list[Portion]:
    found = []
    while (portion := portions.next(size) or portions.next_suspect()) is not None:
        found.append(portion)
    return found


@given(st.integers(0, 200), st.integers(1, 50))
def test_every_image_is_in_one_portion(n: int, size: int) -> None:
    found = everything(Portions(n), size)
    assert [i for portion in found for i in range(portion.start, portion.stop)] == list(range(n))


@given(st.integers(1, 300), st.integers(1, 60), st.data())
def test_only_images_that_end_workers_are_given_up(n: int, size: int, data: st.DataObject) -> None:
    lethal = data.draw(st.sets(st.integers(0, n - 1), max_size=4))
    portions, done, given_up = Portions(n), set[int](), []
    deaths = 0
    while (portion := portions.next(size) or portions.next_suspect()) is not None:
        inside = range(portion.start, portion.stop)
        if lethal & set(inside):
            deaths += 1
            if portions.blame(portion):
                given_up.append(portion.start)
        else:
            done.update(inside)
    assert sorted(given_up) == sorted(lethal)
    assert done == set(range(n)) - lethal
    # 60 images take two cuts to single ones, and those two tries.
    assert deaths <= 5 * len(lethal)


def test_an_image_is_given_up_when_it_has_ended_two_workers_that_had_nothing_else() -> None:
    portions = Portions(1)
    first = portions.next(1)
    assert first is not None
    assert not first.suspect
    for expected in (False, False, True):
        portion = first if expected is False and portions.left == 0 and not portions.suspects else None
        portion = portion or portions.next_suspect()
        assert portion is not None
        assert portions.blame(portion) is expected
    assert portions.left == 0


def test_what_is_given_back_is_next_and_stays_what_it_was() -> None:
    portions = Portions(10)
    first = portions.next(4)
    assert first is not None
    portions.give_back(first)
    assert portions.left == 10
    assert portions.first_left == 0
    assert portions.next(2) == first
    assert not portions.blame(first)
    suspect = portions.next_suspect()
    assert suspect is not None
    portions.give_back(suspect)
    assert portions.left == 10
    assert suspect.suspect
