"""Corrections added one after the other: what they come to, and what a kill leaves of them."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.inputs.tables.corrections_history import COLUMNS, Change, append_changes
from fc7.extract.inputs.tables.corrections_table import read_corrections
from fc7.models.common.errors import Fc7Error, SourceError, UsageError

# Two of the four are copies.
PATHS = ["cat/1.png", 'cat/2, "so".png', "dog/3\r\n.png", "dog/é4.png"]
CONTENTS = [hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two", "three", "two")]
BEFORE = ["cat", "cat", "dog", ""]
HEADER = ",".join(COLUMNS)
ROUNDS = int(os.environ.get("FC7_TORTURE", "5"))

LABELS = st.sampled_from(["", "cat", "dog", "é,\n'\""])


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A change that names images by path, by content, or as the app does by both."""
    image = draw(st.integers(0, 3))
    path, sha256 = draw(st.sampled_from([(1, 1), (1, 1), (1, 0), (0, 1)]))
    return Change(PATHS[image] * path, CONTENTS[image] * sha256, draw(LABELS), draw(st.booleans()))


def model_of(done: Sequence[Change]) -> dict[str, str]:
    """What each image is called after these changes, by a dictionary."""
    said: dict[str, str] = {}
    for change in done:
        for path, sha256 in zip(PATHS, CONTENTS, strict=True):
            if change.path not in (path, "") or change.sha256 not in (sha256, ""):
                continue
            if change.undone:
                said.pop(path, None)
            else:
                said[path] = change.label
    return dict(zip(PATHS, BEFORE, strict=True)) | said


def over(corrections: Corrections) -> dict[str, str]:
    return dict(zip(PATHS, corrections.over(PATHS, CONTENTS, BEFORE)[0], strict=True))


def one(label: str, image: int = 0, *, undone: bool = False) -> Change:
    return Change(PATHS[image], CONTENTS[image], label, undone)


@settings(max_examples=200, deadline=None)
@given(calls=st.lists(st.lists(changes(), min_size=1, max_size=4), min_size=1, max_size=6))
def test_any_changes_and_undos_are_those_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[Change]]
) -> None:
    file = tmp_path_factory.mktemp("h") / "corrections.csv"
    for i, call in enumerate(calls):
        assert append_changes(file, call) == ()
        assert over(read_corrections(file)) == model_of([change for one in calls[: i + 1] for change in one])
    assert list(file.parent.iterdir()) == [file]


@settings(max_examples=60, deadline=None)
@given(before=st.lists(changes(), min_size=1, max_size=3), cut=st.lists(changes(), min_size=1, max_size=2))
def test_after_a_cut_at_any_byte_whole_lines_count_and_the_next_change_goes_on(
    tmp_path_factory: pytest.TempPathFactory, before: list[Change], cut: list[Change]
) -> None:
    file = tmp_path_factory.mktemp("h") / "corrections.csv"
    append_changes(file, before)
    first = file.stat().st_size
    append_changes(file, cut[:1])
    data = file.read_bytes()
    plain = not any("\n" in field for field in (cut[0].path, cut[0].label))
    for end in range(first, len(data)):
        file.write_bytes(data[:end])
        if not plain and data[first:end].endswith(b"\n"):
            # A line break within a name: that the quotation mark is open is said, and nothing is added to it.
            for refused in (lambda: read_corrections(file), lambda: append_changes(file, cut)):
                with pytest.raises(UsageError, match="is a quotation mark left open"):
                    refused()
            assert file.read_bytes() == data[:end]
            continue
        if not plain and b"\n" in data[first:end]:
            continue
        left = read_corrections(file)
        assert over(left) == model_of(before)
        half = end > first
        assert len(left.notes) == half
        notes = append_changes(file, cut)
        assert len(notes) == half
        after = read_corrections(file)
        assert (over(after), after.notes) == (model_of([*before, *cut]), ())


def test_the_lines_are_those_of_a_csv_with_times(tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    append_changes(file, [one("dog"), one("", 1)])
    append_changes(file, [one("newt", undone=True)])
    with file.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream)
    assert header == ["path", "sha256", "label", "changed", "undone"]
    assert [(path, sha256, label, undone) for path, sha256, label, _, undone in lines] == [
        (PATHS[0], CONTENTS[0], "dog", ""),
        (PATHS[1], CONTENTS[1], "", ""),
        (PATHS[0], CONTENTS[0], "", "yes"),
    ]
    times = [datetime.fromisoformat(line[3]) for line in lines]
    assert all(time.utcoffset() == timedelta(0) for time in times)
    assert times[0] == times[1] < times[2]


def test_a_history_says_the_same_as_the_plain_table_of_what_is_left(tmp_path: Path) -> None:
    file, plain = tmp_path / "corrections.csv", tmp_path / "plain.csv"
    append_changes(file, [one("dog"), one("newt", 2), one("", 1), one("cat")])
    append_changes(file, [one("", 2, undone=True), one("newt")])
    with plain.open("w", encoding="utf-8", newline="") as stream:
        table_rows = [(PATHS[1], CONTENTS[1], ""), (PATHS[0], CONTENTS[0], "newt")]
        csv.writer(stream).writerows([("path", "sha256", "label"), *table_rows])
    history, table = read_corrections(file), read_corrections(plain)
    assert history.sha256 == table.sha256
    assert over(history) == over(table)
    # Of copies, and of paths beside contents, the order counts.
    append_changes(file, [Change("", CONTENTS[0], "dog")])
    one_way = read_corrections(file)
    append_changes(file, [one("newt")])
    other_way = read_corrections(file)
    assert [over(each)[PATHS[0]] for each in (one_way, other_way)] == ["dog", "newt"]
    assert one_way.sha256 != other_way.sha256


