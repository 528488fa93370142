"""Protobuf's text format, in which Caffe describes networks: text to nested blocks, with line numbers.

Source: protobuf.dev, "Text Format Language Specification". No message definition is needed: a
field's type is checked when it is asked for (`models.caffe.block`).

`google.protobuf.text_format` (7.36) takes as long (4 MB: 5.7 s of processor time), but needs the definition
of every message, gives none of the lines that our messages name, and ends in a RecursionError 5,000 blocks
deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fc7.models.caffe.block import Block, Scalar
from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed

# The largest published description, that of a ResNet-152, has some 100 KB and nests 4 deep.
_MAX_BYTES, _MAX_DEPTH = 4 << 20, 32
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f\v]+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>-?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?))
      | (?P<word>-?[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>[:{}<>\[\],;-])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_LETTERS = dict(zip("abfnrtv\\'\"?", "\a\b\f\n\r\t\v\\'\"?", strict=True))
_CLOSING = {"{": "}", "<": ">"}


def read_prototxt(path: Path) -> Block:
    """A network description as nested blocks.

    Parameters
    ----------
    path : Path
        A ``deploy.prototxt``, UTF-8.

    Raises
    ------
    WeightsError
        If it is no text in this format; with the line.
    UnsafeFileError
        If it is absurdly long or nested.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise WeightsError(
            f"{path}: cannot be read ({exc.strerror or exc}); give the path of a deploy.prototxt"
        ) from exc
    if len(raw) > _MAX_BYTES:
        raise UnsafeFileError(
            f"{path}: more than {_MAX_BYTES >> 20} MiB, too much for the description of a network"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise WeightsError(
            f"{path}: not a text in UTF-8 ({exc.reason} at byte {exc.start}); the prototxt describes the "
            "network in plain text, the .caffemodel holds its weights"
        ) from exc
    return parse_prototxt(text, str(path))


def parse_prototxt(text: str, file: str) -> Block:
    """As `read_prototxt`, from text."""
    return _Parser(text, file).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._tokens = _tokens(text, file)
        self._now = next(self._tokens)

    def parse(self) -> Block:
        root = Block(self._file, 1)
        stack: list[tuple[Block, str]] = [(root, "end of the file")]
        while True:
            block, closing = stack[-1]
            token = self._next()
            if token.kind == "end" or (token.text in (">", "}") and token.kind == "sign"):
                if token.text != closing:
                    raise self._error(f"found {token.text}, needed {closing}", token.line)
                if token.kind == "end":
                    return root
                stack.pop()
                self._separator()
            elif token.kind == "word":
                inner = self._field(block, token)
                if inner is not None:
                    stack.append(inner)
                    if len(stack) > _MAX_DEPTH:
                        raise UnsafeFileError(
                            f"{self._file}, line {token.line}: blocks nested more than {_MAX_DEPTH} deep"
                        )
            else:
                raise self._error(f"found {listed([token.text])}, needed the name of a field", token.line)

    def _field(self, block: Block, name: _Token) -> tuple[Block, str] | None:
        """One field's value; a block is opened, and closed by the loop in `parse`."""
        values = block.fields.setdefault(name.text, [])
        colon = self._take(":")
        for opening, closing in _CLOSING.items():
            if self._take(opening):
                inner = Block(self._file, name.line)
                values.append(inner)
                return inner, closing
        if not colon:
            raise self._error(
                f"found {listed([self._now.text])} after {name.text}, needed : or {{", name.line
            )
        if self._take("["):
            while not self._take("]"):
                values.append(self._scalar())
                if not self._take(",") and self._now.text != "]":
                    raise self._error(
                        f"found {listed([self._now.text])} in a list, needed , or ]", self._now.line
                    )
        else:
            values.append(self._scalar())
        self._separator()
        return None

    def _scalar(self) -> Scalar:
        token = self._next()
        if token.kind == "string":
            text = _unquoted(token.text)
            while self._now.kind == "string":  # neighbours are one string
                text += _unquoted(self._next().text)
            return Scalar(text, True, token.line)
        minus = ""
        if token.text == "-" and token.kind == "sign":
            minus, token = "-", self._next()
        if token.kind in ("number", "word"):
            return Scalar(minus + token.text, False, token.line)
        raise self._error(f"found {listed([token.text])}, needed a value", token.line)

    def _separator(self) -> None:
        if not self._take(","):
            self._take(";")

    def _take(self, sign: str) -> bool:
        found = self._now.kind == "sign" and self._now.text == sign
        if found:
            self._next()
        return found

    def _next(self) -> _Token:
        token = self._now
        if token.kind != "end":
            self._now = next(self._tokens)
        return token

    def _error(self, what: str, line: int) -> WeightsError:
        return WeightsError(
            f"{self._file}, line {line}: {what}; it is not the description of a Caffe network"
        )


def _tokens(text: str, file: str) -> Iterator[_Token]:
    here, line = 0, 1
    while here < len(text):
        found = _TOKEN.match(text, here)
        if found is None:
            shown = listed([text[here : here + 20].split("\n")[0]])
            raise WeightsError(
                f"{file}, line {line}: cannot be read from {shown} on; it is not a Caffe prototxt"
            )
        kind = str(found.lastgroup)
        if kind != "space":
            yield _Token(kind, found.group(), line)
        line += found.group().count("\n")
        here = found.end()
    yield _Token("end", "end of the file", line)


def _unquoted(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    return _ESCAPE.sub(_character, token[1:-1])


def _character(found: re.Match[str]) -> str:
    octal, hexadecimal, short, long, letter = found.groups()
    if letter is not None:
        return _LETTERS.get(letter, letter)
    code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\N{REPLACEMENT CHARACTER}"
