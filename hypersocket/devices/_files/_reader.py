"""Reading a file of TOML: its text, address maps and variables, and the shape of its tables."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from ._lines import line_of, lines_of
from ._problems import NOTHING, ConfigurationError, Key, Problem, did_you_mean, dotted
from ._variables import Variables

if TYPE_CHECKING:
    from pydantic import BaseModel

ModelT = TypeVar("ModelT", bound="BaseModel")
RaiseAs: TypeAlias = Callable[[Sequence[Problem]], ConfigurationError]
Hide: TypeAlias = Callable[[Key, object], object]
"""Makes of a value, and where it stands, what may be shown of it."""

_DEEPEST = 32
"""How deep tables and lists may be nested. Nothing that has a meaning is nearly as deep."""

_TOO_DEEP = f"tables and lists are nested more than {_DEEPEST} deep"


def _show(_key: Key, value: object) -> object:
    return value


@dataclass
class Reader:
    """Collects the mistakes of one file.

    Attributes:
        file: its name for messages.
        text: what it holds.
        error: what is raised.
        hide: what is shown of values.
        problems: what was found so far.
    """

    file: str
    text: str
    error: RaiseAs
    hide: Hide = _show
    problems: list[Problem] = field(default_factory=list[Problem])
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    _lines: dict[Key, int] = field(default_factory=dict[Key, int])
    _reported: set[Key] = field(default_factory=set[Key])

    def parse(self) -> dict[str, Any]:
        """The tables, as TOML has them; also kept in ``data``."""
        try:
            self.data = tomllib.loads(self.text)
        except ValueError as error:  # TOMLDecodeError, and that of a number with too many digits
            raise self._unreadable(f"this is no TOML: {error}") from None
        except RecursionError:
            raise self._unreadable(_TOO_DEEP) from None
        if _depth(self.data) > _DEEPEST:
            raise self._unreadable(_TOO_DEEP)
        self._lines = lines_of(self.text)
        return self.data

    def _unreadable(self, text: str) -> ConfigurationError:
        return self.error([Problem(self.file, "", NOTHING, text)])

    def report(self, key: Key, value: object, text: str) -> None:
        """Take a mistake; of several at the same key the first."""
        key = self._as_written(key)
        if key not in self._reported:
            self._reported.add(key)
            self.problems.append(self.problem(key, value, text))

    def problem(self, key: Key, value: object, text: str) -> Problem:
        """What is to be told of a key, with its line."""
        key = self._as_written(key)
        line = line_of(self._lines, key)
        return Problem(self.file, dotted(key), self.hide(key, value), text, line)

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

    def validate(self, model: type[ModelT], data: dict[str, Any]) -> tuple[ModelT, set[Key]]:
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
        """Raise what was found, in the order of the file."""
        if self.problems:
            raise self.error(sorted(self.problems, key=lambda problem: problem.line or 0))


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


@dataclass(frozen=True)
class Read(Generic[ModelT]):
    """A file that was read, and whose tables have the right shape.

    Attributes:
        reader: takes further mistakes.
        table: the file as a whole.
        left_out: keys that it lacks because they were wrong.
        used: the variables that were used, with their values.
        values: all variables, with their values.
    """

    reader: Reader
    table: ModelT
    left_out: set[Key]
    used: dict[str, Any] = field(repr=False)
    values: dict[str, Any] = field(repr=False)


def read(
    reader: Reader,
    model: type[ModelT],
    *,
    maps: Sequence[str] | None,
    variables: Mapping[str, str],
    inherited: Mapping[str, Any] | None = None,
    environ: Mapping[str, str],
) -> Read[ModelT]:
    """Everything up to the shape of the tables.

    Args:
        reader: has the text.
        model: the file as a whole, with ``variables`` and ``include``.
        maps: the texts of address maps; None where ``include`` names files.
        variables: values that go before all others; each has to be of use.
        inherited: likewise, but they need not be.
        environ: the environment.

    Raises:
        ConfigurationError: it is no TOML, or an address map is wrong. All else is reported.
    """
    data = reader.parse()
    included = _included_texts(reader, data, maps, environ)
    values: dict[str, Any] = {}
    own = data.get("variables")
    if isinstance(own, dict):
        values.update(cast("dict[str, Any]", own))
    for name, map_text in included:
        values.update(_address_map(Reader(name, map_text, reader.error, reader.hide)))
    for name in variables:
        if name not in values and f"${{{name}}}" not in reader.text:
            key, value = ("variables", name), variables[name]
            hint = did_you_mean(name, sorted(values))
            problem = Problem(reader.file, dotted(key), reader.hide(key, value), "")
            reader.problems.append(replace(problem, text=f"unknown variable{hint}"))
    values.update(inherited or {})
    values.update(variables)

    substituting = Variables(values, environ)
    body = {name: value for name, value in data.items() if name not in {"variables", "include"}}
    substituted = substituting.substitute(body, (), reader.report)
    kept: dict[str, Any] = {name: data[name] for name in ("variables", "include") if name in data}
    table, left_out = reader.validate(model, {**substituted, **kept})
    return Read(reader, table, left_out, dict(substituting.used), values)


def _included_texts(
    reader: Reader,
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
                reader.report(("include", index), name, f"cannot read it: {why(error)}")
    return found


def _address_map(reader: Reader) -> dict[str, Any]:
    from ._keys import AddressMap

    table, _ = reader.validate(AddressMap, reader.parse())
    reader.fail_if_wrong()
    return dict(table.variables)


def read_text(path: str | os.PathLike[str], error: RaiseAs) -> str:
    """The text of a file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # some editors write a mark first
    except (OSError, ValueError) as failure:
        text = f"cannot read it: {why(failure)}"
        raise error([Problem(os.fspath(path), "", NOTHING, text)]) from None


def why(error: OSError | ValueError) -> str:
    """What the system says."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)  # of a name with a null byte


def needs_pydantic(error: ModuleNotFoundError, what: str, extra: str) -> ImportError:
    """What to raise in place of ``error``: the same, unless it is pydantic that is not there."""
    if (error.name or "").partition(".")[0] not in {"pydantic", "pydantic_core"}:
        return error
    return ImportError(f"{what} need pydantic: pip install 'hypersocket[{extra}]'")
