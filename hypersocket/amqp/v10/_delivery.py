"""A message that was received, until it is settled."""

from __future__ import annotations

from typing import Any

from .._types import Properties, Target
from ._quirks import Quirks
from ._sections import Sections


class Delivery(Sections):
    """A message from the peer, which stays the peer's until it is settled.

    Attributes:
        body: the bytes; those of the whole message, if it could not be decoded.
        problem: why it could not be decoded; None if it could.
        handle: the engine's own; None if the peer has settled it, or we have.
        settled: whether it counts as settled here.
    """

    __slots__ = ("_properties", "_quirks", "handle", "settled")

    def __init__(self, raw: bytes, handle: Any, quirks: Quirks) -> None:
        super().__init__(raw)
        self.handle = handle
        self.settled = False
        self._quirks = quirks
        self._properties: Properties | None = None

    @property
    def properties(self) -> Properties:
        """What is said of it, decoded when first asked for. Never raises."""
        if self._properties is None:
            self._properties = self.read_properties(self._quirks)
        return self._properties

    @property
    def target(self) -> Target:
        """Where it had been published: the address in ``to`` and the subject, if it has them."""
        return self.read_target()

    @property
    def delivery_count(self) -> int | None:
        """How often a delivery of it failed; None if the message does not tell."""
        return self.read_delivery_count()

    @property
    def counted(self) -> bool:
        """Whether no count, or one of 0, says that it never came back."""
        return not self._quirks.uncounted

    @property
    def redelivered(self) -> bool:
        """Whether somebody was given it before: not the first acquirer, or counted (3.2.1)."""
        return self.read_first_acquirer() is False or bool(self.read_delivery_count())
