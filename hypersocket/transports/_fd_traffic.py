"""Traffic by the socket's own poller: no task for the connection, and none between it and the user.

Reading and writing are single system calls that never wait, made by whichever task leads. What is
here serves connections of any mechanism; those whose frames are plain have a shorter way, in
``_wire_traffic.py``.
"""

from __future__ import annotations

import math
import os
import select
import socket
from collections.abc import Callable
from typing import Any

import trio

from .._message import Message, size_of
from .._reasons import Reason
from ..zmtp import Connection, State
from ._contract import Host
from ._pipe import Pipe
from ._poller import Channel, Poller
from ._traffic import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    READ_SIZE,
    End,
    Traffic,
    pauses,
    unacknowledged,
    unread,
    whole_messages,
)

MOST_BUFFERS = 1024
"""What one system call takes: ``IOV_MAX`` of Linux."""

TURN_BYTES = 4 * 1024 * 1024
"""Bytes that one flush writes to a peer that takes all at once, before others have their turn."""

QUIET = 0.25
"""Seconds to wait, before a peer is told of our end, for it to be between two messages."""

TAKES_TURNS = frozenset({"REQ", "REP"})
"""Types that send one message and then wait: nothing is gained by collecting what they send."""


class FdTraffic(Traffic):
    """One connection as a channel of the socket's poller.

    Args:
        stream: over a socket; it is closed at the end.
        poller: the socket's.
    """

    def __init__(
        self,
        host: Host,
        conn: Connection,
        pipe: Pipe,
        endpoint: str,
        on_end: Callable[[End], None],
        *,
        stream: trio.SocketStream,
        poller: Poller,
    ) -> None:
        super().__init__(host, conn, pipe, endpoint, on_end)
        self._stream = stream
        self._fd = stream.socket.fileno()
        self._poller = poller
        self._eager = host.socket_type in TAKES_TURNS
        self._reads = True
        self._writes = False  # not before it has started, nor after our end was told
        self._awaits_writable = False
        self._wanted = (True, False)
        self._write_broken = False
        self._flushing = False
        self._dirty = False
        self._control = bytearray()
        self._buffers: list[Any] = []  # bytes, or what is left of some
        self._batch: list[Message] = []
        self._batch_written = 0
        self._timer = -1
        self._timer_at = math.inf
        self._patient_until = 0.0

    def start(self) -> bool:
        """Join the poller."""
        if not self._ended:
            self._poller.add(self._fd, self._channel())
            self._let_write(True)
            self._after_protocol()
            self._digest()
            self.flush()
        return True

    def _channel(self) -> Channel:
        """What the poller serves."""
        return self

    def _let_write(self, allowed: bool) -> None:
        self._writes = allowed

    def _is_blocked(self) -> bool:
        """Whether the system takes no more for now."""
        return self._awaits_writable

    # Ending

    def stop(self) -> None:
        """End now: give back what was not written, and close."""
        self._ended = True
        if self._fd < 0:
            return
        self._let_write(False)
        self._poller.cancel(self._timer)
        self._poller.remove(self._fd)
        self._fd = -1
        self._settle()
        self._stream.socket.close()

    def _settle(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            whole, rest = whole_messages(batch, self._batch_written)
            self._pipe.written(whole, sum(map(size_of, batch[:whole])))
            self._pipe.put_back(batch[whole:], rest > 0)

    def _fail(self, error: Exception) -> None:
        self._end(self._explain(error))

    def finish(self, deadline: float) -> None:
        """Write what is left, say that no more comes, and end by ``deadline``."""
        self._finishing = True
        self._reads = True  # even where nobody takes it: see _delivered
        now = trio.current_time()
        self._patient_until = now + min(QUIET, (deadline - now) / 2)
        self.flush()
        self._want()
        self._host.start_soon(self._finish, deadline)

    async def _finish(self, deadline: float) -> None:
        with trio.move_on_at(deadline):
            for pause in pauses():
                if self._ended or self._delivered():
                    break
                await trio.sleep(pause)
        self._end(End(Reason.CLOSED_BY_US))

    def _delivered(self) -> bool:
        """Whether the peer has what was written; until then, a close might throw some away.

        TCP does so while the peer still writes, which is why reading goes on meanwhile. Over a
        Unix domain socket the peer has what it has read: libzmq, while its queue is full, takes a
        close for an error and reads no more.
        """
        if self._write_broken and not self._pipe.takes_rest:
            return True
        if self._unwritten():
            return False
        if self._pipe.takes_rest and not self._is_good_time():
            return False
        self._let_write(False)
        try:
            self._stream.socket.shutdown(socket.SHUT_WR)
        except OSError:
            # The peer has gone. What it wrote before is still to be read, if anybody wants it.
            return not self._pipe.takes_rest
        if self._pipe.takes_rest:
            return False  # the peer ends its side when it has learnt of this
        return not unacknowledged(self._fd)

    def _unwritten(self) -> bool:
        """Whether messages wait to be written."""
        return bool(self._buffers) or self._pipe.has_outgoing

    def _is_good_time(self) -> bool:
        """Whether the peer is probably between two messages.

        libzmq forgets a message that it has begun to write when it learns of our end.
        """
        if trio.current_time() >= self._patient_until:
            return True
        return self._between_messages() and self._pipe.room_in > 0 and not unread(self._fd)

    def _between_messages(self) -> bool:
        """Whether nothing is held of a message that has not come whole."""
        return self._conn.between_messages

    # Reading

    def ready(self, events: int) -> None:
        """Read and write what can be."""
        if events & ~select.EPOLLIN and self._awaits_writable:
            self._awaits_writable = False
            self.flush()
        if events & ~select.EPOLLOUT and self._fd >= 0:
            self._read()

    def _read(self) -> None:
        try:
            if self._finishing and not self._pipe.takes_rest:
                if not os.read(self._fd, READ_SIZE):
                    self._end(End(Reason.CLOSED_BY_US))
                return  # nobody will take it; but unread bytes would make the close a reset
            if not self._pipe.room_in:
                self._conn.pause(trio.current_time())
                self._reads = False
                self._want()
                return
            self._receive()
        except BlockingIOError:
            return
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)
            return
        self._digest()
        if self._finishing and not self._ended:
            self._delivered()  # it may be the time to tell the peer

    def _receive(self) -> None:
        """Read once. Raises what the system does."""
        self._conn.receive(os.read(self._fd, READ_SIZE), trio.current_time())

    def _digest(self) -> None:
        conn, pipe = self._conn, self._pipe
        try:
            while not self._ended and conn.has_pending_input and (room := pipe.room_in):
                self._dispatch(conn.next_events(room))
                if conn.state is State.CLOSED:
                    self._end(self._end_of_peer())
                    return
            self._after_protocol()
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)

    @trio.lowlevel.enable_ki_protection
    def incoming_room(self) -> None:
        """The pipe can take messages again."""
        if self._ended:
            return
        if not self._reads:
            self._reads = True
            self._conn.resume(trio.current_time())
        self._digest()
        self._want()

    def _after_protocol(self) -> None:
        """Send what the protocol wants to, and see to its deadline."""
        if self._ended:
            return
        data = self._conn.data_to_send()
        if data:
            self._control += data
            self.outgoing()
        deadline = self._conn.deadline
        if deadline < self._timer_at:
            self._poller.cancel(self._timer)
            self._timer_at = deadline
            self._timer = self._poller.call_at(deadline, self)

    def time_is_up(self, now: float) -> None:
        """A deadline that was asked for has come."""
        self._timer_at = math.inf
        if self._ended or self._finishing:
            return  # its end has a deadline already, and what the peer says is no longer heard
        try:
            self._note_life()
            if now >= self._conn.deadline:
                self._conn.on_timer(now)
            self._after_protocol()
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)

    def _note_life(self) -> None:
        """Tell the protocol that the peer was heard, where it does not know."""

    # Writing

    def outgoing(self) -> None:
        """There is something to write."""
        if self._flushing or self._dirty or self._awaits_writable or not self._writes:
            return
        if self._eager:
            self.flush()
        else:
            self._dirty = True
            self._poller.flush_soon(self)

    @trio.lowlevel.enable_ki_protection
    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        self._dirty = False
        if self._flushing or self._awaits_writable or self._write_broken or not self._writes:
            return
        self._flushing = True
        try:
            self._awaits_writable = not self._write()
        except OSError:
            # What the peer wrote before it went can still be read; the end comes with that.
            self._write_broken = True
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)
        finally:
            self._flushing = False
        self._want()

    def _write(self) -> bool:
        """Write; False if something is left. Raises what the system does."""
        written = 0
        while self._buffers or self._fill():
            if written >= TURN_BYTES:
                return False
            try:
                count = os.writev(self._fd, self._buffers[:MOST_BUFFERS])
            except BlockingIOError:
                return False
            written += count
            self._wrote(count)
        return True

    def _fill(self) -> bool:
        """Encode what is next, if there is anything."""
        if self._control:
            self._buffers = [bytes(self._control)]
            self._control.clear()
        elif self._subscriptions:
            self._buffers = [self._take_subscriptions()]
        elif self._pipe.has_outgoing and not self._ended:
            self._batch = self._pipe.take_outgoing(BATCH_MESSAGES, BATCH_BYTES)
            self._batch_written = 0
            self._conn.encode(self._batch, self._buffers)
        else:
            return False
        return True

    def _wrote(self, count: int) -> None:
        self._batch_written += count
        buffers = self._buffers
        done = 0
        for buffer in buffers:
            if count < len(buffer):
                break
            count -= len(buffer)
            done += 1
        del buffers[:done]
        if buffers:
            if count:
                buffers[0] = memoryview(buffers[0])[count:]
            return
        if self._batch:
            batch, self._batch = self._batch, []
            self._pipe.written(len(batch), sum(map(size_of, batch)))

    def _want(self) -> None:
        wanted = (self._reads, self._is_blocked())
        if wanted != self._wanted and self._fd >= 0:
            self._wanted = wanted
            try:
                self._poller.want(self._fd, read=wanted[0], write=wanted[1])
            except OSError as error:
                self._fail(error)
