"""Checks of what stands in several kinds of file: endpoints, options, addresses."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from ..._errors import EndpointError
from ...sockets import Pair, Socket
from ._variables import Text

_METRICS = re.compile(r"(?:\[[^\]]+\]|[^:\[\]]+):(\d{1,5}|\*)")


def endpoint_problem(endpoint: str, how: str) -> str:
    """What is wrong with an endpoint; empty if nothing is.

    Args:
        endpoint: what was written.
        how: ``"bind"`` or ``"connect"``.
    """
    try:
        Pair(**{how: endpoint})
    except EndpointError as error:
        text = str(error).removeprefix(f"{endpoint!r}").lstrip(": ")
        return text.replace("is no endpoint", "this is no endpoint", 1)
    return ""


def metrics_problem(address: str) -> str:
    """What is wrong with a place to serve metrics at; empty if nothing is."""
    found = _METRICS.fullmatch(address)
    if found is None or (found[1] != "*" and int(found[1]) > 65535):
        return "expected HOST:PORT, such as 127.0.0.1:9100"
    return ""


def option_value(cls: type[Socket], name: str, value: Any) -> Any:
    """The value of an option as the library takes it.

    Raises:
        TypeError: the library's own, with what it says of the option and its value.
        ValueError: likewise.
    """
    candidates = [value]
    if isinstance(value, Text):
        candidates += _number(value)
    if isinstance(value, str):
        candidates.append(value.encode())
    refused: list[TypeError | ValueError] = []
    for candidate in candidates:
        try:
            cls(**{name: candidate})
        except (TypeError, ValueError) as error:
            refused.append(type(error)(str(error).removeprefix(f"{name}={candidate!r}: ")))
        else:
            return candidate
    # That a value is out of range says more than that it is of the wrong type.
    raise next((error for error in refused if isinstance(error, ValueError)), refused[0])


def _number(text: str) -> list[Any]:
    """What a text is in TOML, when it is a number, true or false."""
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return []
    return [value] if isinstance(value, (int, float)) else []
