"""Ten commands as a user meets them, word for word; what a machine or a day decides is masked.

``FC7_WRITE_TRANSCRIPT=1 python -m pytest tests/test_transcript.py`` writes ``tests/transcript.txt`` anew;
read its difference before you commit it.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fc7.models.common.program import command_line
from fc7.models.common.terminal import wrapped
from tests.support import ROOT, CommandLine, write_pictures

GOLDEN = Path(__file__).with_name("transcript.txt")
WIDTH = 100
ROOMS = ("models", "extract", "classify")
COMMANDS = (
    "extract imgs/ --network tiny --max-failures 1",
    "fit --svm",
    "classify new/",
    "classify new/red/100.png",
    "evaluate imgs/ --held-out",
    "suspects",
    "duplicates --threshold 1",
    "compare classifier.onnx softmax.onnx new/",
    "learning-curve --svm",
    "cache info",
)
# Each is replaced, from the first to the last; all other words, names, counts and units are compared.
MASKS = (
    # A command that fc7 tells begins with the Python and the script of this machine.
    (r"\S*python\S* \S*cli\.py", "fc7"),
    # Which stage was the slowest, how slow each was, and what would be faster here.
    (r"slowest: [^)]+\)(; [^\n]*)?", "slowest: STAGE (STAGES)"),
    # How features were made: the decoder, the engine, its version and its precision.
    (r"(?<=rows: )decode .*", "ENGINE"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} by fc7 \S+", "TIME by fc7 VERSION"),
    # A fingerprint is that of the network and the library that wrote it.
    (r"\b[0-9a-f]{64}\b", "HASH"),
    # A speed, a C among equally good ones, and pairs at the border of a calibrated threshold.
    (r"\d+(?= images/s)|(?<=C = )[\d.]+|\d+(?= other near pairs)", "N"),
)
# Measured numbers have decimals. In a table they keep their place at the right of a column.
MEASURED = re.compile(r"(?<![\w/.+-])( {2,})?[+-]?\d+\.\d+(?![\w/.])")
WRAPPED = re.compile(r"(?<=[^\n]{70})\n {4}(?=\S)")
UNCLEAR = re.compile(
    r"\b(tie[ds]?|judge[ds]?|figures?|chance|doubt\w*|hands?|closeness|rather|lest|a good first)\b"
    r"|\b(is|are) no images?\b"
    r"|\b1 (images(?!/s)|rows|classes|pictures|labels|failures|pairs|repeats)\b|\d %",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The commands and all that they say, each after a line ``$ fc7 ...`` and before its exit code."""
    run = CommandLine(tmp_path_factory.mktemp("transcript")).with_tiny_network()
    write_pictures(run.folder / "imgs")
    write_pictures(run.folder / "new", per_class=3, start=100)
    shutil.copy(run.folder / "imgs/red/000.png", run.folder / "imgs/blue/copy.png")
    (run.folder / "imgs/red/notes.txt").write_text("seen in May\n")
    (run.folder / "imgs/red/torn.jpg").write_bytes((run.folder / "imgs/red/001.png").read_bytes()[:300])
    said = []
    for line in COMMANDS:
        if line.startswith("compare"):
            run.good("fit", "--softmax", "-C", "1", "-o", "softmax.onnx")
        ran = run(*line.split())
        said.append(f"$ fc7 {line}\n{ran.out}{ran.err}[exit code {ran.code}]\n")
    return "\n".join(said)


def masked(text: str) -> str:
    """A transcript without what the machine, the day or rounding decides, its lines wrapped once more."""
    text = WRAPPED.sub(" ", text)
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return wrapped(MEASURED.sub(lambda found: "N".rjust(len(found[0]) if found[1] else 0), text), WIDTH)


def test_ten_commands_say_what_they_said(transcript: str) -> None:
    found = masked(transcript)
    if os.environ.get("FC7_WRITE_TRANSCRIPT"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found.splitlines() == GOLDEN.read_text("utf-8").splitlines()


def test_no_line_is_too_long_for_a_terminal(transcript: str) -> None:
    assert [line for line in transcript.splitlines() if len(line) > WIDTH] == []


def test_the_words_are_the_fields(transcript: str) -> None:
    assert [line for line in transcript.splitlines() if UNCLEAR.search(line)] == []


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the words of each text of a module that is not a docstring, a single word or CSS."""
    tree = ast.parse(file.read_text("utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in documents:
            continue
        if isinstance(node.value, str) and " " in node.value.strip() and "{ " not in node.value:
            yield node.lineno, node.value


def test_no_message_of_the_program_has_an_unclear_word() -> None:
    files = [ROOT / "cli.py", *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for file in files
        for line, text in texts(file)
        if UNCLEAR.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("accuracy           77.5%  (93 of 120)", "accuracy              N%  (93 of 120)"),
        ("new/red/100.png 0.5 v1.2", "new/red/100.png N v1.2"),
        (f"{command_line('fit')} --svm", "fc7 fit --svm"),
        (
            "3 s, 31 images/s, slowest: write (decode 14%); -j 8 helps",
            "3 s, N images/s, slowest: STAGE (STAGES)",
        ),
        (f"fingerprint {64 * 'e'}", "fingerprint HASH"),
        ("minus 104.007/116.669/122.679", "minus 104.007/116.669/122.679"),
        ("19 images took -0.25 s, 95% interval", "19 images took N s, 95% interval"),
        (f"{'long ' * 19}end\n    of it 0.5", f"{'long ' * 19}end\n    of it N"),
    ],
)
def test_masks_take_what_was_measured_and_leave_words(said: str, shown: str) -> None:
    assert masked(said) == shown
