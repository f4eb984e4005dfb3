"""A request of a call: whose it is, how long it waits, and what it is answered where it fails."""

from __future__ import annotations

from ....amqp import Publication, Result

ERROR = b"hs-error"

CODES = {
    Result.RETURNED: "returned",
    Result.REJECTED: "rejected",
    Result.FAILED: "unavailable",
    Result.UNKNOWN: "unavailable",
}


class Request:
    """A request that has no reply yet."""

    __slots__ = ("deadline", "envelope", "publication", "taken", "token", "unknown")

    def __init__(self, token: str, envelope: list[bytes], deadline: float) -> None:
        self.token = token
        self.envelope = envelope
        self.deadline = deadline
        self.publication: Publication
        self.taken = False  # by a sender
        self.unknown = False  # what became of it: the connection was lost


def divided(frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The envelope, which a reply begins with, and the request.

    Of a DEALER that sends no empty frame, the envelope is its routing id alone.
    """
    try:
        end = frames.index(b"", 1) + 1
    except ValueError:
        end = 1
    return frames[:end], frames[end:]
