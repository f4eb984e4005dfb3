"""Variables of a file: ``${name}``, ``${env:NAME}``, ``${env:NAME:-default}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from ._problems import Key, did_you_mean

Report: TypeAlias = Callable[[Key, object, str], None]
"""Takes a mistake: where, the value, and what is wrong with it."""

_USE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<what>[^{}]*)\}|(?P<stray>))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NO_VALUE = "no value"


class Text(str):
    """Text that came by substitution, and may stand for a number."""

    __slots__ = ()


class _Unset(Exception):
    """A substitution failed; the text completes "key: ..."."""


class Variables:
    """The values of variables.

    Args:
        values: what the file, its address maps and the caller say, the last having the last word.
        environ: the environment.
    """

    def __init__(self, values: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._values = values
        self._environ = environ
        self.used: dict[str, Any] = {}

    def substitute(self, data: Any, key: Key, report: Report) -> Any:
        """A copy of a parsed file, or a part of it, with every variable replaced."""
        if isinstance(data, dict):
            table = cast("dict[str, Any]", data)
            return {
                name: self.substitute(value, (*key, name), report) for name, value in table.items()
            }
        if isinstance(data, list):
            items = cast("list[object]", data)
            return [self.substitute(item, (*key, i), report) for i, item in enumerate(items)]
        if isinstance(data, str) and "$" in data:
            try:
                return self._expand(data, ())
            except _Unset as unset:
                report(key, data, str(unset))
                return data
        return data

    def _expand(self, text: str, within: tuple[str, ...]) -> Any:
        whole = _USE.fullmatch(text)
        if whole is not None and whole["what"] is not None:
            value = self._look_up(whole["what"], within)
            return Text(value) if isinstance(value, str) else value
        return Text(_USE.sub(lambda use: self._replace(use, within), text))

    def _replace(self, use: re.Match[str], within: tuple[str, ...]) -> str:
        if use["dollar"]:
            return "$"
        if use["what"] is None:
            raise _Unset("a '$' stands alone: write ${name} for a variable, or $$ for a '$'")
        value = self._look_up(use["what"], within)
        if isinstance(value, bool):
            return str(value).lower()
        return str(value)

    def _look_up(self, what: str, within: tuple[str, ...]) -> Any:
        if what.startswith("env:"):
            name, has_default, default = what.removeprefix("env:").partition(":-")
            if name in self._environ:
                return self._environ[name]
            if has_default:
                return default
            raise _Unset(
                f"the environment variable {name} is not set: set it, or give a default by"
                f" ${{env:{name}:-default}}"
            )
        if not _NAME.fullmatch(what):
            raise _Unset(f"${{{what}}} is no variable: expected ${{name}} or ${{env:NAME}}")
        if what in within:
            circle = " -> ".join([*within[within.index(what) :], what])
            raise _Unset(f"variables go round in a circle: {circle}")
        if what not in self._values:
            raise _Unset(
                f"the variable {what!r} is not set: give it a value in [variables], in an included"
                f" address map, or when starting{did_you_mean(what, sorted(self._values))}"
            )
        value = self._values[what]
        if isinstance(value, str) and "$" in value:
            value = self._expand(value, (*within, what))
        self.used[what] = value
        return value
