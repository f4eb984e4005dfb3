"""Types of keys that several kinds of file have, and the tables that they share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

SocketType: TypeAlias = Literal[
    "REQ", "REP", "DEALER", "ROUTER", "PUB", "SUB", "XPUB", "XSUB", "PUSH", "PULL", "PAIR"
]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def endpoint_only(value: Any) -> Any:
    """An endpoint, or a list of them, stands for a table with ``bind``."""
    return cast("object", value) if isinstance(value, dict) else {"bind": value}


Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,255}$")]
Several: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_several)]
Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
VariableValues: TypeAlias = dict[str, str | int | float | bool]

REQUIRED: dict[str, JsonValue] = {"required": True}
"""Marks a key that has a default for the parser alone, so that the rest can be looked at too."""

INCLUDE: Any = Field(
    (),
    description="Address maps: TOML files that hold nothing but `[variables]`, as paths"
    " relative to this one. Their values go before those of this file, and the later before"
    " the earlier. `${env:NAME}` is replaced in the paths.",
)
VARIABLES: Any = Field(
    dict[str, Any](),
    description="Values for `${name}` anywhere in the file, in other variables too. What the"
    " caller gives goes before what an address map says, and that before what stands here.",
)


class Table(BaseModel):
    """A table in which every key has to be known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AddressMap(Table):
    """An included file."""

    variables: VariableValues = Field({}, description="Values.")
