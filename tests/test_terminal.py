"""No name of a stranger does anything to the terminal of who reads it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from fc7.classify.predict.imagenet import _TableWriter
from fc7.extract.records import Failure
from fc7.models.common import terminal
from fc7.models.common.progress import Bar
from fc7.models.common.terminal import beneath, data_stream, guard, visible
from tests.models.common.test_progress import Terminal
from tests.support import ROOT, CommandLine, Ran, coloured_picture, command

# Told apart without the module under test: Unicode's controls, surrogates and separators, and UAX 9's marks.
UNSEEN = re.compile(
    r"[^\n\t -~\xa0-\u061b\u061d-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]"
)
ESCAPES = ("\x1b[31mred", "\x1b]0;mine\x07", "\x9b2J", "\u202egnp", "\x7f\x08", "\r\nFORGED: all is well")


def harmless(ran: Ran) -> str:
    """What a command said, if a terminal can take it."""
    assert not UNSEEN.search(ran.text), ascii(ran.text)
    assert not re.search(r"^FORGED", ran.text, re.M), ascii(ran.text)
    return ran.text


@given(st.text())
def test_what_is_shown_has_no_control_characters_and_the_rest_as_it_was(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not UNSEEN.search(shown)
    assert json.loads(visible(json.dumps(text, ensure_ascii=False))) == text
    takes_no_room = "[\xad\u180e\u200b\u2060-\u206f\ufeff]"
    assert (shown == text) == (not UNSEEN.search(text) and not re.search(takes_no_room, text))


def test_json_stays_what_it_was() -> None:
    value = {name: [name] for name in ESCAPES}
    assert json.loads(visible(json.dumps(value, ensure_ascii=False))) == value


def test_letters_of_every_script_and_joined_emoji_stay() -> None:
    for text in ("ünïcödé", "می‌خواهم", "👩\u200d🔬", "普通話", "a\tb\n"):
        assert visible(text) == text


def test_a_guard_stands_once_and_shows_what_the_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, "latin-1", write_through=True))
    under = sys.stdout
    guard()
    guard()
    assert beneath(sys.stdout) is under
    print("é \x1b[31m 普 \udc80")
    assert raw.getvalue() == b"\xe9 \\u001b[31m \\u666e \\udc80\n"
    assert data_stream() is under
    monkeypatch.setattr(under, "isatty", lambda: True, raising=False)
    assert data_stream() is sys.stdout


def test_the_bar_is_drawn_and_what_is_printed_beside_it_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    guard()
    bar = Bar(Console(file=beneath(sys.stderr), force_terminal=True, width=100))
    bar.start(3, "reading \x1b]0;mine\x07")
    print("a note of \x9b2J", file=sys.stderr)
    typer.echo("a photo of Zoë \x9b3J", err=True)
    bar.finish()
    print("and \x1b[31m after", file=sys.stderr)
    drawn = screen.getvalue()
    assert "\x1b[?25h" in drawn
    assert r"reading \u001b]0;mine\u0007" in drawn
    # Each note clears the bar's line first, and the bar is drawn anew below it.
    assert re.search(r"\x1b\[2Ka note of \\u009b2J\s*\n", drawn)
    assert re.search(r"\x1b\[2Ka photo of Zoë \\u009b3J\s*\n", drawn)
    assert r"and \u001b[31m after" in drawn
    assert "\x9b" not in drawn
    assert "\x1b]0" not in drawn


def test_the_table_of_imagenet_keeps_a_name_on_its_line() -> None:
    out = io.StringIO()
    _TableWriter(out, 1, "x\n/").write(["a\nFORGED.png"], np.full((1, 1000), 0.001, np.float32), [])
    _TableWriter(out, 1, "").write([], np.empty((0, 1000), np.float32), [Failure("b\n", "c\nFORGED", 0, 0)])
    assert not re.search("^FORGED", out.getvalue(), re.M)
    assert out.getvalue().startswith("x\\u000a/a\\u000aFORGED.png\n  ")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder of hostile names: classes, images, broken images, other files; its cache and classifier."""
    if os.name != "posix":
        pytest.skip("needs a file system that takes such names")
    here = CommandLine(tmp_path_factory.mktemp("hostile")).with_tiny_network()
    folder = here.folder / "imgs"
    for colour, escape in zip(("red", "green"), ESCAPES[:2], strict=True):
        (folder / f"{colour}{escape}").mkdir(parents=True)
        for i in range(6):
            name = f"{i}{ESCAPES[i]}.png"
            Image.fromarray(coloured_picture(colour, i)).save(folder / f"{colour}{escape}" / name)
    for i, escape in enumerate(ESCAPES):
        (folder / f"broken{i}{escape}.png").write_bytes(b"no picture")
        (folder / f"notes.{escape}").write_bytes(b"")
    (folder / os.fsdecode(b"broken\xff.png")).write_bytes(b"no picture")
    (folder / "broken link.png").symlink_to("x\x1b[31m\nFORGED")
    return here


