"""Every command, every output, everything that may stand there: what fc7 did not write is never lost.

The commands run in this process; with FC7_TORTURE set each is a process of its own (`make torture`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fc7.models.outputs.kinds import describe
from tests.outputs.cases import (
    CASES,
    EXPORT,
    EXTRACT,
    FIT,
    OUTPUTS,
    PHOTO,
    REPORT,
    STANDING,
    TORTURE,
    Case,
    Run,
    everything,
    put,
)

# They bring up to date what they wrote before.
UPDATES = {("extract",), ("choose",), ("watch",), ("shapes",), ("demo",)}


@pytest.mark.parametrize("standing", STANDING)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("unread")
def test_what_fc7_did_not_write_there_stays(
    place: Path, there: Path, run: Run, case: Case, standing: str
) -> None:
    if case.kind in STANDING[standing] and case.command in UPDATES:
        pytest.skip("it is brought up to date")
    put(place / "standing" / standing, case.output(there))
    before = everything(place)
    code, message = run(case.call("there"))
    assert code == 2, message
    assert everything(place) == before
    assert any(name in message for name in STANDING[standing]), message
    assert f"and {case.kind} was to be written; choose another" in message
    assert "--force" in message
    assert case.file or "there: " in message


@pytest.mark.parametrize("case", {case.arguments: case for case in CASES}.values(), ids=str)
def test_force_replaces_it_and_a_result_is_not_replaced_without(
    place: Path, there: Path, run: Run, case: Case
) -> None:
    if case.command == ("demo",) and not TORTURE:
        pytest.skip("takes seconds; `make torture`")
    outputs = [each.output(there) for each in CASES if each.arguments == case.arguments]
    texts = {path: put(place / "standing" / "text", path).read_bytes() for path in outputs}
    code, message = run([*case.call("there"), "--force"])
    assert code == 0, message
    # With one C there is nothing to plot of how it was chosen, and the place keeps what it had.
    kept = [path for path in outputs if path.read_bytes() == texts[path]]
    assert {path.stem for path in kept} <= {"tuning"}
    for path in kept:
        path.unlink()
    if case.command == ("report",) and not TORTURE:
        # Drawing it again takes seconds.
        assert {path.suffix: describe(path).partition(" (")[0] for path in outputs if path.exists()} == {
            ".html": "a report",
            ".png": "a plot of a report",
            ".svg": "a plot of a report",
        }
        return
    before = everything(place)
    code, message = run(case.call("there"))
    if case.command in UPDATES:
        assert code == 0, message
    else:
        assert code == 2, message
        assert message.endswith("or pass --force to replace it")
        assert ("which a merge would replace, not add to" in message) == (case.command == ("cache", "merge"))
        assert everything(place) == before
    left = [path.name for path in place.rglob("*.part")]
    assert left == []


def spellings(source: Path, there: Path) -> Iterator[str]:
    """Other names of a file, made one after the other."""
    there.symlink_to(source)
    yield str(there)
    there.unlink()
    os.link(source, there)
    yield str(there)
    there.unlink()
    yield str(source.parent / "." / ".." / source.parent.name / source.name)
    yield os.path.relpath(source)


@pytest.mark.parametrize("case", [case for case in OUTPUTS if case.inputs], ids=str)
@pytest.mark.usefixtures("unread")
def test_no_call_replaces_what_it_reads_not_even_with_force(
    place: Path, there: Path, run: Run, case: Case
) -> None:
    output = case.output(there)
    output.parent.mkdir(parents=True, exist_ok=True)
    before = everything(place)
    for name in case.inputs:
        for spelled in spellings(place / name, output):
            if case.file and Path(spelled) != output:
                continue
            standing = everything(place)
            for force in ([], ["--force"]):
                code, message = run([*case.call("there" if case.file else spelled), *force])
                assert code == 2, message
                assert everything(place) == standing
                assert f"{case.kind} was to be written; choose another" in message
                assert "this call reads" in message
                assert "--force" not in message
    assert everything(place) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "list.txt"),
        ("classify", "linked"),
        ("classify", "more", "linked"),
        ("classify", "-"),
        ("classify", "i*s/red"),
        ("extract", "--labels", "labels.csv", "--network", "tiny"),
        ("report", "features.h5"),
        ("export", "--features", "features.h5"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("unread")
def test_images_are_inputs_however_they_were_named(
    place: Path, there: Path, run: Run, arguments: tuple[str, ...]
) -> None:
    Path("list.txt").write_text(PHOTO)
    Path("linked").mkdir()
    Path("linked/link.png").symlink_to(place / PHOTO)
    shutil.copytree("imgs/blue", "more")
    os.link(PHOTO, there)
    before = everything(place)
    for out in (PHOTO, "there"):
        code, message = run([*arguments, "-o", out, "--force"])
        assert code == 2, message
        assert "this call reads" in message or "a list is read from stdin, which may name it" in message
        # Nor is it advised first.
        code, message = run([*arguments, "-o", out])
        assert (code, message.count("--force")) == (2, 0), message
    assert everything(place) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (*EXTRACT, "-o", "x", "--failures-csv", "./x"),
        (*FIT, "-o", "new.onnx", "--split-csv", "NEW.onnx"),
        (*EXPORT, "-o", "x", "--card", "there/../x"),
        (*REPORT[:6], "-o", "there/map.png", "--plots", "there"),
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.usefixtures("unread")
def test_two_outputs_of_a_call_are_two_files(
    place: Path, there: Path, run: Run, arguments: tuple[str, ...]
) -> None:
    there.mkdir()
    before = everything(place)
    code, message = run([*arguments, "--force"])
    assert (code, message.count("give two names that differ in more than case")) == (2, 1)
    assert everything(place) == before
