"""Every exception that hypersocket raises of its own."""

from __future__ import annotations

import errno

from ._reasons import Reason


class HypersocketError(Exception):
    """The base of all errors that are hypersocket's own."""


class EndpointError(HypersocketError, ValueError):
    """An endpoint cannot be understood, or names something this machine does not have."""


class AddressInUse(HypersocketError, OSError):
    """The address is taken by another socket."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EADDRINUSE, message)

    def __str__(self) -> str:
        return str(self.args[1])

    def __reduce__(self) -> tuple[type[AddressInUse], tuple[str]]:
        return type(self), (str(self),)


class StateError(HypersocketError):
    """The call is out of turn: a REP that owes a reply cannot receive, for instance."""


class MultipartError(HypersocketError):
    """A single-part call met a multipart message, which stays where it is."""


class HostUnreachable(HypersocketError):
    """A ROUTER with ``router_mandatory`` has no peer of that routing id."""


class ProtocolError(HypersocketError):
    """A peer broke the protocol, or passed one of our bounds; its connection ends.

    Attributes:
        reason: which rule; the text is for people.
    """

    def __init__(self, message: str, reason: Reason = Reason.BAD_FRAME) -> None:
        super().__init__(message)
        self.reason = reason


class MessageTooLarge(ProtocolError):
    """A message passed ``maxmsgsize``, or cannot be carried by the transport."""

    def __init__(self, message: str, reason: Reason = Reason.MESSAGE_TOO_LARGE) -> None:
        super().__init__(message, reason)


class HandshakeError(ProtocolError):
    """The two sides could not agree to talk."""
