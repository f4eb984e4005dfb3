"""Plain frames between a descriptor and a pipe's queues, many with one system call.

The compiled form is ``_wire.pyx``: it reads into and writes out of memory of its own, where this
makes objects. What can be observed of both is the same; a test drives them side by side.
"""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, Any, Final

from .framing import encode_messages, wire_size
from .queues import Outlet, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._message import Message
    from .framing import FrameDecoder
    from .queues import PipeQueues

EPOLLIN = 1
EPOLLOUT = 4
"""As the ``select`` module has them, where it has them."""

READ_SIZE = 128 * 1024
"""Bytes asked for at once: enough that the cost of a read is shared by many small messages."""

TURN_BYTES = 4 * 1024 * 1024
"""Bytes that one call reads or writes at most, before others have their turn."""

MOST_BUFFERS = 1024
"""What one system call takes: ``IOV_MAX`` of Linux."""

BATCH_BYTES = 64 * 1024
BATCH_MESSAGES = 1024
"""Bounds of what is encoded for one system call."""

CUT_ALL: Final = 0
"""Everything that came was cut, as far as it was read."""
NO_ROOM: Final = 1
"""The pipe has no room; something may be left."""
COMMAND_CAME: Final = 2
"""A command came: it is in :attr:`Wire.command`, and something may be left."""
ENDED: Final = 3
"""The peer has closed its side."""

WRITTEN: Final = 0
"""Everything was written."""
BLOCKED: Final = 1
"""The system takes no more for now."""
TURN_OVER: Final = 2
"""Enough was written for one turn; something is left."""


_shared: list[tuple[list[Message], list[Any]]] = []
"""What a publisher has last encoded: others of its subscribers may have the very same to come."""


def forget_shared() -> None:
    """Hold nothing of what was encoded: what comes next is something else."""
    _shared.clear()


