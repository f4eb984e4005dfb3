"""Socket options as they are written at the shell: ``name=value``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from .. import Socket
from .._options import Option, options_of

_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse_options(given: Mapping[str, str], socket_type: type[Socket]) -> dict[str, Any]:
    """The values of a socket type's options, from their text.

    Raises:
        TypeError: the socket type has no such option.
        ValueError: the option does not take such a value.
    """
    known = options_of(socket_type)
    values: dict[str, Any] = {}
    for name, text in given.items():
        option = known.get(name)
        values[name] = text if option is None else parse_value(option, text)
    socket_type(**values)  # it knows what to say of a name that is not its own
    return values


def parse_value(option: Option[Any], text: str) -> object:
    """What the text stands for: the first reading of it that the option accepts.

    Raises:
        ValueError: there is none.
    """
    reasons: list[Exception] = []
    for reading in _readings(option.name, text):
        try:
            option.check(reading)
        except (TypeError, ValueError) as error:
            reasons.append(error)
        else:
            return reading
    # Of the right type and out of range says more than not of the right type. Nobody who writes
    # text means bytes, so that what is said of those comes last.
    out_of_range = [reason for reason in reasons if not isinstance(reason, TypeError)]
    reason = str((out_of_range or reasons)[0]).replace("math.inf", "inf")
    raise ValueError(f"{option.name}={text}: {reason}")


def _readings(name: str, text: str) -> Iterator[object]:
    word = text.strip().lower()
    if word in _FLAGS:
        yield _FLAGS[word]
    if word == "none":
        yield None
    try:
        yield int(word, 8 if name == "ipc_mode" else 10)
    except ValueError:
        if word in {"inf", "infinite"}:
            yield math.inf
        else:
            with suppress(ValueError):
                yield float(word)
    yield text.encode()
    yield text
