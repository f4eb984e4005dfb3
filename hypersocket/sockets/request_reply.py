"""The synchronous half of the request-reply pattern (RFC 28): REQ and REP.

On the wire a request is an envelope, an empty frame, and the body. The envelope holds what the
devices on the way need to send the reply back, and with ``req_correlate`` the request's number.
"""

from __future__ import annotations

from .._errors import StateError
from .._message import Message, from_frames
from .._reasons import DropReason
from .._speedups import FairQueue
from ..transports import Pipe
from ._receiving import Receiver
from ._req import Req
from ._sending import Sender

__all__ = ["Rep", "Req"]


class Rep(Receiver, Sender):
    """Receives a request, then sends its reply, in strict turn.

    A reply whose requester is gone, or takes no more messages, is dropped and counted.
    """

    socket_type = "REP"

    def _prepare(self) -> None:
        super()._prepare()
        self._queue = self._inlet = FairQueue(self._receivers)
        # Where the head came from, and who is owed a reply: None where its connection is gone.
        self._fetched: tuple[Pipe | None, list[bytes]] | None = None
        self._requester: tuple[Pipe | None, list[bytes]] | None = None
        self._orphans: dict[Pipe, int] = {}  # received requests whose connection is gone
        self._lost: Pipe | None = None  # disconnected while a request is fetched

    def _pipe_readable(self, pipe: Pipe) -> None:
        self._queue.add(pipe)
        self._pump_receivers()

    def _check_may_receive(self) -> None:
        if self._requester is not None:
            raise StateError("a request was received and not answered: send its reply first")

    def _fetch(self) -> Message | None:
        if self._requester is not None:
            return None
        while True:
            self._lost = None
            message = self._queue.take()
            if message is None:
                return None
            pipe = self._queue.source
            # Taking it may have made room, and what was read next ended the connection.
            orphaned = pipe is self._lost or self._is_orphan(pipe)
            if isinstance(message, list) and b"" in message[:-1]:
                end = message.index(b"") + 1
                self._fetched = None if orphaned else pipe, message[:end]
                return from_frames(message[end:])
            pipe.drop(DropReason.MALFORMED)

    def _is_orphan(self, pipe: Pipe) -> bool:
        """Count one request taken from a pipe: is it of a connection before the one it has."""
        left = self._orphans.pop(pipe, 0)
        if left > 1:
            self._orphans[pipe] = left - 1
        return left > 0

    def _pipe_disconnected(self, pipe: Pipe) -> None:
        # A reply goes to the connection that the request came by, or to nobody: at the other end
        # of the next one is perhaps another program, or one that asks something else by now.
        super()._pipe_disconnected(pipe)
        if self._fetched is not None and self._fetched[0] is pipe:
            self._fetched = None, self._fetched[1]
        if self._requester is not None and self._requester[0] is pipe:
            self._requester = None, self._requester[1]
        self._lost = pipe
        if pipe.queued_in:
            self._orphans[pipe] = pipe.queued_in
        pipe.drop(DropReason.PEER_GONE, pipe.discard_outgoing())

    def _pipe_gone(self, pipe: Pipe) -> None:
        super()._pipe_gone(pipe)
        self._orphans.pop(pipe, None)

    def _received(self) -> None:
        self._requester, self._fetched = self._fetched, None

    def _check_may_send(self, messages: list[Message]) -> None:  # noqa: ARG002
        if self._requester is None:
            raise StateError("there is no request to reply to: receive one first")

    def _offer(self, message: Message) -> bool:
        assert self._requester is not None
        pipe, envelope = self._requester
        self._requester = None
        if pipe is None or pipe.gone or pipe.closing:
            self._host.drop(DropReason.PEER_GONE)
        elif not pipe.writable:
            pipe.drop(DropReason.HIGH_WATER_MARK)
        else:
            body = message if isinstance(message, list) else [message]
            pipe.send([*envelope, *body])
        self._pump_receivers()
        return True
