"""A message that the broker delivered, decoded as far as somebody asks."""

from __future__ import annotations

from typing import Final

from .._types import NO_PROPERTIES, Properties, Target
from ._properties import decode
from ._values import text

UNSETTLED: Final = 0
ACCEPTED: Final = 1
REJECTED: Final = 2
RELEASED: Final = 3


class Message:
    """One delivery. The gateway's ``Delivery``.

    Attributes:
        owner: the channel's settlements: tags mean nothing anywhere else.
        body: its bytes.
        redelivered: whether somebody was given it before.
        tag: what the broker calls this delivery, on its channel.
        verdict: what was said of it.
    """

    __slots__ = (
        "_envelope",
        "_properties",
        "_said",
        "body",
        "owner",
        "redelivered",
        "tag",
        "verdict",
    )

    def __init__(
        self,
        owner: object,
        tag: int,
        redelivered: bool,
        envelope: bytes,
        said: bytes,
        body: bytes,
    ) -> None:
        self.owner = owner
        self.tag = tag
        self.redelivered = redelivered
        self.body = body
        self.verdict = UNSETTLED
        self._envelope = envelope
        self._said = said
        self._properties: Properties | None = None if said != b"\x00\x00" else NO_PROPERTIES

    @property
    def properties(self) -> Properties:
        """What is said of it; never raises."""
        if self._properties is None:
            self._properties = decode(self._said)
        return self._properties

    @property
    def target(self) -> Target:
        """The exchange and the routing key that it was published with."""
        envelope = self._envelope
        key = 1 + envelope[0]
        return Target(exchange=text(envelope[1:key]), routing_key=text(envelope[key + 1 :]))

    @property
    def delivery_count(self) -> int | None:
        """How often it came back, where the queue counts (quorum queues); None elsewhere."""
        count = self.properties.headers.get("x-delivery-count")
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    @property
    def counted(self) -> bool:
        """False: without a count, or with one of 0, it may have come back any number of times."""
        return False

    def __repr__(self) -> str:
        return f"<Message {self.tag}, {len(self.body)} bytes>"
