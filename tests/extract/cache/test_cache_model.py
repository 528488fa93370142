"""Whatever happens to a folder between runs, the cache holds just its images: a plain dict is the judge.

``FC7_TORTURE=500`` tries so many histories instead of a dozen.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.cache.verify import verify
from tests.support.extract.cache_support import CrashError, Folder, Image, check_plainly, run

HISTORIES = int(os.environ.get("FC7_TORTURE", "15"))
NAMES = st.sampled_from([f"{folder}/{n}.jpg" for folder in ("a", "b", "ü 'x'\n") for n in range(3)])
# Few contents, so that copies, moves and images that become one another are common.
CONTENTS = st.sampled_from(["x", "y", "zz", "www", "bad", "bad again"])
LABELS = st.sampled_from([None, "cat", "dög", "a label that is longer than the others"])


class World:
    """A folder of images, and what was done to it."""

    def __init__(self) -> None:
        self.folder: Folder = {}
        self.clock = 0

    def put(self, name: str, content: str, label: str | None) -> None:
        self.clock += 1
        self.folder[name] = Image(content, label, self.clock, group=label and label[:1])

    def delete(self, name: str) -> None:
        self.folder.pop(name, None)

    def rename(self, old: str, new: str) -> None:
        if old in self.folder:
            self.folder[new] = self.folder.pop(old)

    def touch(self, name: str) -> None:
        if name in self.folder:
            self.put(name, self.folder[name].content, self.folder[name].label)

    def relabel(self, name: str, label: str | None) -> None:
        if name in self.folder:
            image = self.folder[name]
            self.folder[name] = Image(image.content, label, image.mtime_ns, group=image.group, split="test")


CHANGES = st.one_of(
    st.tuples(st.just("put"), NAMES, CONTENTS, LABELS),
    st.tuples(st.just("put"), NAMES, CONTENTS, LABELS),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("touch"), NAMES),
    st.tuples(st.just("relabel"), NAMES, LABELS),
)
RUNS = st.tuples(
    st.sampled_from([("fc7",), ("fc6",), ("fc7", "fc6")]),
    st.one_of(st.none(), st.integers(0, 3)),
    st.integers(1, 4),
)


@settings(max_examples=HISTORIES, deadline=None)
@given(st.lists(st.tuples(st.lists(CHANGES, max_size=5), RUNS), min_size=1, max_size=5))
def test_after_any_changes_and_crashes_the_cache_holds_just_the_images(
    history: list[tuple[list[tuple[str, ...]], tuple[tuple[str, ...], int | None, int]]],
) -> None:
    world = World()
    layers: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "features.h5"
        committed: Folder = {}
        for changes, (wanted, crash_after, per_segment) in history:
            for name, *arguments in changes:
                getattr(world, name)(*arguments)
            before = path.read_bytes() if path.exists() else None
            try:
                result = run(path, world.folder, wanted, per_segment=per_segment, crash_after=crash_after)
            except CrashError:
                # The committed file is untouched.
                assert (path.read_bytes() if path.exists() else None) == before
                continue
            if not world.folder:
                assert not result.commit.written
                continue
            layers |= dict.fromkeys(wanted)
            committed = dict(world.folder)
            check_plainly(path, committed, list(layers))
            assert verify(path).ok
            assert sorted(p.name for p in path.parent.iterdir()) == ["features.h5"]

            again = run(path, world.folder, wanted)
            assert (again.extracted, again.commit.written) == ([], False)


@settings(max_examples=HISTORIES, deadline=None)
@given(st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=8), st.integers(0, 4), st.integers(1, 3))
def test_a_run_that_crashed_and_was_resumed_gives_the_same_bytes_as_one_that_was_not(
    images: list[tuple[str, str]], crash_after: int, per_segment: int
) -> None:
    world = World()
    for name, content in images:
        world.put(name, content, None)
    with tempfile.TemporaryDirectory() as temporary:
        whole, resumed = Path(temporary) / "whole.h5", Path(temporary) / "resumed.h5"
        run(whole, world.folder)
        with pytest.raises(CrashError):
            run(resumed, world.folder, per_segment=per_segment, crash_after=crash_after)
        result = run(resumed, world.folder)
        # A copy of an image that is finished is not extracted either.
        assert len(result.extracted) <= max(0, len(world.folder) - crash_after * per_segment)
        assert resumed.read_bytes() == whole.read_bytes()
