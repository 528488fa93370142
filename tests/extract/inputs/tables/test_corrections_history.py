"""Corrections as a history: the last decision counts, an undone one does not, a torn line never."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.inputs.tables.corrections import Corrections, read_corrections
from fc7.extract.inputs.tables.corrections_history import COLUMNS, Change, append_changes
from fc7.models.common.errors import UsageError

NAMES = st.sampled_from(["a.png", "b, c.png", 'd "e".png', "é/ü.png", "two\nlines.png", "a\rb.png"])
CHANGES = st.builds(
    lambda path, label: Change(path, "", label or "", undone=label is None),
    NAMES,
    st.sampled_from([None, "", "cat", "dog, big", "<b>é</b>"]),
)


def labels(history: Path) -> dict[str, str]:
    return {row.path: row.label for row in read_corrections(history).rows}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CHANGES, max_size=4), max_size=8))
def test_a_history_says_what_a_dictionary_says(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[Change]]
) -> None:
    history = tmp_path_factory.mktemp("history") / "corrections.csv"
    expected: dict[str, str] = {}
    append_changes(history, [])
    for changes in calls:
        append_changes(history, changes)
        for change in changes:
            expected.pop(change.path, None)
            if not change.undone:
                expected[change.path] = change.label
    assert labels(history) == expected
    with history.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["path"] for line in lines] == [change.path for some in calls for change in some]
    assert all(line["changed"].endswith("+00:00") for line in lines)


def test_a_part_of_a_line_never_counts_and_is_gone_with_the_next(tmp_path: Path) -> None:
    history = tmp_path / "corrections.csv"
    append_changes(history, [Change("a.png", "", "cat"), Change('b "c".png', "", "dog")])
    whole = history.read_bytes()
    start = whole.index(b'"b')
    for stop in range(start, len(whole)):
        history.write_bytes(whole[:stop])
        is_whole = stop >= len(whole) - 1
        expected = {"a.png": "cat"} | ({'b "c".png': "dog"} if is_whole else {})
        assert labels(history) == expected, whole[:stop]
        append_changes(history, [Change("z.png", "", "newt")])
        assert labels(history) == expected | {"z.png": "newt"}


def test_another_table_is_left_alone(tmp_path: Path) -> None:
    table = tmp_path / "fixes.csv"
    table.write_text("path,label\na.png,cat\n", "utf-8")
    with pytest.raises(UsageError, match=r"fixes.csv: its first line is 'path,label', and 'path,sha256,"):
        append_changes(table, [Change("b.png", "", "dog")])
    assert table.read_text("utf-8") == "path,label\na.png,cat\n"


def test_an_image_without_a_label_can_be_taken_out_by_a_decision_only(tmp_path: Path) -> None:
    history, table = tmp_path / "history.csv", tmp_path / "table.csv"
    append_changes(history, [Change("a.png", "", "")])
    table.write_text("path,label\na.png,\n", "utf-8")
    images = ["a.png", "b.png"], ["", ""], ["", "cat"]

    def taken_out(corrections: Corrections) -> list[int]:
        return [image.row for image in corrections.over(*images)[1].images if not image.label]

    assert taken_out(read_corrections(history)) == [0]
    # The table of `next --csv` whose labels are not filled in yet.
    assert taken_out(read_corrections(table)) == []


APPENDING = """
import sys
from pathlib import Path
from fc7.extract.inputs.tables.corrections_history import Change, append_changes
for i in range(10**6):
    append_changes(Path(sys.argv[1]), [Change(f"{i}.png", "", f"label {i}")])
    print(i, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_what_was_answered_for_is_there_after_a_kill(tmp_path: Path) -> None:
    history = tmp_path / "corrections.csv"
    answered = -1
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(history)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                answered = max(answered, int(line))
                if int(line) == 25:
                    process.send_signal(signal.SIGKILL)
                    break
            answered = max([answered, *map(int, process.stdout.read().split())])
        found = labels(history)
        assert {f"{i}.png": f"label {i}" for i in range(answered + 1)}.items() <= found.items()
        assert history.read_text("utf-8").startswith(",".join(COLUMNS))
