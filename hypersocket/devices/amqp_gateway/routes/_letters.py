"""A message that failed, on its way to the dead letters, and what is said of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ....amqp import NO_PROPERTIES, Properties, Target

REASON, TEXT = "x-hypersocket-reason", "x-hypersocket-reason-text"
GATEWAY, ROUTE = "x-hypersocket-gateway", "x-hypersocket-route"
EXCHANGE, KEY, ADDRESS = (
    "x-hypersocket-exchange",
    "x-hypersocket-routing-key",
    "x-hypersocket-address",
)

NOWHERE = Target()

LONGEST_TEXT = 1000
"""Characters of the reason's text: headers have to fit into a frame."""


@dataclass(slots=True, eq=False)
class Letter:
    """A message that failed.

    Attributes:
        reason: one word or two for counting: ``"returned"``, ``"looped"``, ``"policy"``...
        text: why, in the broker's words or ours.
        body: the body, as on AMQP.
        properties: what was said of it, as on AMQP; the header of the frames' lengths included.
        target: where it was published, or was to be.
        done: told how it ended: True, the dead-letter target has it; False, it was dropped.
        kept: whether the broker still has the original, so that it can be tried for ever.
        once: whether it is not, for all that: what it answers was carried out, and is settled.
    """

    reason: str
    text: str
    body: bytes
    properties: Properties = NO_PROPERTIES
    target: Target = NOWHERE
    done: Callable[[bool], None] | None = None
    kept: bool = False
    once: bool = False

    def headers(self, gateway: str, route: str) -> dict[str, Any]:
        """What is said of its failure."""
        said: dict[str, Any] = {
            REASON: self.reason,
            # It may have a peer's half characters in it, which no broker takes.
            TEXT: self.text[:LONGEST_TEXT].encode(errors="backslashreplace").decode(),
            GATEWAY: gateway,
            ROUTE: route,
        }
        if self.target.address:
            said[ADDRESS] = self.target.address
        else:
            said[EXCHANGE] = self.target.exchange
        said[KEY] = self.target.routing_key
        return said
