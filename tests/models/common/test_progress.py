"""The bar: drawn on a terminal only, and always taken away again."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fc7.models.common.progress import Bar, Detail, Silent, make_progress, notifier


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_only_a_terminal_gets_a_bar_and_only_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(make_progress(quiet=False), Silent)
    monkeypatch.setattr("sys.stderr", Terminal())
    assert isinstance(make_progress(quiet=True), Silent)
    assert isinstance(make_progress(quiet=False), Bar)


def drawn(total: int, *steps: int) -> str:
    screen = Terminal()
    bar = Bar(Console(file=screen, force_terminal=True, width=100))
    bar.start(total, "net[1].onnx")
    for step in steps:
        bar.advance(step)
    bar.finish()
    return screen.getvalue()


@pytest.mark.parametrize(
    ("total", "steps", "count"),
    [(40, (10, 2), "12/40"), (0, (7,), "7"), (243_863_787, (120_000_000,), "120.0/243.9 M")],
)
def test_it_shows_what_is_done_and_of_how_much(total: int, steps: tuple[int, ...], count: str) -> None:
    text = drawn(total, *steps)
    assert "net[1].onnx" in text
    assert count in text


def test_the_cursor_comes_back_and_finishing_twice_is_nothing() -> None:
    show_cursor = "\x1b[?25h"
    screen = Terminal()
    bar = Bar(Console(file=screen, force_terminal=True, width=100))
    bar.finish()
    bar.start(10, "one")
    bar.start(10, "two")
    bar.finish()
    ended = screen.getvalue()
    bar.finish()
    bar.advance()
    assert ended.count(show_cursor) == 2
    assert screen.getvalue() == ended


@pytest.mark.parametrize(
    ("quiet", "verbose", "told"),
    [(False, False, "wrong\n"), (False, True, "wrong\nas it should be\n"), (True, True, "")],
)
def test_where_nothing_is_wrong_nothing_is_said_unless_asked(
    capsys: pytest.CaptureFixture[str], quiet: bool, verbose: bool, told: str
) -> None:
    say = notifier(quiet, verbose)
    say("wrong")
    say(Detail("as it should be"))
    assert capsys.readouterr().err == told


def test_silence_takes_the_same_calls() -> None:
    silent = Silent()
    silent.start(1, "x")
    silent.advance()
    silent.finish()
