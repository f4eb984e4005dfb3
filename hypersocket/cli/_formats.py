r"""The formats of messages at the shell: how one is written down, and how it is read again.

========  =======================================  ===========================================
format    to send                                  as printed
========  =======================================  ===========================================
``text``  a line is a message of one frame         UTF-8; what is not, and control characters,
                                                   as ``\xNN``; a tab between frames
``hex``   a line: frames in hex, spaces between    the same; ``-`` is an empty frame
``json``  a line: a frame or a list of frames,     a list of frames, each text where it is
          text or ``{"b64": ...}``                 UTF-8
``raw``   the whole input is one frame             the bytes of all frames, and nothing else
========  =======================================  ===========================================

Whatever ``json`` and ``hex`` print they read again as the same message.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

Frames: TypeAlias = list[bytes]


class FormatError(ValueError):
    """What was to be sent is not written as its format asks."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        parse: a line, without its end, as a message; raises :class:`FormatError`.
        show: a message as it is printed, with the end of the line if there is one.
        lines: whether each line of the input is a message, rather than all of it one.
    """

    parse: Callable[[bytes], Frames]
    show: Callable[[Frames], bytes]
    lines: bool = True


# text

_SHORT = {"\n": "\\n", "\r": "\\r"}

# Control characters would break the line, or command the terminal. A tab does neither. The last
# two ends of lines are Unicode's own, and the surrogates stand for bytes that are not UTF-8.
_NOT_AS_IT_IS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    if char in _SHORT:
        return _SHORT[char]
    data = char.encode(errors="surrogateescape")
    return "".join(f"\\x{byte:02x}" for byte in data)


def _show_text_frame(frame: bytes) -> str:
    return _NOT_AS_IT_IS.sub(_escape, frame.decode(errors="surrogateescape"))


def _show_text(frames: Frames) -> bytes:
    return "\t".join(map(_show_text_frame, frames)).encode() + b"\n"


# hex


def _parse_hex(line: bytes) -> Frames:
    words = line.split()
    if not words:
        raise FormatError("an empty line is no message; an empty frame is written as -")
    return [b"" if word == b"-" else _from_hex(word) for word in words]


def _from_hex(word: bytes) -> bytes:
    try:
        return binascii.unhexlify(word)
    except ValueError:
        shown = word[:20].decode(errors="backslashreplace")
        raise FormatError(
            f"{shown!r} is not hexadecimal: expected two digits for each byte, and a space"
            " between frames"
        ) from None


def _show_hex(frames: Frames) -> bytes:
    return b" ".join(frame.hex().encode() or b"-" for frame in frames) + b"\n"


# JSON

_EXPECTED = 'expected a frame or a list of frames, each a string or {"b64": "..."}'


def _parse_json(line: bytes) -> Frames:
    try:
        value: object = json.loads(line.decode())
    except RecursionError:
        raise FormatError(f"nested too deeply: {_EXPECTED}") from None
    except ValueError as error:
        raise FormatError(f"not JSON ({error}): {_EXPECTED}") from None
    if not isinstance(value, list):
        return [_frame_of_json(value)]
    frames = [_frame_of_json(one) for one in cast("list[object]", value)]
    if not frames:
        raise FormatError(f"a message has at least one frame: {_EXPECTED}")
    return frames


_JSON_TYPES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    bool: "a boolean",
    type(None): "null",
    object: "a number",
}


def _frame_of_json(value: object) -> bytes:
    found = _json_type(value)
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise FormatError("half a surrogate pair is no text") from None
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        encoded = members.get("b64")
        if len(members) == 1 and isinstance(encoded, str):
            try:
                return base64.b64decode(encoded.encode(), validate=True)
            except (ValueError, binascii.Error) as error:
                raise FormatError(f"{encoded[:20]!r} is not base64: {error}") from None
    raise FormatError(f"{found} is no frame: {_EXPECTED}")


def _json_type(value: object) -> str:
    return next(name for kind, name in _JSON_TYPES.items() if isinstance(value, kind))


def _json_of_frame(frame: bytes) -> str | dict[str, str]:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(frame).decode()}


def _show_json(frames: Frames) -> bytes:
    text = json.dumps([_json_of_frame(frame) for frame in frames], ensure_ascii=False)
    return text.encode() + b"\n"


def _as_it_is(data: bytes) -> Frames:
    return [data]


FORMATS: dict[str, Format] = {
    "raw": Format(_as_it_is, b"".join, lines=False),
    "text": Format(_as_it_is, _show_text),
    "hex": Format(_parse_hex, _show_hex),
    "json": Format(_parse_json, _show_json),
}
