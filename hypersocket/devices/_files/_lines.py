"""On which line of a TOML text a key stands.

The parser of the standard library does not tell. This reads just enough of a text that the parser
has accepted: headers of tables, keys, and where values of several lines end.
"""

from __future__ import annotations

import re

from ._problems import Key

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_KEY = re.compile(rf"\s*((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)\s*=")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''.*?'''"
    r'|"""'  # not closed yet
    r"|'''"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}]",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Key, int]:
    """The line of each table and key, counted from 1; elements of lists have their list's."""
    found: dict[Key, int] = {}
    table: Key = ()
    arrays: dict[Key, int] = {}
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        header, key = _HEADER.match(line), _KEY.match(line)
        if header and not key:
            table = _table(_parts(header[2]), arrays, another=header[1] == "[[")
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], number + 1)
        elif key:
            path = (*table, *_parts(key[1]))
            found.setdefault(path, number + 1)
            for length in range(len(table) + 1, len(path)):
                found.setdefault(path[:length], number + 1)
            value = line[key.end() :]
            _inline_keys(path, value, number + 1, found)
            while _is_open(value) and number + 1 < len(lines):
                number += 1
                value += "\n" + lines[number]
        number += 1
    return found


def _table(parts: Key, arrays: dict[Key, int], *, another: bool) -> Key:
    """The table of a header, with the numbers of the tables in arrays that lead to it."""
    table: Key = ()
    for number, part in enumerate(parts, 1):
        table = (*table, part)
        if another and number == len(parts):
            arrays[table] = arrays.get(table, -1) + 1
        if table in arrays:
            table = (*table, arrays[table])
    return table


def line_of(lines: dict[Key, int], key: Key) -> int | None:
    """The line of a key, or of the nearest table around it."""
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return None


def _parts(text: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _inline_keys(path: Key, value: str, line: int, found: dict[Key, int]) -> None:
    """The keys of an inline table, which are all on one line."""
    for match in re.finditer(r"[{,]\s*([A-Za-z0-9_-]+)\s*=", value):
        found.setdefault((*path, match[1]), line)


def _is_open(value: str) -> bool:
    """Whether a value goes on in the next line."""
    depth = 0
    for token in _TOKEN.finditer(value):
        if token[0] in {'"""', "'''"}:
            return True
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
    return depth > 0
