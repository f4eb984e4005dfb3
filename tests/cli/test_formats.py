"""The formats at the shell: what is printed, what is read, and that the one is the other's."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.cli._formats import FORMATS, FormatError

RAW, TEXT, HEX, JSON = (FORMATS[name] for name in ("raw", "text", "hex", "json"))

messages = st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), min_size=1)
printable = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40).map(
    str.encode
)


@pytest.mark.parametrize("name", ["hex", "json"])
@given(frames=messages)
@example(frames=[b""])
@example(frames=[b"", b"-", b""])
@example(frames=[b"\xff\x00\n", "ø\u2028".encode()])
def test_what_is_printed_is_read_again(name: str, frames: list[bytes]) -> None:
    form = FORMATS[name]
    shown = form.show(frames)
    assert shown.endswith(b"\n")
    assert shown.count(b"\n") == 1
    assert form.parse(shown[:-1]) == frames


@given(frame=st.binary())
def test_raw_is_as_it_is(frame: bytes) -> None:
    assert RAW.parse(frame) == [frame]
    assert RAW.show([frame]) == frame
    assert RAW.show([frame, b"", frame]) == frame + frame


@given(line=st.binary().map(lambda data: data.replace(b"\n", b"")))
def test_text_is_sent_as_it_is(line: bytes) -> None:
    assert TEXT.parse(line) == [line]


@given(frame=printable)
@example(frame=b"a\tb")
@example(frame=rb"C:\new")
def test_text_that_can_be_printed_is_printed_as_it_is(frame: bytes) -> None:
    assert TEXT.show([frame]) == frame + b"\n"


@given(frames=messages)
@example(frames=[b"\x1b[2J"])
@example(frames=[b"\xc2\x9b2J"])
@example(frames=["\u2029".encode()])
def test_text_is_one_line_that_commands_no_terminal(frames: list[bytes]) -> None:
    line = TEXT.show(frames).decode()
    assert line.splitlines() == [line[:-1]]
    assert not any(
        (ord(char) < 32 and char != "\t") or 127 <= ord(char) < 160 for char in line[:-1]
    )


@pytest.mark.parametrize(
    ("frames", "line"),
    [
        ([b"one", b"two"], b"one\ttwo\n"),
        ([b"\xff\xfe", "Ø".encode()], "\\xff\\xfe\tØ\n".encode()),
        ([b"a\r\nb\x00"], b"a\\r\\nb\\x00\n"),
        (["\x85".encode()], b"\\xc2\\x85\n"),
    ],
    ids=["frames", "not utf-8", "controls", "c1 control"],
)
def test_text(frames: list[bytes], line: bytes) -> None:
    assert TEXT.show(frames) == line


def test_hex() -> None:
    assert HEX.show([b"\x00\xff", b"", b"a"]) == b"00ff - 61\n"
    assert HEX.parse(b" 00FF  -\t61\r") == [b"\x00\xff", b"", b"a"]


def test_json() -> None:
    assert JSON.show(["Ø".encode(), b"\xff"]) == '["Ø", {"b64": "/w=="}]\n'.encode()
    assert JSON.parse(b'"one"') == [b"one"]
    assert JSON.parse(b'{"b64": "/w=="}') == [b"\xff"]
    assert JSON.parse(rb'["\u00d8", {"b64": ""}]') == ["Ø".encode(), b""]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "empty line"),
        (b"6", "'6' is not hexadecimal"),
        (b"61 xy", "'xy' is not hexadecimal"),
        (b"\xff", r"'\\xff' is not hexadecimal"),
    ],
    ids=["empty", "half a byte", "letters", "not text"],
)
def test_what_is_not_hex(line: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said.replace("\\", "\\\\")):
        HEX.parse(line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "at least one frame"),
        (b"3", "a number is no frame"),
        (b"true", "a boolean is no frame"),
        (b"null", "null is no frame"),
        (b'{"price": 3}', "an object is no frame"),
        (b'{"b64": "/w==", "x": 1}', "an object is no frame"),
        (b'[["a"]]', "a list is no frame"),
        (b'{"b64": "*"}', "not base64"),
        ('{"b64": "Ø"}'.encode(), "not base64"),
        (rb'"\ud800"', "surrogate"),
        (b"[" * 100_000, "too deeply|not JSON"),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, bytes) else "",
)
def test_what_is_no_message_in_json(line: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        JSON.parse(line)


@given(value=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_json_is_a_message_or_an_error_that_says_so(value: object) -> None:
    line = json.dumps(value).encode()
    try:
        frames = JSON.parse(line)
    except FormatError:
        return
    assert JSON.parse(JSON.show(frames)[:-1]) == frames
