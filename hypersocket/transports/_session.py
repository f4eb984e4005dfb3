"""One connection: ZMTP on a byte stream, joined to a pipe.

The protocol is :class:`hypersocket.zmtp.Connection`, which has no clock and no stream; here it
gets both. One task reads, one writes; a third keeps time where there are heartbeats.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from .. import _events as events
from .._errors import HandshakeError, ProtocolError
from .._message import Message
from .._reasons import Reason
from .._signal import Signal
from ..zmtp import (
    Cancel,
    Connection,
    Event,
    HandshakeSucceeded,
    Heartbeat,
    Limits,
    State,
    Subscribe,
)
from ._contract import Host
from ._pipe import Peer, Pipe
from ._writing import StreamWriter

READ_SIZE = 128 * 1024
"""Bytes asked for at once: enough that the cost of a read is shared by many small messages."""

BATCH_BYTES = 64 * 1024
BATCH_MESSAGES = 1024
"""Bounds of what is encoded at once, so that heartbeats get their turn between."""

SUBSCRIPTIONS_AT_ONCE = 1024

_PUBLISHERS = frozenset({"PUB", "XPUB"})


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection ended."""

    reason: Reason
    detail: str = ""


class Session:
    """One connection of a stream transport; the link of its pipe while that is accepted.

    Args:
        host: the socket.
        stream: connected; the session closes it.
        endpoint: ours.
        address: the peer's.
        pipe: the dialled pipe, or None to open one when the peer has shaken hands.
        on_established: called then.
    """

    def __init__(
        self,
        host: Host,
        stream: trio.abc.Stream,
        *,
        endpoint: str,
        address: str,
        pipe: Pipe | None = None,
        on_established: Callable[[Session], None] | None = None,
    ) -> None:
        options = host.options
        self._host = host
        self._stream = stream
        self._endpoint = endpoint
        self._address = address
        self.pipe = pipe
        self._dialled = pipe is not None
        self._conn = Connection(
            host.socket_type,
            as_server=pipe is None,
            now=trio.current_time(),
            limits=Limits(
                max_message_size=options.maxmsgsize or (1 << 63) - 1,
                max_frames=options.max_frames,
                max_command_size=options.max_command_size,
                max_metadata_size=options.max_metadata_size,
                max_topic_size=getattr(options, "max_topic_size", options.max_command_size),
            ),
            heartbeat=Heartbeat(
                interval=options.heartbeat_ivl,
                timeout=options.heartbeat_timeout,
                ttl=options.heartbeat_ttl,
            ),
            routing_id=host.announced_routing_id,
        )
        self._writer = StreamWriter(stream)
        self._is_publisher = host.socket_type in _PUBLISHERS
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._end: End | None = None
        self._outgoing = Signal()
        self._incoming_room = Signal()
        self._timer = Signal()
        self._timer_until = math.inf
        self._timer_runs = False
        self._control = bytearray()
        self._subscriptions: dict[bytes, bool] = {}
        self._finish_by: float | None = None
        self._on_established = on_established
        self.established = False

    # The link

    def outgoing(self) -> None:
        """The pipe has messages to write."""
        self._outgoing.set()

    def incoming_room(self) -> None:
        """The pipe can take messages again."""
        self._incoming_room.set()

    def subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the publisher at the other end."""
        if not self.established:
            return
        if self._subscriptions.get(topic, wanted) is not wanted:
            # Not told yet, and undone already: what a stalled publisher has to be told stays
            # bounded by the number of topics.
            del self._subscriptions[topic]
        else:
            self._subscriptions[topic] = wanted
            self._outgoing.set()

    def reset(self, reason: Reason) -> None:
        """End the connection. The dialler makes a new one; an accepted peer may come again."""
        self.end(End(reason))

    def close(self, reason: Reason) -> None:
        """End the connection, and an accepted pipe with it."""
        self.end(End(reason))
        if self.pipe is not None and not self._dialled:
            self.pipe.finished(reason)

    # Its life

    def end(self, end: End) -> None:
        """End the connection now."""
        if self._end is None:
            self._end = end
        self._scope.cancel()

    def finish(self, deadline: float) -> None:
        """Write what is left, tell the peer that no more comes, and end by ``deadline``."""
        self._finish_by = deadline
        if self.pipe is not None:
            self.pipe.closing = True
        if not self.established or deadline <= trio.current_time():
            self.end(End(Reason.CLOSED_BY_US))
            return
        self._scope.deadline = min(self._scope.deadline, deadline)
        self._outgoing.set()
        self._incoming_room.set()

    async def run(self) -> End:
        """Shake hands, then carry messages until the connection ends, for whatever reason.

        The stream is closed on return, also when cancelled.
        """
        try:
            with self._scope:
                try:
                    await self._handshake()
                    await self._carry()
                except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
                    self._end = self._end or self._explain(error)
        finally:
            await trio.aclose_forcefully(self._stream)
        end = self._end or End(Reason.CLOSED_BY_US)
        if not self.established and end.reason is not Reason.CLOSED_BY_US:
            self._host.handshake_failed(
                self._endpoint, end.reason, end.detail, address=self._address
            )
        return end

    def _explain(self, error: Exception) -> End:
        if isinstance(error, ProtocolError):
            return End(error.reason, str(error))
        if isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError, OSError)):
            if self._finish_by is not None:
                return End(Reason.CLOSED_BY_US)
            return End(Reason.CONNECTION_LOST, str(error.__cause__ or error))
        self._host.log(
            logging.ERROR,
            "%s: error of our own; the connection ends",
            self._endpoint,
            exc_info=error,
        )
        return End(Reason.INTERNAL_ERROR, repr(error))

    # The handshake

    async def _handshake(self) -> None:
        conn = self._conn
        with trio.move_on_after(self._host.options.handshake_ivl or math.inf):
            await self._writer.send(conn.data_to_send())
            while True:
                data = await self._stream.receive_some(READ_SIZE)
                conn.receive(data, trio.current_time())
                try:
                    happened = conn.next_events(1)
                except ProtocolError:
                    await self._send_last_words()
                    raise
                reply = conn.data_to_send()
                if reply:
                    await self._writer.send(reply)
                if happened:
                    self._establish(happened)
                    return
        raise HandshakeError(
            "the peer did not finish its handshake in time", Reason.HANDSHAKE_TIMEOUT
        )

    async def _send_last_words(self) -> None:
        reply = self._conn.data_to_send()
        if reply:
            try:
                await self._writer.send(reply)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the error that made us speak matters more

    def _establish(self, happened: Sequence[Event]) -> None:
        first = happened[0]
        assert isinstance(first, HandshakeSucceeded)
        info = first.peer
        peer = Peer(
            socket_type=info.socket_type,
            routing_id=info.routing_id,
            address=self._address,
            metadata=info.metadata,
        )
        if self.pipe is None:
            self.pipe = self._host.open_pipe(self._endpoint, dialled=False)
            self.pipe.link = self
        self.established = True  # subscriptions are told from within the next call
        try:
            self.pipe.established(peer)
        except HandshakeError:
            self.established = False
            if not self._dialled:
                self.pipe = None
            raise
        self._host.tell(
            lambda: events.HandshakeSucceeded(
                time=trio.current_time(),
                endpoint=self._endpoint,
                address=peer.address,
                socket_type=peer.socket_type,
                routing_id=peer.routing_id,
            )
        )
        if self._on_established is not None:
            self._on_established(self)
        self._dispatch(happened[1:])

    # Traffic

    async def _carry(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._guard, self._write_all)
            self._keep_time()
            await self._guard(self._read_all)
            nursery.cancel_scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def _guard(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            if loop == self._write_all and isinstance(error, trio.BrokenResourceError):
                # What the peer wrote before it went can still be read; the end comes with that.
                return
            if self._end is None:
                self._end = self._explain(error)
            self._scope.cancel()

    async def _read_all(self) -> None:
        conn, pipe = self._conn, self.pipe
        assert pipe is not None
        while self._finish_by is None:
            room = pipe.room_in
            if not room:
                conn.pause(trio.current_time())
                await self._incoming_room.wait()
                conn.resume(trio.current_time())
                continue
            if not conn.has_pending_input:
                data = await self._stream.receive_some(READ_SIZE)
                if self._end is not None:
                    return  # ended meanwhile, so nobody wants what came
                conn.receive(data, trio.current_time())
            self._dispatch(conn.next_events(room))
            if conn.state is State.CLOSED:
                # A peer that is told of our end ends its side too.
                ours = self._finish_by is not None
                self._end = self._end or End(
                    Reason.CLOSED_BY_US if ours else Reason.CLOSED_BY_PEER
                )
                return
            self._flush_control()
        while await self._stream.receive_some(READ_SIZE):
            pass  # Nobody will take it; but unread bytes would make the close a reset.
        self._end = self._end or End(Reason.CLOSED_BY_US)

    def _dispatch(self, happened: Sequence[Event]) -> None:
        pipe = self.pipe
        assert pipe is not None
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

    def _flush_control(self) -> None:
        data = self._conn.data_to_send()
        if data:
            self._control += data
            self._outgoing.set()
        if self._conn.deadline < self._timer_until:
            self._keep_time()

    async def _write_all(self) -> None:
        pipe = self.pipe
        assert pipe is not None
        while True:
            if self._control:
                data = bytes(self._control)
                self._control.clear()
                await self._writer.send(data)
            elif self._subscriptions:
                await self._writer.send(self._take_subscriptions())
            elif pipe.has_outgoing:
                await self._write_batch(pipe)
            elif self._finish_by is not None:
                await self._writer.finish()
                self.end(End(Reason.CLOSED_BY_US))
                return
            else:
                await self._outgoing.wait()

    def _take_subscriptions(self) -> bytes:
        pending = self._subscriptions
        some = list(pending)[:SUBSCRIPTIONS_AT_ONCE] if len(pending) > 1 else list(pending)
        return b"".join(
            self._conn.encode_subscription((b"\1" if pending.pop(topic) else b"\0") + topic)
            for topic in some
        )

    async def _write_batch(self, pipe: Pipe) -> None:
        messages = pipe.take_outgoing(BATCH_MESSAGES, BATCH_BYTES)
        buffers: list[bytes] = []
        self._conn.encode(messages, buffers)
        await self._writer.send_messages(pipe, messages, buffers)

    # Time

    def _keep_time(self) -> None:
        if self._conn.deadline == math.inf:
            return
        if self._timer_runs:
            self._timer.set()
        elif self._nursery is not None:
            self._timer_runs = True
            self._nursery.start_soon(self._guard, self._watch_clock)

    async def _watch_clock(self) -> None:
        while True:
            self._timer_until = self._conn.deadline
            with trio.move_on_at(self._timer_until):
                await self._timer.wait()
            now = trio.current_time()
            if now >= self._conn.deadline:
                self._conn.on_timer(now)
                self._flush_control()
