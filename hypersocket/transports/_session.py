"""One connection: ZMTP on a byte stream, joined to a pipe.

The protocol is :class:`hypersocket.zmtp.Connection`, which has no clock and no stream; here it
gets both. The handshake is a task's work; the messages after it are carried by the socket's
poller where the stream is a system's socket, and by tasks where it is anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import trio

from .. import _events as events
from .._errors import HandshakeError, ProtocolError
from .._reasons import Reason
from ..zmtp import Connection, Event, HandshakeSucceeded, Heartbeat, Limits
from ._contract import Host
from ._fd_traffic import FdTraffic
from ._pipe import Peer, Pipe
from ._stream_traffic import StreamTraffic
from ._traffic import READ_SIZE, End, Traffic, explain
from ._wire_traffic import WireTraffic


class Session:
    """One connection of a stream transport; the link of its pipe while that is accepted.

    Args:
        host: the socket.
        stream: connected; the session closes it.
        endpoint: ours.
        address: the peer's.
        pipe: the dialled pipe, or None to open one when the peer has shaken hands.
        on_established: called then.
        on_end: called when the connection has ended, after its handshake or before.
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
        on_end: Callable[[Session, End], None],
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
        self._scope: trio.CancelScope | None = trio.CancelScope()
        self._traffic: Traffic | None = None
        self._end: End | None = None
        self._told = False
        self._on_established = on_established
        self._on_end = on_end
        self.established = False
        self.established_at = math.inf

    # The link

    @trio.lowlevel.enable_ki_protection
    def outgoing(self) -> None:
        """The pipe has messages to write."""
        if self._traffic is not None:
            self._traffic.outgoing()

    @trio.lowlevel.enable_ki_protection
    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        if self._traffic is not None:
            self._traffic.flush()

    @trio.lowlevel.enable_ki_protection
    def incoming_room(self) -> None:
        """The pipe can take messages again."""
        if self._traffic is not None:
            self._traffic.incoming_room()

    @trio.lowlevel.enable_ki_protection
    def subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the publisher at the other end."""
        if self._traffic is not None:
            self._traffic.subscription(topic, wanted)

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
        if self._traffic is not None:
            self._traffic.stop()
        if self._scope is not None:
            self._scope.cancel()
        else:
            self._tell_end()

    def finish(self, deadline: float) -> None:
        """Write what is left, tell the peer that no more comes, and end by ``deadline``."""
        if self.pipe is not None:
            self.pipe.closing = True
        if self._traffic is None or not self.established or deadline <= trio.current_time():
            self.end(End(Reason.CLOSED_BY_US))
        else:
            self._traffic.finish(deadline)

    async def run(self) -> None:
        """Shake hands, then carry messages until the connection ends, for whatever reason.

        Returns earlier when the poller carries them; ``on_end`` is called at the end in any case.
        """
        assert self._scope is not None
        goes_on = False
        try:
            with self._scope:
                try:
                    traffic = await self._handshake()
                    goes_on = traffic.start()
                    if not goes_on:
                        await traffic.run()
                except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
                    self._end = self._end or explain(error, self._host, self._endpoint)
        finally:
            self._scope = None
            if not goes_on or self._end is not None:
                if self._traffic is not None:
                    self._traffic.stop()  # it leaves the poller before its descriptor is closed
                try:
                    await trio.aclose_forcefully(self._stream)
                finally:
                    self._tell_end()

    def _tell_end(self) -> None:
        if self._told:
            return
        self._told = True
        end = self._end or End(Reason.CLOSED_BY_US)
        if not self.established and end.reason is not Reason.CLOSED_BY_US:
            self._host.handshake_failed(
                self._endpoint,
                end.reason,
                end.detail,
                address=self._address,
                dialled=self._dialled,
            )
        self._on_end(self, end)

    # The handshake

    async def _handshake(self) -> Traffic:
        conn = self._conn
        with trio.move_on_after(self._host.options.handshake_ivl or math.inf):
            await self._stream.send_all(conn.data_to_send())
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
                    await self._stream.send_all(reply)
                if happened:
                    # What came may have been on its way to this task when it was ended: then
                    # there is nobody to carry messages for.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    return self._establish(happened)
        raise HandshakeError(
            "the peer did not finish its handshake in time", Reason.HANDSHAKE_TIMEOUT
        )

    async def _send_last_words(self) -> None:
        reply = self._conn.data_to_send()
        if reply:
            try:
                await self._stream.send_all(reply)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the error that made us speak matters more

    def _establish(self, happened: Sequence[Event]) -> Traffic:
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
        # Before the next call, which may have subscriptions to tell and messages to send.
        traffic = self._traffic = self._make_traffic(self.pipe)
        self.established = True
        self.established_at = trio.current_time()
        try:
            self.pipe.established(peer)
        except HandshakeError:
            self.established = False
            self._traffic = None
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
        return traffic

    def _make_traffic(self, pipe: Pipe) -> Traffic:
        host, stream = self._host, self._stream
        poller = host.poller
        if not poller.available or not isinstance(stream, trio.SocketStream):
            return StreamTraffic(host, self._conn, pipe, self._endpoint, self.end, stream=stream)
        common = (host, self._conn, pipe, self._endpoint, self.end)
        if not self._conn.is_plain:
            return FdTraffic(*common, stream=stream, poller=poller)
        decoder = self._conn.plain_decoder()
        return WireTraffic(*common, stream=stream, poller=poller, decoder=decoder)
