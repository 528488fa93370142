"""An image is given out once it has stayed the same, once for each content, and nothing that grows is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fc7.classify.watch.arrivals import Arrivals
from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.records import Failure, ImageRef, Listing

ORIGIN = FolderOrigin("in", "/in")


def listing(sizes: dict[str, int], broken: tuple[str, ...] = ()) -> Listing:
    refs = [ImageRef(path, None, None, None, size, 0, ORIGIN, path) for path, size in sizes.items()]
    return Listing(refs, [Failure(path, "broken link", 0, 0) for path in broken], {}, ("in",))


@given(
    looks=st.lists(
        st.tuples(st.integers(1, 3), st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))), max_size=30
    ),
    settle=st.integers(1, 4),
)
def test_what_is_given_out_had_stayed_the_same_and_was_not_given_out_before(
    looks: list[tuple[int, dict[str, int]]], settle: int
) -> None:
    arrivals, now = Arrivals(settle, {}), 0
    same_since: dict[str, tuple[int, int]] = {}
    last_given: dict[str, int] = {}
    for step, sizes in looks:
        now += step
        same_since = {
            path: same_since[path] if same_since.get(path, (None, 0))[0] == size else (size, now)
            for path, size in sizes.items()
        }
        given_out = {ref.path: ref.size for ref in arrivals.settled(listing(sizes), now)[0]}
        due = {
            path
            for path, (size, since) in same_since.items()
            if now - since >= settle and last_given.get(path) != size
        }
        assert given_out.keys() <= due
        # What was given out before may have changed and come back: then it need not wait again.
        assert {path for path in due if path not in last_given} <= given_out.keys()
        last_given |= given_out
        unknown = {path for path, size in sizes.items() if last_given.get(path) != size}
        assert arrivals.waits == bool(unknown)


def test_what_has_a_line_is_not_given_out_until_it_changes_and_a_broken_link_once() -> None:
    arrivals = Arrivals(1, {"a": (5, 0)})
    assert arrivals.settled(listing({"a": 5}, ("b",)), 0) == ([], [])
    refs, failures = arrivals.settled(listing({"a": 5}, ("b",)), 1)
    assert (refs, [each.path for each in failures]) == ([], ["b"])
    assert not arrivals.waits
    arrivals.settled(listing({"a": 6}, ("b",)), 2)
    refs, failures = arrivals.settled(listing({"a": 6}, ("b",)), 3)
    assert ([ref.path for ref in refs], failures) == (["a"], [])


def test_without_a_pause_all_of_it_is_there_at_once() -> None:
    assert len(Arrivals(0, {}).settled(listing({"a": 1, "b": 1}), 0)[0]) == 2
