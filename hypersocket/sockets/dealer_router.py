"""The asynchronous half of the request-reply pattern (RFC 28): DEALER and ROUTER."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from .._errors import HandshakeError, HostUnreachable
from .._message import Message, from_frames
from .._option_groups import ConflateOptions, RouterOptions, RoutingIdOptions
from .._reasons import DropReason, Reason
from .._speedups import SHORT_WAYS, FairQueue, RoutedReceivePath, RoutedSendPath, ShortWays
from ..transports import Pipe
from ._receiving import Receiver
from ._sending import Sender
from .pipeline import BalancedSender, FairReceiver


class Dealer(RoutingIdOptions, ConflateOptions, FairReceiver, BalancedSender):
    """Sends each message to one of its peers, in turn, and receives from them, in turn.

    It may send and receive at any time. What it sends to a REP begins with an empty frame.
    """

    socket_type = "DEALER"

    def _pipe_connected(self, pipe: Pipe) -> None:
        if self.probe_router:
            pipe.send(b"")
        super()._pipe_connected(pipe)


class Router(RoutingIdOptions, RouterOptions, Receiver, Sender):
    """Receives from its peers, in turn, and sends to the peer that each message names.

    A received message has the peer's routing id as its first frame, and so has one to be sent.

    A peer that announces no routing id is given one for as long as its connection lasts, which
    begins with a zero byte. A message to
    nobody is dropped and counted, or raises :class:`hypersocket.HostUnreachable` where
    ``router_mandatory`` is on.
    """

    socket_type = "ROUTER"
    _addressed = True

    def _prepare(self) -> None:
        super()._prepare()
        self._queue = self._inlet = FairQueue(self._receivers)
        self._peers: dict[bytes, Pipe] = {}
        self._late: deque[Message] = deque()  # received by connections that are gone
        self._named: set[Pipe] = set()  # whose ids are from connect_routing_id
        self._lost: dict[Pipe, bytes] = {}  # ids that ended since a message was last fetched
        self._numbers = count(1)
        self._send_multipart_path = RoutedSendPath(
            self._peers, self._senders, self._budget, super().send_multipart
        )
        self._receive_multipart_path = RoutedReceivePath(
            self._queue,
            self._head,
            self._receivers,
            self._budget,
            super().recv_multipart,
            self._host.poller.serve,
            late=self._late,
            lost=self._lost,
        )
        self._short_ways += [self._send_multipart_path, self._receive_multipart_path]

    if not TYPE_CHECKING and SHORT_WAYS:
        send_multipart = ShortWays.short_send_multipart
        recv_multipart = ShortWays.short_recv_multipart

    def _pipe_opened(self, pipe: Pipe) -> None:
        name = self.connect_routing_id
        if name:
            self.connect_routing_id = b""
            if name in self._peers:
                raise ValueError(f"connect_routing_id={name!r}: it is another peer's already")
            pipe.routing_id = name
            self._peers[name] = pipe
            self._named.add(pipe)
        super()._pipe_opened(pipe)

    def _pipe_connected(self, pipe: Pipe) -> None:
        assert pipe.peer is not None
        if pipe not in self._named:
            self._register(pipe, pipe.peer.routing_id)
        super()._pipe_connected(pipe)
        if self.probe_router:
            pipe.send(b"")
        self._pump_senders()

    def _register(self, pipe: Pipe, announced: bytes) -> None:
        holder = self._peers.get(announced) if announced else None
        if holder is not None and holder is not pipe:
            if not self.router_handover:
                raise HandshakeError(
                    f"the routing id {announced!r} is another peer's", Reason.DUPLICATE_ROUTING_ID
                )
            del self._peers[announced]
            holder.close(Reason.DUPLICATE_ROUTING_ID)
        if self._peers.get(pipe.routing_id) is pipe:
            del self._peers[pipe.routing_id]
        pipe.routing_id = announced or self._unused_id()
        self._peers[pipe.routing_id] = pipe

    def _unused_id(self) -> bytes:
        # RFC 37 reserves a first byte of zero for this.
        return b"\0" + next(self._numbers).to_bytes(4, "big")

    def _pipe_disconnected(self, pipe: Pipe) -> None:
        super()._pipe_disconnected(pipe)
        if not pipe.routing_id.startswith(b"\0"):
            return  # the peer will be known by the same id again
        # An id of ours stands for one connection: what is sent to it is not for the next, whose
        # peer may be another program by then, or wait for the answer to another question.
        self._peers.pop(pipe.routing_id, None)
        while pipe.readable:
            self._late.append(_with_id(pipe.routing_id, pipe.recv()))
        self._queue.remove(pipe)
        self._lost[pipe] = pipe.routing_id
        pipe.routing_id = b""
        pipe.drop(DropReason.PEER_GONE, pipe.discard_outgoing())
        self._pump_senders()

    def _pipe_gone(self, pipe: Pipe) -> None:
        super()._pipe_gone(pipe)
        self._named.discard(pipe)
        if self._peers.get(pipe.routing_id) is pipe:
            del self._peers[pipe.routing_id]
        self._pump_senders()  # who waited for room at this peer learns that it is gone

    def _pipe_writable(self, pipe: Pipe) -> None:
        super()._pipe_writable(pipe)
        self._pump_senders()

    def _pipe_readable(self, pipe: Pipe) -> None:
        self._queue.add(pipe)
        self._pump_receivers()

    def _fetch(self) -> Message | None:
        if self._late:
            return self._late.popleft()
        self._lost.clear()
        message = self._queue.take()
        if message is None:
            return None
        pipe: Pipe = self._queue.source
        # Taking it may have made room, and what was read next ended the connection.
        return _with_id(self._lost.get(pipe, pipe.routing_id), message)

    def _held_messages(self) -> int:
        return super()._held_messages() + len(self._late)

    def _check_may_send(self, messages: list[Message]) -> None:
        for message in messages:
            if not isinstance(message, list):
                raise ValueError(  # noqa: TRY004 - it has the right type, and too few frames
                    "a ROUTER sends to the peer whose routing id is the first frame, so a message "
                    "has at least two: use send_multipart([routing_id, ...])"
                )

    def _accepts_now(self, messages: list[Message]) -> bool:
        if self._senders and self._is_waited_for(messages[0][0]):
            return False  # those who came before go first
        return self._offer_all(messages)

    def _is_waited_for(self, routing_id: object) -> bool:
        return any(waiter.messages[0][0] == routing_id for waiter in self._senders)

    def _offer(self, message: Message) -> bool:
        assert isinstance(message, list)
        routing_id, *frames = message
        pipe = self._peers.get(routing_id)
        if pipe is None or pipe.closing:
            if self.router_mandatory:
                raise HostUnreachable(f"there is no peer of the routing id {routing_id!r}")
            self._host.drop(DropReason.UNROUTABLE)
            return True
        if pipe.writable:
            pipe.send(from_frames(frames))
            return True
        if self.router_mandatory:
            return False
        pipe.drop(DropReason.HIGH_WATER_MARK)
        return True


def _with_id(routing_id: bytes, message: Message) -> Message:
    if isinstance(message, list):
        return [routing_id, *message]
    return [routing_id, message]
