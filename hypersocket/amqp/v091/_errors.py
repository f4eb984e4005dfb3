"""A broker's codes and words as errors (AMQP 0-9-1, 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .._types import ChannelLost, ConnectionLost

CODES: Final[Mapping[int, str]] = {
    200: "REPLY_SUCCESS",
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}

# Another attempt, unchanged, gets the same answer. The other codes speak of a moment.
_LASTING_FOR_CONNECTIONS: Final = {402, 403, 404, 530, 540}
_LASTING_FOR_CHANNELS: Final = {311, 402, 403, 404, 406, 530, 540}

# RabbitMQ says these of what passes, with codes of what does not.
_PASSING_WORDS: Final = (
    "limit",  # 530: of connections, in a vhost or of a user
    "is down",  # 404, 530: the node that has the queue, or the vhost, is not up
    "inaccessible",
    "exclusive use",  # 403: by a consumer that may go
    "timed out",  # 406: a delivery was not acknowledged within consumer_timeout
)


def condition_of(code: int) -> str:
    """A code with its name: ``"404 NOT_FOUND"``."""
    return f"{code} {CODES[code]}" if code in CODES else str(code)


def words(code: int, text: str) -> str:
    """Code, name and what the broker said, the name once."""
    name = CODES.get(code, "")
    if not text or text == name:
        return condition_of(code)
    return f"{code} {text}" if text.startswith(name) else f"{code} {name} - {text}"


def connection_closed(peer: str, code: int, text: str) -> ConnectionLost:
    """The broker closed the connection."""
    lasting = code in _LASTING_FOR_CONNECTIONS and not _passes(text)
    return ConnectionLost(
        f"{peer} closed the connection: {words(code, text)}",
        condition=condition_of(code),
        temporary=not lasting,
    )


def channel_closed(code: int, text: str) -> ChannelLost:
    """The broker closed a channel."""
    lasting = code in _LASTING_FOR_CHANNELS and not _passes(text)
    return ChannelLost(words(code, text), condition=condition_of(code), temporary=not lasting)


def _passes(text: str) -> bool:
    return any(word in text for word in _PASSING_WORDS)


class Malformed(Exception):
    """The broker's bytes are not AMQP 0-9-1, or come out of turn; the connection ends.

    Attributes:
        code: which rule of the standard, to tell the broker.
    """

    def __init__(self, text: str, code: int = 501) -> None:
        super().__init__(text)
        self.code = code
