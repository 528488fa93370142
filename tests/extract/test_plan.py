"""What a run decides before it does anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fc7.extract.plan import find_edited, find_moved, layers_to_run, make_plan
from fc7.extract.records import Failure, ImageRef
from tests.support.fakes import MemoryOrigin


@dataclass(frozen=True)
class Row:
    size: int = 3
    mtime_ns: int = 1
    sha256: str = "sha"
    layers: frozenset[str] = field(default_factory=lambda: frozenset({"fc7"}))


def refs(*paths: str, mtime_ns: int = 1) -> list[ImageRef]:
    return MemoryOrigin(dict.fromkeys(paths, b"abc")).refs(mtime_ns=mtime_ns)


def paths(images: Iterable[ImageRef]) -> list[str]:
    return [ref.path for ref in images]


def test_unchanged_images_are_not_touched() -> None:
    plan = make_plan(refs("a", "b"), {"a": Row(), "b": Row()}, {}, ["fc7"])
    assert (paths(plan.reuse), plan.work, plan.missing) == (["a", "b"], [], [])


def test_new_changed_and_removed_images_are_told_apart() -> None:
    known = {"same": Row(), "touched": Row(mtime_ns=0), "grown": Row(size=2), "gone": Row()}
    plan = make_plan(refs("grown", "new", "same", "touched"), known, {}, ["fc7"])
    assert paths(plan.reuse) == ["same"]
    assert paths(plan.work) == ["grown", "new", "touched"]
    assert plan.missing == ["gone"]


def test_a_known_failure_is_not_tried_again_until_it_changes() -> None:
    failed = {"x": Failure("x", "truncated", 3, 1)}
    assert make_plan(refs("x"), {}, failed, ["fc7"]).failures == [failed["x"]]
    assert paths(make_plan(refs("x", mtime_ns=2), {}, failed, ["fc7"]).work) == ["x"]
    assert paths(make_plan(refs("x"), {}, failed, ["fc7"], retry_failed=True).work) == ["x"]


def test_a_row_that_lacks_a_layer_is_work() -> None:
    assert paths(make_plan(refs("a"), {"a": Row()}, {}, ["fc7", "fc6"]).work) == ["a"]


def test_a_renamed_image_is_found_by_its_content_and_others_are_not_read() -> None:
    hashed: list[str] = []

    def hash_of(images: Iterable[ImageRef]) -> list[str | None]:
        names = paths(images)
        hashed.extend(names)
        return [None if name == "unreadable" else f"sha of {name}" for name in names]

    known = {"old": Row(), "changed": Row()}
    work = refs("changed", "new", "renamed", "unreadable")
    work.append(
        ImageRef("longer", None, None, None, 99, 1, work[0].origin, "longer"),
    )
    moved = find_moved(work, known, {"sha of renamed": "old"}.get, hash_of, ["fc7"])
    assert moved == {"renamed": "old"}
    assert hashed == ["new", "renamed", "unreadable"]


def test_an_edit_that_left_size_and_time_alone_is_found_by_content() -> None:
    known = {"a": Row(sha256="sha of a"), "b": Row(sha256="another"), "c": Row(sha256="sha of c")}
    images = refs("a", "b", "c")
    edited = find_edited(images, known, lambda r: [None if x.path == "c" else f"sha of {x.path}" for x in r])
    assert edited == {"b", "c"}
    plan = make_plan(images, known, {}, ["fc7"]).with_edited(edited)
    assert (paths(plan.reuse), paths(plan.work)) == (["a"], ["b", "c"])
    assert layers_to_run(plan.work, known, ["fc7"], edited) == ("fc7",)


def test_only_the_layers_that_are_lacking_are_run() -> None:
    known = {"a": Row(), "b": Row(mtime_ns=0)}
    assert layers_to_run(refs("a"), known, ["fc7", "pool5"]) == ("pool5",)
    assert layers_to_run(refs("a", "b"), known, ["fc7", "pool5"]) == ("fc7", "pool5")
    assert layers_to_run(refs("new"), known, ["fc7", "pool5"]) == ("fc7", "pool5")


def test_a_moved_row_that_lacks_a_layer_is_not_taken() -> None:
    moved = find_moved(refs("b"), {"a": Row()}, lambda _: "a", lambda r: ["sha" for _ in r], ["fc6"])
    assert moved == {}
