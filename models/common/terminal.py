r"""What people read: text whose control characters are shown, never sent to the terminal.

Names of files and classes, web pages, networks and servers' answers may hold escape sequences that recolour
or retitle a terminal, clear it, or turn the reading direction. `guard` stands before stdout and stderr, so no
message can forget it. Results for programs (`data_stream`) pass as they are, unless stdout is a terminal.
"""

from __future__ import annotations

import codecs
import io
import re
import sys
import textwrap
from typing import Any, TextIO, cast

# Unicode's categories Cc (but line feed and tab), Cs, Zl and Zp; of Cf the characters that change the
# reading direction (UAX 9) and those that take no room. The joiners U+200C and U+200D belong to letters in
# many scripts, and to emoji.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_BREAKS = str.maketrans({"\n": r"\u000a", "\t": r"\u0009"})


def visible(text: str) -> str:
    r"""A text with control characters written out; line feeds and tabs stay.

    They are written as JSON writes them, so that JSON stays what it was.

    Examples
    --------
    >>> visible("cat\x1b[31m\n")
    'cat\\u001b[31m\n'
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    r"""`visible`, line feeds and tabs too: a name within a line that nobody can go on with in the next.

    Examples
    --------
    >>> one_line("1.png: fine\nskipped 2.png")
    '1.png: fine\\u000askipped 2.png'
    """
    return visible(text).translate(_BREAKS)


def counted(n: int, one: str, many: str = "") -> str:
    """A number and what is counted: ``1 image``, ``2,000 images``; `many` where it is not `one` with an s."""
    return f"{n:,} {one}" if n == 1 else f"{n:,} {many or one + 's'}"


def wrapped(text: str, width: int = 100) -> str:
    """A text whose lines fit a terminal: what is longer goes on below, indented; words stay whole.

    Examples
    --------
    >>> print(wrapped("  two words too many", width=14))
      two words
          too many
    """
    lines: list[str] = []
    for line in text.split("\n"):
        further = " " * (len(line) - len(line.lstrip(" ")) + 4)
        fits = textwrap.TextWrapper(
            width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
        )
        lines += [line] if len(line) <= width else fits.wrap(line)
    return "\n".join(lines)


class _Guarded:
    """A text stream that shows control characters, and what its encoding lacks."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        shown, encoding = visible(text), self.encoding
        if encoding.lower() not in ("utf-8", "utf8"):
            shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        self.stream.write(shown)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    @property
    def encoding(self) -> str:
        # Rich's stand-in has none of its own.
        return getattr(beneath(self.stream), "encoding", None) or "ascii"

    def __getattr__(self, name: str) -> Any:
        # Click writes past a stream whose encoding it finds poor, into its buffer.
        if name == "buffer":
            raise AttributeError("what goes past this stream goes past its guard")
        return getattr(self.stream, name)


def guard() -> None:
    """Put a guard before stdout and stderr; calling it again does nothing more."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not is_guarded(stream):
            setattr(sys, name, cast("TextIO", _Guarded(stream)))


def is_guarded(stream: object) -> bool:
    """Whether a guard stands before it."""
    return isinstance(stream, _Guarded)


def beneath(stream: TextIO) -> TextIO:
    """The stream without guards, and without rich's stand-in while a bar is drawn."""
    while True:
        inner = stream.stream if isinstance(stream, _Guarded) else getattr(stream, "rich_proxied_file", None)
        if inner is None:
            return stream
        stream = inner


def data_stream() -> TextIO:
    """Where results for programs go: stdout as it is, guarded only where it is a terminal."""
    return sys.stdout if beneath(sys.stdout).isatty() else beneath(sys.stdout)


def take_every_name() -> None:
    """Make stdout and stderr UTF-8; a console that has another encoding keeps it, and shows the rest escaped.

    A C locale (ASCII) says nothing about the console, and is not kept.
    """
    for stream in (sys.stdout, sys.stderr):
        # Python gives a program that has no such stream None, and whoever imports this one may put another.
        if isinstance(stream, io.TextIOWrapper):
            keep = stream.isatty() and codecs.lookup(stream.encoding).name != "ascii"
            stream.reconfigure(encoding=None if keep else "utf-8", errors="backslashreplace")
