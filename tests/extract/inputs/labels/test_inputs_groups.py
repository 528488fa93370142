"""--group-by: groups from paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.extract.inputs.labels.grouping import group_of
from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import UsageError
from tests.extract.inputs.tables.test_manifests import pictures, write


@pytest.mark.parametrize(
    ("pattern", "path", "group"),
    [
        (r"^(\d+)_", "00005/00012_00003.ppm", "00012"),
        (r"^(\d+)_", "00012_00003.ppm", "00012"),
        (r"^(\d+)_", "2021_cats/photo.jpg", "2021"),
        (r"^([^/]+/\d+)_", "00005/00012_00003.ppm", "00005/00012"),
        (r"\d+", "a/b12c3.jpg", "12"),
        (r"^(?:a(\d)|b(\d))", "x/b7.jpg", "7"),
        (r"(z*)", "x/b7.jpg", None),
        (r"q", "x/b7.jpg", None),
    ],
)
def test_the_first_bracket_on_the_name_or_else_on_the_path(
    pattern: str, path: str, group: str | None
) -> None:
    import re

    assert group_of(path, re.compile(pattern)) == group


def test_images_that_match_nothing_are_counted_and_the_manifest_wins(tmp_path: Path) -> None:
    pictures(tmp_path / "imgs", "a/1_x.jpg", "a/1_y.jpg", "b/2_x.jpg", "b/odd.jpg")
    write(tmp_path / "m.csv", "path,label,group\na/1_y.jpg,A,mine\na/1_x.jpg,A,\n")
    notes: list[str] = []
    listing = list_inputs(
        [tmp_path / "imgs"], labels=tmp_path / "m.csv", group_by=r"^(\d)_", notify=notes.append
    )
    assert {ref.path: ref.group for ref in listing.images} == {
        "a/1_x.jpg": "1",
        "a/1_y.jpg": "mine",
        "b/2_x.jpg": "2",
        "b/odd.jpg": None,
    }
    assert notes[-1] == "--group-by: 3 groups in 4 images; without a match, and so in no group: 1"


def test_tracks_that_start_over_in_each_class_are_told_of(tmp_path: Path) -> None:
    pictures(tmp_path / "imgs", "a/1_x.jpg", "a/2_x.jpg", "b/1_x.jpg", "b/3_x.jpg", "b/3_y.jpg")
    told: dict[str, str] = {}
    for pattern in (r"^(\d)_", r"^([^/]+/\d+)_"):
        notes: list[str] = []
        list_inputs([tmp_path / "imgs"], group_by=pattern, notify=notes.append)
        told[pattern] = notes[-1]
    joined, apart = told.values()
    assert joined.startswith("--group-by: 3 groups in 5 images; images of several labels are in 1 of them: ")
    assert r"'^([^/]+/\d+)_'" in joined
    assert apart == "--group-by: 4 groups in 5 images"


def test_a_wrong_expression_is_refused_with_the_place_before_anything_is_listed() -> None:
    with pytest.raises(UsageError, match=r"'ab\(c': missing \), unterminated subpattern at character 3"):
        list_inputs(["no/such/folder"], group_by="ab(c")
