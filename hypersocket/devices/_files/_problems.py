"""What is wrong with a file, a line for each mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from ..._errors import HypersocketError

Key: TypeAlias = tuple[str | int, ...]
"""Where something stands in a file: names of tables and keys, and numbers in lists."""

_MAX_SHOWN = 60
"""How many characters of a value are shown."""


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()
"""Where there is no value to show."""


class _Hidden:
    def __repr__(self) -> str:
        return "(not shown)"


HIDDEN = _Hidden()
"""Stands for a value that is not to be seen."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.

    Attributes:
        file: the file's name, as it was given.
        key: where it stands, such as ``devices.orders.frontend.bind[1]``; empty for the file.
        value: what stands there, after substitution; ``NOTHING`` where there is none.
        text: what is wrong, and what would be right.
        line: its line in the file, counted from 1; None where it is not known.
    """

    file: str
    key: str
    value: object
    text: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        if not self.key:
            return f"{where}: {self.text}"
        shown = "" if self.value is NOTHING else f" = {shorten(self.value)}"
        return f"{where}: {self.key}{shown}: {self.text}"


class ConfigurationError(HypersocketError, ValueError):
    """A configuration file is wrong.

    ``str()`` has a line for each problem, and each line names the file, the key and the value.

    Attributes:
        problems: all that was found, in the order of the file.
        file: of the first problem.
        key: of the first problem.
        value: of the first problem.
        line: of the first problem.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        first = self.problems[0]
        self.file, self.key, self.value, self.line = first.file, first.key, first.value, first.line


def dotted(key: Key) -> str:
    """A key as people write it."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def shorten(value: object) -> str:
    """A value as TOML would have it, on one line that is not too long."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    elif isinstance(value, dict):
        text = "a table"
    else:
        text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def a(socket_type: str) -> str:
    """A socket type with its article."""
    return f"an {socket_type}" if socket_type.startswith("X") else f"a {socket_type}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'bind'?` where something known is close, otherwise what there is."""
    close = get_close_matches(name.lower(), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(known)}" if known else "; there are none"
