"""Which images are done again, and which is given up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc7.extract.cluster.chunks import Portion, Portions


def everything(portions: Portions, size: int) -> list[Portion]:
    found = []
    while (portion := portions.next(size) or portions.next_suspect()) is not None:
        found.append(portion)
    return found


@given(st.integers(0, 200), st.integers(1, 50))
def test_every_image_is_in_one_portion(n: int, size: int) -> None:
    found = everything(Portions(n), size)
    assert [i for portion in found for i in range(portion.start, portion.stop)] == list(range(n))


@given(st.integers(1, 300), st.integers(1, 60), st.booleans(), st.data())
def test_only_images_that_end_workers_are_given_up(
    n: int, size: int, known: bool, data: st.DataObject
) -> None:
    """A worker reads in order, two images at once; it may be known which."""
    lethal = data.draw(st.sets(st.integers(0, n - 1), max_size=4))
    portions, done, given_up = Portions(n), set[int](), []
    deaths = 0
    while (portion := portions.next(size) or portions.next_suspect()) is not None:
        inside = range(portion.start, portion.stop)
        if lethal & set(inside):
            deaths += 1
            first = min(lethal & set(inside))
            if portions.blame(portion, {first, min(first + 1, portion.stop - 1)} if known else None):
                given_up.append(portion.start)
        else:
            done.update(inside)
    assert sorted(given_up) == sorted(lethal)
    assert done == set(range(n)) - lethal
    # Unknown, 60 images take two cuts to single ones, and those two tries. Known, one death in company is
    # enough, but for the fourth of a portion, whose pieces are tried first.
    assert deaths <= (3 * len(lethal) + (len(lethal) > 3) if known else 5 * len(lethal))


@pytest.mark.parametrize(("memory", "deaths"), [(False, 3), (True, 2)])
def test_an_image_that_was_read_alone_has_two_tries_if_memory_is_known_to_be_the_reason(
    memory: bool, deaths: int
) -> None:
    """Otherwise the first may have been a kill that had nothing to do with it."""
    portions = Portions(16)
    portion = portions.next(16)
    tried = 0
    while portion is not None:
        tried += 1
        if portions.blame(portion, {7}, memory=memory):
            break
        portion = portions.next_suspect()
    assert tried == deaths
    assert [len(portion) for portion in everything(portions, 16)] == [7, 8]


@given(st.integers(1, 100), st.integers(1, 30), st.lists(st.integers(0, 200), max_size=60))
def test_kills_that_come_between_images_give_up_none(n: int, size: int, kills: list[int]) -> None:
    """Whoever is killed while nothing of a portion is being read is done again, whatever the number."""
    portions, done, step = Portions(n), list[int](), 0
    while (portion := portions.next(size) or portions.next_suspect()) is not None:
        step += 1
        if step in kills and portion.deaths < 3:
            assert not portions.blame(portion, frozenset())
        else:
            done += range(portion.start, portion.stop)
    assert sorted(done) == list(range(n))


def test_a_portion_that_ends_its_workers_without_an_image_being_read_is_cut_at_last() -> None:
    """A library that spoils its memory may end the process later than it should."""
    portions, deaths = Portions(64), 0
    while (portion := portions.next(64) or portions.next_suspect()) is not None:
        if portion.start <= 30 < portion.stop:
            deaths += 1
            if portions.blame(portion, frozenset()):
                break
    assert portion == Portion(30, 31, portion.deaths if portion else 0, 1, suspect=True)
    assert deaths < 20


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
