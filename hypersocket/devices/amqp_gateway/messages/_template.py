"""Routing keys that each message completes: ``orders.{frame[0]}.{header[country]}``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, cast

from ....amqp import Properties

_Where: TypeAlias = Literal["frame", "header", "property"]

_PART = re.compile(r"\{\{|\}\}|\{(?P<what>[^{}]*)\}|(?P<stray>[{}])")
_PLACE = re.compile(r"(?P<where>frame|header|property)\[(?P<name>[^\[\]]+)\]")
_PROPERTIES = tuple(
    field.name
    for field in dataclasses.fields(Properties)
    if field.name not in {"headers", "annotations"}
)
_EXPECTED = "expected {frame[N]}, {header[NAME]} or {property[NAME]}, and {{ or }} for a brace"


class TemplateError(ValueError):
    """A template is wrong, or a message does not have what it asks for; the text says which."""


class Template:
    """Text with places that each message fills.

    ``{frame[0]}`` is the text of a frame of the message, counted from 0; ``{header[NAME]}`` a
    header and ``{property[NAME]}`` a property of its metadata. ``{{`` and ``}}`` are braces.

    Args:
        text: the template.

    Attributes:
        text: likewise.
        fixed: what every message gets; None if that depends on the message.
        needs_metadata: whether it asks for headers or properties.

    Raises:
        TemplateError: it is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str | tuple[_Where, str | int]] = []
        end = 0
        for found in _PART.finditer(text):
            self._parts.append(text[end : found.start()])
            self._parts.append(self._part(found))
            end = found.end()
        self._parts.append(text[end:])
        places = [part for part in self._parts if isinstance(part, tuple)]
        self.needs_metadata = any(where != "frame" for where, _ in places)
        self.fixed = None if places else "".join(cast("list[str]", self._parts))

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def render(self, frames: Sequence[bytes], properties: Properties) -> str:
        """The text for a message.

        Args:
            frames: of the message, without that of metadata.
            properties: what the metadata says.

        Raises:
            TemplateError: the message does not have what a place asks for, or it is no text.
        """
        if self.fixed is not None:
            return self.fixed
        return "".join(
            part if isinstance(part, str) else _value(*part, frames, properties)
            for part in self._parts
        )

    def _part(self, found: re.Match[str]) -> str | tuple[_Where, str | int]:
        if found[0] in {"{{", "}}"}:
            return found[0][0]
        if found["stray"]:
            raise TemplateError(f"a {found[0]!r} stands alone: {_EXPECTED}")
        place = _PLACE.fullmatch(found["what"])
        if place is None:
            raise TemplateError(f"{found[0]} is no place for a value: {_EXPECTED}")
        where, name = cast("_Where", place["where"]), place["name"]
        if where == "frame":
            if not (name.isascii() and name.isdigit()):
                raise TemplateError(f"{found[0]}: expected the number of a frame, from 0")
            return where, int(name)
        if where == "property" and name not in _PROPERTIES:
            raise TemplateError(f"{found[0]}: expected one of {', '.join(_PROPERTIES)}")
        return where, name


def _value(where: _Where, name: str | int, frames: Sequence[bytes], properties: Properties) -> str:
    if isinstance(name, int):
        if name >= len(frames):
            raise TemplateError(f"there is no frame {name}: the message has {len(frames)}")
        try:
            return frames[name].decode()
        except UnicodeDecodeError:
            raise TemplateError(f"frame {name} is not UTF-8 text") from None
    value: Any = properties.headers.get(name) if where == "header" else getattr(properties, name)
    if value is None:
        raise TemplateError(f"the message has no {where} {name!r}")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise TemplateError(f"the {where} {name!r} is not UTF-8 text") from None
    if isinstance(value, (dict, list)):
        raise TemplateError(f"the {where} {name!r} is not one value, but several")
    return str(value)
