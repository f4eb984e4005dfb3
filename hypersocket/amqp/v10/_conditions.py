"""A peer's words for why something ended, and whether trying again can help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._proton import lib, text

_LASTING = frozenset(
    {
        "amqp:connection:redirect",
        "amqp:decode-error",
        "amqp:illegal-state",
        "amqp:invalid-field",
        "amqp:link:message-size-exceeded",
        "amqp:link:redirect",
        "amqp:link:stolen",
        "amqp:not-allowed",
        "amqp:not-found",
        "amqp:not-implemented",
        "amqp:precondition-failed",
        "amqp:resource-deleted",
        "amqp:unauthorized-access",
    }
)
"""Conditions (2.8.15 to 2.8.18) that will be the same at the next attempt. Those of brokers' own
making, such as ``com.microsoft:server-busy``, count as passing."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An error condition: its symbolic name, and the peer's description."""

    name: str
    description: str

    @property
    def temporary(self) -> bool:
        """Whether trying again, unchanged, can help."""
        return self.name not in _LASTING

    def __str__(self) -> str:
        return f"{self.name}: {self.description}" if self.description else self.name


def condition_of(pointer: Any) -> Condition | None:
    """What a ``pn_condition_t`` says, if it says anything."""
    if not lib.pn_condition_is_set(pointer):
        return None
    return Condition(
        text(lib.pn_condition_get_name(pointer)) or "",
        text(lib.pn_condition_get_description(pointer)) or "",
    )
