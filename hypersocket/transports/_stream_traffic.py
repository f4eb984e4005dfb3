"""Traffic by tasks, over a stream of any kind: one reads, one writes, a third keeps time."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from .._message import Message, size_of
from .._reasons import DropReason, Reason
from .._signal import Signal
from ..zmtp import Connection, State
from ._contract import Host
from ._pipe import Pipe
from ._traffic import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    READ_SIZE,
    End,
    Traffic,
    pauses,
    unacknowledged,
    whole_messages,
)


class StreamTraffic(Traffic):
    """One connection over a trio stream.

    A stream does not tell how much it wrote before it broke; what was under way then is counted
    as dropped, unless it surely went out whole.
    """

    def __init__(
        self,
        host: Host,
        conn: Connection,
        pipe: Pipe,
        endpoint: str,
        on_end: Callable[[End], None],
        *,
        stream: trio.abc.Stream,
    ) -> None:
        super().__init__(host, conn, pipe, endpoint, on_end)
        self._stream = stream
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._outgoing = Signal()
        self._incoming_room = Signal()
        self._timer = Signal()
        self._timer_until = math.inf
        self._timer_runs = False
        self._control = bytearray()

    def outgoing(self) -> None:
        """There is something to write."""
        self._outgoing.set()

    def incoming_room(self) -> None:
        """The pipe can take messages again."""
        self._incoming_room.set()

    def finish(self, deadline: float) -> None:
        """Write what is left, say that no more comes, and end by ``deadline``."""
        self._finishing = True
        self._scope.deadline = deadline
        self._outgoing.set()
        self._incoming_room.set()

    def start(self) -> bool:
        """There is nothing to begin; see :meth:`run`."""
        return False

    def stop(self) -> None:
        """End now."""
        self._ended = True
        self._scope.cancel()

    async def run(self) -> None:
        """Carry, until the connection has ended."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._guard, self._write_all)
                self._after_protocol()
                await self._guard(self._read_all)
                nursery.cancel_scope.cancel()
        self._end(End(Reason.CLOSED_BY_US))

    @trio.lowlevel.enable_ki_protection
    async def _guard(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            if loop == self._write_all and isinstance(error, trio.BrokenResourceError):
                # What the peer wrote before it went can still be read; the end comes with that.
                return
            self._end(self._explain(error))
            self._scope.cancel()

    async def _read_all(self) -> None:
        conn, pipe = self._conn, self._pipe
        while not self._finishing or pipe.takes_rest:
            room = pipe.room_in
            if not room:
                conn.pause(trio.current_time())
                await self._incoming_room.wait()
                conn.resume(trio.current_time())
                continue
            if not conn.has_pending_input:
                data = await self._stream.receive_some(READ_SIZE)
                if self._ended:
                    return  # nobody wants any more what came
                conn.receive(data, trio.current_time())
            self._dispatch(conn.next_events(room))
            if conn.state is State.CLOSED:
                self._end(self._end_of_peer())
                return
            self._after_protocol()
        while await self._stream.receive_some(READ_SIZE):
            pass  # nobody will take it; but unread bytes would make the close a reset
        self._end(End(Reason.CLOSED_BY_US))

    async def _write_all(self) -> None:
        pipe = self._pipe
        while not self._ended:  # what is sent after that is for the next connection
            if self._control:
                data = bytes(self._control)
                self._control.clear()
                await self._stream.send_all(data)
            elif self._subscriptions:
                await self._stream.send_all(self._take_subscriptions())
            elif pipe.has_outgoing:
                await self._write(pipe.take_outgoing(BATCH_MESSAGES, BATCH_BYTES))
            elif self._finishing:
                if pipe.takes_rest and isinstance(self._stream, trio.SocketStream):
                    await self._stream.send_eof()
                    return  # the peer ends its side when it has learnt of this
                await self._say_farewell()
                self._end(End(Reason.CLOSED_BY_US))
                self._scope.cancel()
                return
            else:
                await self._outgoing.wait()

    async def _say_farewell(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            # A close might throw away what the peer has not taken: see FdTraffic.
            await self._stream.send_eof()
            for pause in pauses():
                if not unacknowledged(self._stream.socket.fileno()):
                    break
                await trio.sleep(pause)
        await self._stream.aclose()

    async def _write(self, messages: list[Message]) -> None:
        buffers: list[bytes] = []
        self._conn.encode(messages, buffers)
        written = 0
        try:
            for buffer in buffers:
                await self._stream.send_all(buffer)
                written += len(buffer)
        finally:
            whole = len(messages)
            if written < sum(map(len, buffers)):
                whole, _ = whole_messages(messages, written)
            self._pipe.written(whole, sum(map(size_of, messages[:whole])))
            self._pipe.lost(len(messages) - whole, DropReason.PEER_GONE)

    def _after_protocol(self) -> None:
        """Send what the protocol wants to, and see to its deadline."""
        data = self._conn.data_to_send()
        if data:
            self._control += data
            self._outgoing.set()
        if self._conn.deadline >= self._timer_until:
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
                self._after_protocol()