@pytest.fixture(scope="module")
def extracted(cli: CommandLine) -> Ran:
    return cli.incomplete("extract", "imgs", "--network", "tiny")


def test_skipped_images_and_other_files_are_named_harmlessly(extracted: Ran) -> None:
    text = harmless(extracted)
    assert r"skipped broken0\u001b[31mred.png: not an image" in text
    assert r"skipped broken5\u000d\u000aFORGED: all is well.png: " in text
    assert r"1 .\u009b2j" in text


def test_every_command_that_names_images_or_classes_is_harmless(cli: CommandLine, extracted: Ran) -> None:
    fitted = cli("fit", "--force", "--svm", "-C", "1", "--duplicates", "exact", "--test-size", "0.5")
    assert fitted.code == 0, fitted.text
    harmless(fitted)
    assert "red" in harmless(cli("evaluate", "imgs"))
    verified = cli("cache", "verify", "features.h5", "--images", "imgs/red\x1b[31mred")
    assert r"missing: red\u001b[31mred/" in harmless(verified)
    as_json = cli("classify", "imgs", "--json", "-o", "out.csv")
    harmless(as_json)
    assert len(json.loads(as_json.out)["failures"]) == 8
    assert r"'no\x1b[31msuch'" in harmless(cli("extract", "no\x1b[31msuch"))
    assert harmless(cli("extract", "--no\x1b[31msuch"))
    harmless(cli("duplicates", "features.h5"))


def test_predictions_in_a_pipe_hold_the_very_names_and_on_a_terminal_what_can_be_read(
    cli: CommandLine, extracted: Ran
) -> None:
    import pty

    cli.good("fit", "--force", "--svm", "-C", "1", "--duplicates", "exact", "--test-size", "0.5", "-q")
    piped = cli("classify", "imgs", "-o", "-")
    assert not UNSEEN.search(piped.err)
    paths = [line["path"] for line in csv.DictReader(io.StringIO(piped.out, newline=""))]
    assert f"imgs/red{ESCAPES[0]}/0{ESCAPES[0]}.png" in paths
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                shown.append(os.read(ours, 1 << 16))
            except OSError:
                return
            if not shown[-1]:
                return

    reader = threading.Thread(target=read)
    reader.start()
    ran = subprocess.run(
        command(["classify", "imgs", "-o", "-"]),
        cwd=cli.folder,
        env=cli.environment(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert ran.returncode == 1, ran.stderr
    # The terminal itself puts a carriage return before each line feed.
    text = b"".join(shown).decode().replace("\r\n", "\n")
    assert r"imgs/red\u001b[31mred/0\u001b[31mred.png,red\u001b[31mred," in text
    assert not UNSEEN.search(text)


FROM_ELSEWHERE = """
import sys
from fc7.cli import main
from fc7.models.store import pulling
fetch = pulling.fetch
address = sys.argv[1]
pulling.fetch = lambda urls, *rest, **how: fetch([address], *rest, **how)
sys.argv = ["fc7", "models", "pull", "alexnet"]
main()
"""


def test_a_servers_status_line_is_shown_harmlessly(cli: CommandLine) -> None:
    class Gone(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(418, "tea\x1b[31mpot\x9b2J")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Gone) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ran = subprocess.run(
            [sys.executable, "-c", FROM_ELSEWHERE, f"http://127.0.0.1:{server.server_address[1]}/net"],
            env=cli.environment({"PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}),
            capture_output=True,
            timeout=120,
            check=False,
        )
        server.shutdown()
    assert ran.returncode == 1
    assert rb"HTTP 418 tea\u001b[31mpot\u009b2J" in ran.stderr
    assert not UNSEEN.search(ran.stderr.decode())


def test_nothing_is_printed_past_the_guard() -> None:
    """Messages go to sys.stdout and sys.stderr as they are when they are written, or to `data_stream`.

    A constant of ours may go past: a process that is about to end writes one where a lock may be held.
    """
    root = Path(terminal.__file__).parents[1]
    for room in ("models", "extract", "classify"):
        for path in (root / room).rglob("*.py"):
            text = path.read_text("utf-8")
            past = re.findall(
                r'sys\.__std|os\.write\([12],(?! b"[^"]*"\))|(stdout|stderr)\.buffer|Console\(stderr', text
            )
            assert not past or path.name in ("interrupts.py", "terminal.py"), (path, past)