def test_all_taken_back_corrects_nothing(tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    append_changes(file, [one("dog"), one("", undone=True)])
    assert over(read_corrections(file)) == model_of([])
    append_changes(file, [Change("", CONTENTS[1], "newt"), *(one("", i, undone=True) for i in (1, 3))])
    assert over(read_corrections(file)) == model_of([])


def test_a_renamed_image_is_the_same_one(tmp_path: Path) -> None:
    """Its content is found under the new path: what was said under the old one counts until more is said."""
    file = tmp_path / "corrections.csv"
    old, new = (Change(path, CONTENTS[0], label) for path, label in (("old.png", "cat"), (PATHS[0], "dog")))
    append_changes(file, [old])
    assert over(read_corrections(file))[PATHS[0]] == "cat"
    append_changes(file, [new])
    assert over(read_corrections(file))[PATHS[0]] == "dog"
    append_changes(file, [one("", undone=True)])
    assert over(read_corrections(file)) == model_of([])


def test_an_image_without_a_label_can_be_taken_out_by_a_decision_only(tmp_path: Path) -> None:
    history, table = tmp_path / "history.csv", tmp_path / "table.csv"
    append_changes(history, [one("", 3)])
    # The table of `next --csv` whose labels are not filled in yet.
    table.write_text(f"path,label\n{PATHS[3]},\n", "utf-8")
    for file, taken_out in ((history, [3]), (table, [])):
        corrected = read_corrections(file).over(PATHS, CONTENTS, BEFORE)[1]
        assert [image.row for image in corrected.images if not image.label] == taken_out


def test_a_table_without_the_column_of_times_is_no_history(tmp_path: Path) -> None:
    file = tmp_path / "fixes.csv"
    file.write_text("path,label,undone\ncat/1.png,dog,yes")
    assert over(read_corrections(file))["cat/1.png"] == "dog"
    file.write_text("path,label,undone\ncat/1.png,dog,yes\ncat/1.png,newt,")
    with pytest.raises(UsageError, match=r"line 3: 'cat/1\.png' is 'newt' here"):
        read_corrections(file)


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n", HEADER.encode(), b"", b" \n"])
def test_a_history_may_be_begun_by_hand(tmp_path: Path, start: bytes) -> None:
    file = tmp_path / "corrections.csv"
    file.write_bytes(start)
    append_changes(file, [one("newt")])
    assert over(read_corrections(file)) == model_of([one("newt")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\ncat/1.png,dog\n", "the first line is path, label; changes are added to a table that"),
        ("path,label\ncat/1.png,do", f"begins with {HEADER}. Give --corrections another name"),
        (f"{HEADER.replace(',', ';')}\n", "the first line is path;sha256;label"),
        (f"{HEADER}\n\"cat/1.png,\nb.png,,,,\n", "line 2: .*is a quotation mark left open"),
    ],
)  # fmt: skip
def test_another_table_is_refused_and_left_alone(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        append_changes(file, [one("newt")])
    assert file.read_text() == text


def test_what_cannot_be_written_is_refused_before_the_file_is_made(tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    with pytest.raises(UsageError, match="names no image; a path or a sha256 is needed"):
        append_changes(file, [one("newt"), Change(" ", "", "newt")])
    with pytest.raises(UsageError, match=r"'\\ud800' in a path or label is no text"):
        append_changes(file, [one("\ud800")])
    with pytest.raises(UsageError, match=r"give it a name that ends in \.csv"):
        append_changes(tmp_path / "corrections.tsv", [one("newt")])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Fc7Error, match="make the folder"):
        append_changes(tmp_path / "no" / "corrections.csv", [one("newt")])
    file.write_bytes(f"{HEADER}\n".encode() + b"caf\xe9,,newt,,\n")
    with pytest.raises(SourceError, match="line 2 is not UTF-8"):
        append_changes(file, [one("newt")])


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk says so only at fsync, when the line is in the file already."""
    file = tmp_path / "corrections.csv"
    append_changes(file, [one("newt")])
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Fc7Error, match="free the disk or choose another --corrections"):
        append_changes(file, [one("dog")])
    assert file.read_bytes() == before


VICTIM = """
import itertools, sys
from fc7.extract.inputs.tables.corrections_history import Change, append_changes
for i in itertools.count(int(sys.argv[2])):
    append_changes(sys.argv[1], [Change(f"{i % 50}.png", "", f"label {i}")])
    print(i, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_kill_loses_nothing_that_was_said_to_be_done(tmp_path: Path) -> None:
    """``FC7_TORTURE=100 pytest ...`` kills 100 times instead of 5."""
    file, draw = tmp_path / "corrections.csv", random.Random(0)
    paths, n = [f"{i}.png" for i in range(50)], 0
    for _ in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", VICTIM, file, str(n)], stdout=subprocess.PIPE, text=True
        ) as victim:
            assert victim.stdout is not None
            first = victim.stdout.readline()
            assert first == f"{n}\n"
            time.sleep(draw.uniform(0, 0.1))
            victim.send_signal(signal.SIGKILL)
            done = [first, *victim.stdout.readlines()]
        # The last line may have been cut in the pipe; the change after it may be in the file.
        last = max(int(line) for line in done if line.endswith("\n"))
        labels, corrected = read_corrections(file).over(paths, [""] * 50, [""] * 50)
        for i, label in enumerate(labels):
            expected = max((k for k in range(i, last + 1, 50)), default=None)
            may_be = {"" if expected is None else f"label {expected}"}
            if (last + 1) % 50 == i:
                may_be.add(f"label {last + 1}")
            assert label in may_be
        assert len(corrected.notes) <= 1
        n = last + 1
