"""Protobuf's text format: every spelling that Caffe's own reader takes, and errors with their line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.models.caffe.block import Block
from fc7.models.caffe.net import net_of
from fc7.models.caffe.prototxt import parse_prototxt, read_prototxt
from fc7.models.common.errors import Fc7Error, UnsafeFileError, WeightsError
from tests.support.models.caffe_files import alexnet, prototxt


def parse(text: str) -> Block:
    return parse_prototxt(text, "net.prototxt")


def test_comments_colons_brackets_and_separators_may_be_written_in_every_way() -> None:
    block = parse(
        """
        # a comment { with: "signs" }
        name: 'net' ; other: "x"  # and another
        layer { a: 1, b: -2 }
        layer: < a: 0x1F b: 017; >
        dims: [1, 2,
               3] dims: 4
        empty: []
        word:MAX pair{nested{deep:true}}
        """
    )
    first, second = block.blocks("layer")
    assert block.text("name") == "net"
    assert (first.integer("a", 0), first.integer("b", 0)) == (1, -2)
    assert (second.integer("a", 0), second.integer("b", 0)) == (31, 15)
    assert block.integers("dims") == [1, 2, 3, 4]
    assert block.integers("empty") == []
    assert block.choice("word", ("AVE", "MAX")) == "MAX"
    assert block.block("pair").block("nested").flag("deep", False) is True
    assert (first.line, second.line) == (4, 5)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"plain"', "plain"),
        (r'"a\"b" ' + r"'c\'d'", "a\"bc'd"),
        (r'"tab\tnew\nback\\"', "tab\tnew\nback\\"),
        (r'"\101\x42C\U00000044"', "ABCD"),
        (r'"\ud800"', "\N{REPLACEMENT CHARACTER}"),
        ('"conv/3x3 # no comment"', "conv/3x3 # no comment"),
        ('"größe 🙂"', "größe 🙂"),
        ('""', ""),
    ],
)
def test_strings_and_their_escapes(written: str, meant: str) -> None:
    assert parse(f"name: {written}").text("name") == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("1", 1.0), ("-2.5", -2.5), ("1e-4", 1e-4), ("3.f", 3.0), (".5F", 0.5), ("- 7", -7.0), ("0x10", 16.0)],
)
def test_numbers_in_every_spelling(written: str, meant: float) -> None:
    assert parse(f"value: {written}").number("value", 0.0) == meant


def test_enums_are_words_or_numbers() -> None:
    names = ("MAX", "AVE", "STOCHASTIC")
    assert [parse(f"pool: {value}").choice("pool", names) for value in ("AVE", "1")] == ["AVE", "AVE"]
    assert parse("").choice("pool", names) == "MAX"
    for wrong in ("MIN", "3", "-1", "²"):
        with pytest.raises(WeightsError, match="line 1"):
            parse(f"pool: {wrong}").choice("pool", names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb {\n c: 2\n", r"line 4: found end of the file, needed }"),
        ("a: 1\n}\n", r"line 2: found }, needed end of the file"),
        ("a {\n b: 1 >", r"line 2: found >, needed }"),
        ('a: "no end\n', r"line 1: cannot be read from"),
        ("a\nb: 2", r"line 1: found b after a, needed : or {"),
        ("a: }", r"line 1: found }, needed a value"),
        ("a: [1 2]", r"line 1: found 2 in a list"),
        ("\n\n: 3", r"line 3: found :, needed the name"),
        ("a: \x00", r"line 1: cannot be read"),
    ],
)
def test_what_is_no_prototxt_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "ask", "message"),
    [
        ("a: x", "integer", "line 1: a is x; a whole number"),
        ('a: "1"', "integer", "a whole number"),
        ("a: 1.5", "integer", "a whole number"),
        (f"a: {'9' * 5000}", "integer", "a whole number"),
        ("a: inf", "number", "a finite number was needed"),
        ("a: nan", "number", "a finite number was needed"),
        ("a: 1e39", "number", "a finite number was needed"),
        ("a: 9223372036854775808", "integer", "a whole number"),
        ("a: maybe", "number", "a finite number was needed"),
        ("a: yes", "flag", "true or false"),
        ("a { }", "integer", "a is a block; a value was needed"),
        ("a: 1\na: 2", "integer", "line 2: a second a"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_its_line(text: str, ask: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        getattr(parse(text), ask)("a", 0)


def test_a_block_where_a_value_stands_is_told() -> None:
    with pytest.raises(WeightsError, match="a block in braces was needed"):
        parse("a: 1").blocks("a")
    with pytest.raises(WeightsError, match="line 2: a second a"):
        parse("a {}\na {}").block("a")


def test_nesting_is_bounded_and_long_files_take_linear_time(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="nested more than 32 deep"):
        parse("a{" * 100_000)
    start = time.perf_counter()
    parse("layer { name: 'x' }\n" * 5_000)
    assert time.perf_counter() - start < 10
    path = tmp_path / "long.prototxt"
    path.write_bytes(b"# " + b"x" * (5 << 20))
    with pytest.raises(UnsafeFileError, match="more than 4 MiB"):
        read_prototxt(path)


def test_a_binary_file_is_told_from_a_description(tmp_path: Path) -> None:
    path = tmp_path / "weights.prototxt"
    path.write_bytes(b"\x0a\x03net\xa2\x06\xff\xfe")
    with pytest.raises(WeightsError, match=r"not a text in UTF-8 .*the \.caffemodel holds its weights"):
        read_prototxt(path)


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    text = prototxt(alexnet((4, 4, 4, 4, 4), (3, 3, 3)), (1, 3, 99, 99))
    path = tmp_path / "größe netz.prototxt"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    net = net_of(read_prototxt(path))
    assert net.shape == (3, 99, 99)
    assert len(net.layers) == 23


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no layers"),
        ('layer { type: "ReLU" bottom: "data" top: "x" }', r"0 inputs \(nothing\)"),
        (
            'input: "a" input_dim: [1,3,8,8] input: "b" input_dim: [1,3,8,8] layer { type: "ReLU" }',
            "2 inputs",
        ),
        ('input: "a" input_dim: [1,3,8] layer { type: "ReLU" }', r"shape \(1, 3, 8\)"),
        ('input: "a" input_dim: [1,3,0,8] layer { type: "ReLU" }', "each from 1 to 16384"),
        ('input: "a" input_dim: [1,3,8,1000000000000] layer { type: "ReLU" }', "each from 1 to 16384"),
        ('input: "a" layer { type: "ReLU" }', "1 inputs .* 0 shapes"),
        ('layer { type: "Input" top: "a" }', "0 shapes for 1 blobs"),
        ('layer { type: "ReLU" } layers { type: RELU }', "two versions of the format"),
        ("layers { layer { type: 'conv' } }", "upgrade_net_proto_text"),
        ("layer { name: 'x' }", "has no type"),
        ("layer { type: 'ReLU' include {} exclude {} }", "both include and exclude"),
    ],
)
def test_a_net_without_one_image_is_told(text: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        net_of(parse(text))


def test_v1_types_are_words_or_numbers() -> None:
    start = 'input: "data" input_dim: [1, 3, 8, 8] layers { name: "r" bottom: "data" top: "r" type: '
    assert [net_of(parse(f"{start}{kind} }}")).layers[0].type for kind in ("RELU", "18")] == ["ReLU", "ReLU"]


def outcome(text: str) -> str:
    try:
        net_of(parse(text))
    except Fc7Error as exc:
        return str(exc)
    return "a net"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab: {}<>[],;\"'\\#\n-1.x🙂")), max_size=60))
def test_any_text_is_a_net_or_an_error_of_ours(text: str) -> None:
    assert outcome(text).startswith(("a net", "net.prototxt, line "))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_changed_prototxt_is_a_net_or_an_error_of_ours(data: st.DataObject) -> None:
    text = prototxt(alexnet((4, 4, 4, 4, 4), (3, 3, 3)), (1, 3, 99, 99))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    changed = text[:start] + data.draw(st.text(max_size=5)) + text[end:]
    assert outcome(changed).startswith(("a net", "net.prototxt, line "))
