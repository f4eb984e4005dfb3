"""Reading a topology: from a file, from text, from a configuration service."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ._errors import NOTHING, Key, Problem, TopologyError, did_you_mean, dotted
from ._lines import line_of, lines_of
from ._spec import Source, Topology
from ._variables import Variables

if TYPE_CHECKING:
    from pydantic import BaseModel

_EMPTY: Mapping[str, str] = {}

_DEEPEST = 32
"""How deep tables and lists may be nested. Nothing that has a meaning is deeper than five."""

_TOO_DEEP = f"tables and lists are nested more than {_DEEPEST} deep"


@dataclass
class _Reader:
    """Collects the mistakes of one file.

    Attributes:
        file: its name for messages.
        text: what it holds.
        problems: what was found so far.
    """

    file: str
    text: str
    problems: list[Problem] = field(default_factory=list[Problem])
    _lines: dict[Key, int] = field(default_factory=dict[Key, int])
    _reported: set[Key] = field(default_factory=set[Key])

    def parse(self) -> dict[str, Any]:
        try:
            data = tomllib.loads(self.text)
        except ValueError as error:  # TOMLDecodeError, and that of a number with too many digits
            raise self._unreadable(f"this is no TOML: {error}") from None
        except RecursionError:
            raise self._unreadable(_TOO_DEEP) from None
        if _depth(data) > _DEEPEST:
            raise self._unreadable(_TOO_DEEP)
        self._lines = lines_of(self.text)
        return data

    def _unreadable(self, text: str) -> TopologyError:
        return TopologyError([Problem(self.file, "", NOTHING, text)])

    def report(self, key: Key, value: object, text: str) -> None:
        key = self._as_written(key)
        if key in self._reported:
            return
        self._reported.add(key)
        line = line_of(self._lines, key)
        self.problems.append(Problem(self.file, dotted(key), value, text, line))

    def _as_written(self, key: Key) -> Key:
        """Without what the models add: a list around one value, `bind` before an endpoint."""
        if len(key) > 1 and key[-2] == "bind" and isinstance(self._at(key[:-2]), list):
            return (*key[:-2], key[-1])
        while len(key) > 1 and not isinstance(self._at(key[:-1]), (dict, list)):
            key = key[:-1]
        return key

    def _at(self, key: Key) -> Any:
        value: Any = self.data
        for part in key:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    data: dict[str, Any] = field(default_factory=dict[str, Any])

    def validate(self, model: type[BaseModel], data: dict[str, Any]) -> tuple[Any, set[Key]]:
        """The model, and the keys that had to be left out.

        What is wrong is reported and left out, so that the rest can be looked at too.
        """
        from pydantic import ValidationError

        from ._messages import findings

        self.data = data
        rest, left_out = copy.deepcopy(data), set[Key]()
        while True:
            try:
                return model.model_validate(rest), left_out
            except ValidationError as error:
                for key, value, text in findings(error, model):
                    self.report(key, value, text)
                    left_out.add(_leave_out(rest, key))

    def fail_if_wrong(self) -> None:
        if self.problems:
            in_order = sorted(self.problems, key=lambda problem: problem.line or 0)
            raise TopologyError(in_order)


def _depth(data: object) -> int:
    """How deep tables and lists are nested; not by recursion, which is bounded itself."""
    depth, level = 0, [data]
    while level:
        depth += 1
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner += cast("dict[str, object]", one).values()
            elif isinstance(one, list):
                inner += cast("list[object]", one)
        level = inner
    return depth


def _leave_out(data: dict[str, Any], key: Key) -> Key:
    """Take away what a key leads to, or the table in which it is missing; returns its key."""
    for length in range(1, len(key) + 1):
        inner: Any = data
        for part in key[: length - 1]:
            inner = inner[part]
        if not isinstance(inner, dict):
            key = key[: length - 1]  # an element goes with its list
            break
        if key[length - 1] not in inner:
            key = key[: max(1, length - 1)]
            break
    table: Any = data
    for part in key[:-1]:
        table = table[part]
    table.pop(key[-1], None)
    return key


def load(
    path: str | os.PathLike[str],
    *,
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
) -> Topology:
    """Read and check a topology file.

    Args:
        path: the file.
        variables: values that go before those of the file and of its address maps.
        environ: the environment, for ``${env:NAME}``.

    Raises:
        TopologyError: the file cannot be read, or something in it is wrong; all that was found.
        ImportError: the extra ``topology`` is not installed.
    """
    source = Source(path=os.fspath(path), variables=dict(variables), environ=environ)
    text = _read(os.fspath(path), Problem(os.fspath(path), "", NOTHING, ""))
    return replace(_make(os.fspath(path), text, None, variables, environ), source=source)


def loads(
    text: str,
    *,
    file: str = "topology",
    maps: Sequence[str] = (),
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
) -> Topology:
    """Read and check the text of a topology file.

    Args:
        text: what the file would hold.
        file: the name for messages.
        maps: the texts of address maps, in place of the files that ``include`` names.
        variables: as for :func:`load`.
        environ: likewise.

    Raises:
        TopologyError: something is wrong; all that was found.
        ImportError: the extra ``topology`` is not installed.
    """
    return _make(file, text, maps, variables, environ)


def _make(
    file: str,
    text: str,
    maps: Sequence[str] | None,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> Topology:
    """Everything that reading does. ``maps`` is None where ``include`` names files."""
    try:
        from ._check import Checker
        from ._model import TopologyTable
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"pydantic", "pydantic_core"}:
            raise
        raise ImportError(
            "topology files need pydantic: pip install 'hypersocket[topology]'"
        ) from None
    reader = _Reader(file, text)
    data = reader.data = reader.parse()
    included = _included_texts(reader, data, maps, environ)
    values: dict[str, Any] = {}
    own = data.get("variables")
    if isinstance(own, dict):
        values.update(cast("dict[str, Any]", own))
    for name, map_text in included:
        values.update(_address_map(name, map_text))
    for name in variables:
        if name not in values and f"${{{name}}}" not in text:
            hint = did_you_mean(name, sorted(values))
            problem = Problem(file, f"variables.{name}", variables[name], f"unknown variable{hint}")
            reader.problems.append(problem)
    values.update(variables)

    substituting = Variables(values, environ)
    body = {name: value for name, value in data.items() if name not in {"variables", "include"}}
    substituted = substituting.substitute(body, (), reader.report)
    kept: dict[str, Any] = {name: data[name] for name in ("variables", "include") if name in data}
    table, left_out = reader.validate(TopologyTable, {**substituted, **kept})
    checker = Checker(table, reader.report, left_out)
    topology = checker.topology(file, dict(substituting.used))
    reader.fail_if_wrong()
    return topology


def _included_texts(
    reader: _Reader,
    data: dict[str, Any],
    maps: Sequence[str] | None,
    environ: Mapping[str, str],
) -> list[tuple[str, str]]:
    include: Any = data.get("include", [])
    names = [include] if isinstance(include, str) else include
    if maps is not None:
        if include and not maps:
            text = "no address map came along with this text, which is from no folder"
            reader.report(("include",), include, text)
        return [(f"{reader.file} (address map {i})", one) for i, one in enumerate(maps, 1)]
    found: list[tuple[str, str]] = []
    if isinstance(names, list):
        in_paths = Variables({}, environ)
        for index, name in enumerate(cast("list[object]", names)):
            if not isinstance(name, str):
                continue  # the model says so
            before = len(reader.problems)
            name = str(in_paths.substitute(name, ("include", index), reader.report))
            if len(reader.problems) > before:
                continue
            path = Path(reader.file).parent / name
            try:
                found.append((str(path), path.read_text(encoding="utf-8-sig")))
            except (OSError, ValueError) as error:
                reader.report(("include", index), name, f"cannot read it: {_why(error)}")
    return found


def _address_map(file: str, text: str) -> dict[str, Any]:
    from ._model import AddressMap

    reader = _Reader(file, text)
    table, _ = reader.validate(AddressMap, reader.parse())
    reader.fail_if_wrong()
    return dict(table.variables)


def _read(path: str, problem: Problem) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # some editors write a mark first
    except (OSError, ValueError) as error:
        raise TopologyError([replace(problem, text=f"cannot read it: {_why(error)}")]) from None


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)  # of a name with a null byte
