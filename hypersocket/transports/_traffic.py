"""What a connection does once the handshake is done, whoever does its reading and writing."""

from __future__ import annotations

import logging
import struct
import sys
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import trio

from .._errors import ProtocolError
from .._message import Message
from .._reasons import Reason
from ..zmtp import Cancel, Connection, Event, HandshakeSucceeded, Subscribe
from ._contract import Host
from ._pipe import Pipe

READ_SIZE = 128 * 1024
"""Bytes asked for at once: enough that the cost of a read is shared by many small messages."""

BATCH_BYTES = 64 * 1024
BATCH_MESSAGES = 1024
"""Bounds of what is encoded at once, so that heartbeats get their turn between."""

SUBSCRIPTIONS_AT_ONCE = 1024

_SHORT_FRAME = 255


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection ended."""

    reason: Reason
    detail: str = ""


class Traffic(ABC):
    """Carries messages between a protocol connection and a pipe.

    Args:
        host: the socket.
        conn: has shaken hands.
        pipe: takes and gives messages.
        endpoint: for the log.
        on_end: called once, when the connection has ended by itself.
    """

    def __init__(
        self,
        host: Host,
        conn: Connection,
        pipe: Pipe,
        endpoint: str,
        on_end: Callable[[End], None],
    ) -> None:
        self._host = host
        self._conn = conn
        self._pipe = pipe
        self._endpoint = endpoint
        self._on_end = on_end
        self._subscriptions: OrderedDict[bytes, bool] = OrderedDict()
        self._ended = False
        self._finishing = False

    @abstractmethod
    def start(self) -> bool:
        """Begin. True when it goes on by itself; otherwise :meth:`run` is to be run."""

    async def run(self) -> None:
        """Carry, until the connection has ended."""
        raise NotImplementedError

    @abstractmethod
    def outgoing(self) -> None:
        """There is something to write."""

    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        self.outgoing()

    @abstractmethod
    def incoming_room(self) -> None:
        """The pipe can take messages again."""

    @abstractmethod
    def finish(self, deadline: float) -> None:
        """Write what is left, say that no more comes, and end by ``deadline``."""

    @abstractmethod
    def stop(self) -> None:
        """End now."""

    def subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the publisher at the other end."""
        if self._subscriptions.get(topic, wanted) is not wanted:
            # Not told yet, and undone already: what a stalled publisher has to be told stays
            # bounded by the number of topics.
            del self._subscriptions[topic]
        else:
            self._subscriptions[topic] = wanted
            self.outgoing()

    def _end(self, end: End) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(end)

    def _take_subscriptions(self) -> bytes:
        pending = self._subscriptions
        count = min(len(pending), SUBSCRIPTIONS_AT_ONCE)
        some = [pending.popitem(last=False) for _ in range(count)]
        return b"".join(
            self._conn.encode_subscription((b"\1" if wanted else b"\0") + topic)
            for topic, wanted in some
        )

    def _dispatch(self, happened: Sequence[Event]) -> None:
        pipe = self._pipe
        messages: list[Message] = []
        for event in happened:
            if isinstance(event, Subscribe):
                pipe.deliver_subscription(event.topic, True)
            elif isinstance(event, Cancel):
                pipe.deliver_subscription(event.topic, False)
            elif not isinstance(event, HandshakeSucceeded):
                messages.append(event)
        if messages:
            pipe.deliver(messages)

    def _end_of_peer(self) -> End:
        # A peer that is told of our end ends its side too.
        return End(Reason.CLOSED_BY_US if self._finishing else Reason.CLOSED_BY_PEER)

    def _explain(self, error: Exception) -> End:
        if self._finishing and not isinstance(error, ProtocolError):
            return End(Reason.CLOSED_BY_US)
        return explain(error, self._host, self._endpoint)


def explain(error: Exception, host: Host, endpoint: str) -> End:
    """Why a connection ends with this error; one of our own making is logged."""
    if isinstance(error, ProtocolError):
        return End(error.reason, str(error))
    if isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError, OSError)):
        return End(Reason.CONNECTION_LOST, str(error.__cause__ or error))
    host.log(logging.ERROR, "%s: error of our own; the connection ends", endpoint, exc_info=error)
    return End(Reason.INTERNAL_ERROR, repr(error))


def whole_messages(messages: Sequence[Message], written: int) -> tuple[int, int]:
    """How many of the messages, encoded plainly, are whole in their first ``written`` bytes.

    Also returns how many bytes are left over, which are of the next message.
    """
    whole = 0
    for message in messages:
        frames = [message] if isinstance(message, bytes) else message
        size = sum(len(frame) + (2 if len(frame) <= _SHORT_FRAME else 9) for frame in frames)
        if size > written:
            break
        written -= size
        whole += 1
    return whole, written


def unacknowledged(fd: int) -> bool:
    """Whether the peer, or over TCP its system, has not yet taken all that was written."""
    if sys.platform != "linux" or fd < 0:
        return False
    import fcntl
    import termios

    answer = fcntl.ioctl(fd, termios.TIOCOUTQ, struct.pack("i", 0))
    return bool(struct.unpack("i", answer)[0])


def unread(fd: int) -> bool:
    """Whether the system has bytes of the peer that were not read."""
    if sys.platform != "linux" or fd < 0:
        return False
    import fcntl
    import termios

    answer = fcntl.ioctl(fd, termios.FIONREAD, struct.pack("i", 0))
    return bool(struct.unpack("i", answer)[0])


def pauses() -> Iterator[float]:
    """Seconds between two looks at :func:`unacknowledged`, of which the system does not tell."""
    pause = 0.001
    while True:
        yield pause
        pause = min(2 * pause, 0.05)
