"""Which images are done again, and which is given up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc7.extract.cluster.chunks import Chunk, ChunkQueue


def everything(chunks: ChunkQueue, size: int) -> list[Chunk]:
    found = []
    while (chunk := chunks.next(size) or chunks.next_suspect()) is not None:
        found.append(chunk)
    return found


@given(st.integers(0, 200), st.integers(1, 50))
def test_every_image_is_in_one_chunk(n: int, size: int) -> None:
    found = everything(ChunkQueue(n), size)
    assert [i for chunk in found for i in range(chunk.start, chunk.stop)] == list(range(n))


@given(st.integers(1, 300), st.integers(1, 60), st.booleans(), st.data())
def test_only_images_that_end_workers_are_given_up(
    n: int, size: int, known: bool, data: st.DataObject
) -> None:
    """A worker reads in order, two images at once; it may be known which."""
    lethal = data.draw(st.sets(st.integers(0, n - 1), max_size=4))
    chunks, done, given_up = ChunkQueue(n), set[int](), []
    deaths = 0
    while (chunk := chunks.next(size) or chunks.next_suspect()) is not None:
        inside = range(chunk.start, chunk.stop)
        if lethal & set(inside):
            deaths += 1
            first = min(lethal & set(inside))
            if chunks.count_death(chunk, {first, min(first + 1, chunk.stop - 1)} if known else None):
                given_up.append(chunk.start)
        else:
            done.update(inside)
    assert sorted(given_up) == sorted(lethal)
    assert done == set(range(n)) - lethal
    # Unknown, 60 images take two cuts to single ones, and those two tries. Known, one death in company is
    # enough, but for the fourth of a chunk, whose pieces are tried first.
    assert deaths <= (3 * len(lethal) + (len(lethal) > 3) if known else 5 * len(lethal))


@pytest.mark.parametrize(("memory", "deaths"), [(False, 3), (True, 2)])
def test_an_image_that_was_read_alone_has_two_tries_if_memory_is_known_to_be_the_reason(
    memory: bool, deaths: int
) -> None:
    """Otherwise the first may have been a kill that had nothing to do with it."""
    chunks = ChunkQueue(16)
    chunk = chunks.next(16)
    tried = 0
    while chunk is not None:
        tried += 1
        if chunks.count_death(chunk, {7}, memory=memory):
            break
        chunk = chunks.next_suspect()
    assert tried == deaths
    assert [len(chunk) for chunk in everything(chunks, 16)] == [7, 8]


@given(st.integers(1, 100), st.integers(1, 30), st.lists(st.integers(0, 200), max_size=60))
def test_kills_that_come_between_images_give_up_none(n: int, size: int, kills: list[int]) -> None:
    """Whoever is killed while nothing of a chunk is being read is done again, whatever the number."""
    chunks, done, step = ChunkQueue(n), list[int](), 0
    while (chunk := chunks.next(size) or chunks.next_suspect()) is not None:
        step += 1
        if step in kills and chunk.deaths < 3:
            assert not chunks.count_death(chunk, frozenset())
        else:
            done += range(chunk.start, chunk.stop)
    assert sorted(done) == list(range(n))


def test_a_chunk_that_ends_its_workers_without_an_image_being_read_is_cut_at_last() -> None:
    """A library that spoils its memory may end the process later than it should."""
    chunks, deaths = ChunkQueue(64), 0
    while (chunk := chunks.next(64) or chunks.next_suspect()) is not None:
        if chunk.start <= 30 < chunk.stop:
            deaths += 1
            if chunks.count_death(chunk, frozenset()):
                break
    assert chunk == Chunk(30, 31, chunk.deaths if chunk else 0, 1, suspect=True)
    assert deaths < 20


def test_what_is_given_back_is_next_and_stays_what_it_was() -> None:
    chunks = ChunkQueue(10)
    first = chunks.next(4)
    assert first is not None
    chunks.requeue(first)
    assert chunks.left == 10
    assert chunks.first_left == 0
    assert chunks.next(2) == first
    assert not chunks.count_death(first)
    suspect = chunks.next_suspect()
    assert suspect is not None
    chunks.requeue(suspect)
    assert chunks.left == 10
    assert suspect.suspect
