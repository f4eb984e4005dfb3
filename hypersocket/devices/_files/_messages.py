"""From what pydantic says to lines for people: which key, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeGuard, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ._problems import NOTHING, Key, did_you_mean

_EXPECTED = {
    "string_type": "expected text in quotes",
    "tuple_type": "expected text in quotes, or a list of such",
    "list_type": "expected a list",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "string_too_short": "expected text that is not empty",
}

_BOUNDS = {
    "greater_than": ("gt", "more than {:g}"),
    "greater_than_equal": ("ge", "at least {:g}"),
    "less_than_equal": ("le", "at most {:g}"),
    "string_too_long": ("max_length", "at most {} characters"),
}
"""What pydantic calls a bound, and how it is told."""

_FEW = 6
"""Choices that are all named where none was made."""

_BRANCH = re.compile(r"function-[a-z]+\[.*\]")
"""What pydantic puts after a key where a value was changed before it was looked at."""

_NAME = "expected letters, digits, '-' and '_', 255 at most"

Finding = tuple[Key, object, str]
"""Where, the value, and what is wrong with it."""


def findings(error: ValidationError, model: type[BaseModel]) -> Iterator[Finding]:
    """Every mistake that pydantic found, each key once."""
    seen: set[Key] = set()
    for detail in error.errors():
        key, value, text = _finding(detail, model)
        if key not in seen:
            seen.add(key)
            yield key, value, text


def _finding(detail: ErrorDetails, model: type[BaseModel]) -> Finding:
    key = _without_union_branches(detail["loc"])
    value: object = detail["input"]
    kind = detail["type"]
    if key and key[-1] == "[key]":
        named = key[-2]
        return key[:-1], NOTHING, f"{named!r} is no name: {_NAME}"
    if kind == "extra_forbidden":
        return key, value, f"unknown key{did_you_mean(str(key[-1]), _keys_at(key[:-1], model))}"
    if kind == "missing":
        return key, NOTHING, f"this is missing: {_wanted(key, model)}"
    if kind == "string_pattern_mismatch":
        return key, value, f"this is no name: {_NAME}"
    if kind == "literal_error":
        return key, value, _choice(detail, value)
    for bounded, (name, word) in _BOUNDS.items():
        if kind == bounded:
            return key, value, f"expected {word.format(detail.get('ctx', {})[name])}"
    if kind == "value_error":
        return key, value, str(detail.get("ctx", {})["error"])
    if key and key[0] == "variables":
        return key, value, "expected text, a number, true or false"
    return key, value, _EXPECTED.get(kind, detail["msg"])


def _wanted(key: Key, model: type[BaseModel]) -> str:
    """What should stand where nothing does."""
    table = _table_at(key[:-1], model)
    field = table.model_fields.get(str(key[-1])) if table is not None else None
    annotation: Any = field.annotation if field is not None else None
    if get_origin(annotation) is Literal:
        choices = [repr(one) for one in get_args(annotation)]
        if len(choices) > _FEW:
            return f'expected a socket type, such as "{get_args(annotation)[0]}"'
        return f"expected {', '.join(choices[:-1])} or {choices[-1]}"
    return "expected a table" if _inner(annotation) is not None else "expected text in quotes"


def _choice(detail: ErrorDetails, value: object) -> str:
    expected = str(detail.get("ctx", {}).get("expected", ""))
    choices = [part.strip("' ") for part in expected.replace(" or ", ", ").split(",")]
    close = did_you_mean(str(value), [choice.lower() for choice in choices])
    hint = ""
    if "did you mean" in close:
        meant = next(choice for choice in choices if repr(choice.lower()) in close)
        hint = f"; did you mean {meant!r}?"
    return f"expected {expected}{hint}"


def _table_at(key: Key, model: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the table that a key leads to."""
    current: Any = model
    for part in key:
        if _is_model(current):
            field = current.model_fields.get(str(part))
            current = _inner(field.annotation) if field is not None else None
        elif current is not None:  # tables under names, or in a list: each is of the same kind
            current = current[0]
    return current if isinstance(current, type) else None


def _is_model(what: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(what, type) and issubclass(what, BaseModel)


def _inner(annotation: Any) -> Any:
    """What an annotation comes down to: a model, or a model in a list for a table of models."""
    if _is_model(annotation):
        return annotation
    arguments: tuple[Any, ...] = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if origin is dict:
        return [_inner(arguments[1])]
    if origin in {list, tuple}:
        inner = _inner(arguments[0])
        return None if inner is None else [inner]
    for argument in arguments:
        found = _inner(argument)
        if found is not None:
            return found
    return None


def _keys_at(key: Key, model: type[BaseModel]) -> list[str]:
    table = _table_at(key, model)
    return list(table.model_fields) if table is not None else []


def _without_union_branches(loc: Key) -> Key:
    """Pydantic puts the tried member of a union after the key; people have not written it."""
    if loc[:1] == ("variables",):
        return loc[:2]
    return tuple(part for part in loc if not (isinstance(part, str) and _BRANCH.fullmatch(part)))