class Wire(Outlet):
    """One connection's messages, from the system to the pipe and back. Nothing here waits.

    It is the connection in a poller's set, too; whatever is not ordinary it leaves to its owner.

    Args:
        fd: a non-blocking stream socket's descriptor.
        pipe: what arrives is put into its inbox, and what it has in its outbox is written.
        decoder: has the bounds, and what came with the handshake; None for one who only writes.
        owner: is told ``found`` what :meth:`read` has answered if it is not CUT_ALL, ``failed``
            what was raised, ``write_failed``, ``write_blocked`` when that has changed, asked to
            ``read_slowly`` where reading is not ordinary, and for ``add_control`` where
            ``has_control`` is set.
        dirty: the poller's list of those who have something to write.
        ring: called when that list was empty before.

    Attributes:
        fd: below zero when it is closed.
        reads: whether reading is ordinary.
        writes: whether it may write.
        blocked: the system takes no more for now.
        eager: whether to write at once what comes, rather than at the next pause.
        flushing: it is being written.
        has_control: whether to ask the owner before the next message.
        heard: set when anything was read.
        command: the body of the command that :meth:`read` has returned for.
        turn_bytes: :data:`TURN_BYTES`.
    """

    def __init__(
        self,
        fd: int,
        pipe: PipeQueues,
        decoder: FrameDecoder | None,
        owner: Any,
        dirty: list[Any],
        ring: Callable[[], None],
    ) -> None:
        self.fd = fd
        self.reads = decoder is not None
        self.writes = False
        self.blocked = False
        self.eager = False
        self.flushing = False
        self.has_control = False
        self.heard = False
        self.command = b""
        self.turn_bytes = TURN_BYTES
        self._pipe = pipe
        self._decoder = decoder
        self._owner = owner
        self._dirty_list = dirty
        self._ring = ring
        self._dirty = False
        self._uncut = True
        self._reading = False
        self._goes_on = False  # the last answer was a command, and the turn is still the same
        self._control: list[bytes] = []
        self._buffers: list[Any] = []  # what is left of what was begun
        self._begun: Message | None = None  # the message that it is of; None for a command

    # In the poller's set

    def ready(self, events: int) -> None:
        """Read and write what can be."""
        if events & ~EPOLLIN and self.blocked:
            self.blocked = False
            self.flush()
            if not self.blocked:
                self._owner.write_blocked()
        if events & ~EPOLLOUT and self.fd >= 0:
            if not self.reads or self._pipe.room_in == 0:
                self._owner.read_slowly()
                return
            try:
                found = self.read()
            except Exception as error:  # noqa: BLE001 - the owner's affair
                self._owner.failed(error)
                return
            if found != CUT_ALL:
                self._owner.found(found)

    def outgoing(self) -> None:
        """There is something to write, and was nothing before."""
        if self.flushing or self._dirty or self.blocked or not self.writes:
            return
        if self.eager:
            self.flush()
            return
        self._dirty = True
        self._dirty_list.append(self)
        if len(self._dirty_list) == 1:
            self._ring()

    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        self._dirty = False
        if self.flushing or self.blocked or not self.writes:
            return
        self.flushing = True
        try:
            while True:
                if self.has_control:
                    self.has_control = False
                    self._owner.add_control()
                found = self.write()
                if found != WRITTEN or not self.has_control:
                    break
        except OSError:
            self._owner.write_failed()
            return
        except Exception as error:  # noqa: BLE001 - the owner's affair
            self._owner.failed(error)
            return
        finally:
            self.flushing = False
        if found != WRITTEN:
            self.blocked = True
            self._owner.write_blocked()

    # In

    def read_no_more(self) -> None:
        """Leave to the owner what comes from now on."""
        self.reads = False

    def read(self) -> int:
        """Cut what is there, and read more, until there is an answer, one of the four above.

        Called from within itself it does nothing: the outer call goes on.

        Raises:
            ProtocolError: the peer broke a rule or a bound; what came before was delivered.
            OSError: the connection is broken.
        """
        if self._reading:
            return CUT_ALL
        self._reading = True
        try:
            return self._read()
        finally:
            self._reading = False

    @property
    def between_messages(self) -> bool:
        """Whether nothing is held of a message, be it uncut or only not yet whole."""
        return self._decoder is None or self._decoder.between_messages()

    def _read(self) -> int:
        # What is read after a command is for the next turn: a peer may write them without end.
        left = 0 if self._goes_on else self.turn_bytes
        self._goes_on = False
        drained = False
        while self.fd >= 0:
            room = self._pipe.room_in
            if room == 0:
                return NO_ROOM
            if self._uncut:
                if self._cut(room):
                    self._goes_on = True
                    return COMMAND_CAME
                continue
            if drained or left <= 0:
                return CUT_ALL
            try:
                data = os.read(self.fd, READ_SIZE)
            except BlockingIOError:
                return CUT_ALL
            if not data:
                return ENDED
            self.heard = True
            drained = len(data) < READ_SIZE
            left -= len(data)
            assert self._decoder is not None
            self._decoder.feed(data)
            self._uncut = True
        return CUT_ALL

    def _cut(self, room: int) -> bool:
        assert self._decoder is not None
        messages: list[Message] = []
        try:
            command = self._decoder.decode(messages, room)
        finally:
            if messages:
                self._pipe.deliver(messages)
        if command is not None:
            self.command = command
            return True
        self._uncut = len(messages) == room
        return False

    # Out

    @property
    def has_outgoing(self) -> bool:
        """Whether something is left to write."""
        some = self.has_control or self._buffers or self._control
        return bool(some) or self._pipe.has_outgoing

    def add_control(self, data: bytes) -> None:
        """Have whole frames written before the next message."""
        self._control.append(data)

    def write(self) -> int:
        """Write until there is an answer, one of the last three above.

        Raises:
            OSError: the connection is broken.
        """
        written = 0
        while self.fd >= 0:
            batch: list[Message] = []
            if not self._buffers:
                batch = self._fill()
                if not self._buffers:
                    return WRITTEN
            if written >= self.turn_bytes:
                self._forget(batch)
                return TURN_OVER
            try:
                count = os.writev(self.fd, self._buffers[:MOST_BUFFERS])
            except BlockingIOError:
                self._forget(batch)
                return BLOCKED
            except OSError:
                self._forget(batch)
                raise
            written += count
            self._wrote(batch, count)
        return WRITTEN

    def _fill(self) -> list[Message]:
        """Encode what is next, and return the messages, which stay where they are."""
        if self._control:
            self._buffers = [b"".join(self._control)]
            self._control.clear()
            return []
        batch = self._pipe._look(BATCH_MESSAGES, BATCH_BYTES)
        if not self._pipe.shares:
            encode_messages(batch, self._buffers)
        elif _shared and _same(_shared[0][0], batch):
            self._buffers[:] = _shared[0][1]
        elif batch:
            encode_messages(batch, self._buffers)
            _shared[:] = [(batch[:], self._buffers[:])]
        return batch

    def _forget(self, batch: list[Message]) -> None:
        if batch:
            self._buffers.clear()

    def _wrote(self, batch: list[Message], count: int) -> None:
        """So many bytes went out, of a batch or of what was begun before."""
        pipe = self._pipe
        if not batch:
            self._skip(count)
            if not self._buffers and self._begun is not None:
                message, self._begun = self._begun, None
                pipe.written(1, size_of(message))
            return
        self._buffers.clear()
        whole = 0
        size = 0
        while whole < len(batch) and (needed := wire_size(batch[whole])) <= count:
            count -= needed
            size += size_of(batch[whole])
            whole += 1
        pipe._went_out(whole, size)
        if count:
            begun: Message = pipe.take_outgoing(1, 1)[0]
            self._begun = begun
            encode_messages([begun], self._buffers)
            self._skip(count)
        if whole:
            pipe.room_again()

    def _skip(self, count: int) -> None:
        buffers = self._buffers
        while buffers and count >= len(buffers[0]):
            count -= len(buffers.pop(0))
        if count:
            buffers[0] = memoryview(buffers[0])[count:]

    def close(self) -> None:
        """Use the descriptor no more, and give back what was written in part."""
        self.fd = -1
        self._control.clear()
        self._buffers.clear()
        if self._begun is not None:
            message, self._begun = self._begun, None
            self._pipe.put_back([message], True)


def _same(one: list[Message], other: list[Message]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))
