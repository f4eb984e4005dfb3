"""What events of a connection tell, for tests."""

from __future__ import annotations

from typing import Any

from hypersocket.amqp import (
    ConnectionLost,
)
from hypersocket.amqp.v091 import (
    Ended,
    Event,
)


def ended(events: list[Event]) -> ConnectionLost:
    """Why a connection has ended, which is the last that is told."""
    last = events[-1]
    assert isinstance(last, Ended)
    assert not any(isinstance(event, Ended) for event in events[:-1])
    return last.error


def only(kind: type[Any], events: list[Event]) -> Any:
    assert [type(event) for event in events] == [kind]
    return events[0]
