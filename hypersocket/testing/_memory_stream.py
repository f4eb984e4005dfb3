"""A byte stream in memory that can be slowed, stalled, broken and lied to."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

import trio


class Wire:
    """One direction of a connection: bytes under way, as many as its window takes."""

    def __init__(self, window: int) -> None:
        self.delay = 0.0
        self._window = window
        self._chunks: deque[tuple[float, bytearray]] = deque()  # when it arrives, and what
        self._under_way = 0
        self._ended = False  # the writer has closed: what is under way still arrives
        self._abandoned = False  # the reader has closed
        self._broken = False
        self._stalled = False
        self._changed = trio.lowlevel.ParkingLot()

    def _tell(self) -> None:
        self._changed.unpark_all()

    def put(self, data: bytes) -> None:
        """Let ``data`` arrive after :attr:`delay`, whatever the window."""
        if data and not self._broken:
            self._chunks.append((trio.current_time() + self.delay, bytearray(data)))
            self._under_way += len(data)
            self._tell()

    def end(self) -> None:
        """No more is written."""
        self._ended = True
        self._tell()

    def abandon(self) -> None:
        """No more is read."""
        self._abandoned = True
        self._chunks.clear()
        self._tell()

    def cut(self) -> None:
        """Break it for both sides; what is under way is lost."""
        self._broken = True
        self._chunks.clear()
        self._tell()

    def stall(self, stalled: bool) -> None:
        """Let nothing arrive, or let all arrive again."""
        self._stalled = stalled
        self._tell()

    def check_writable(self) -> None:
        """Raise what a writer is to be told."""
        if self._ended:
            raise trio.ClosedResourceError("this side was closed")
        if self._broken or self._abandoned:
            raise trio.BrokenResourceError("the connection was lost")

    async def wait_room(self) -> int:
        """Wait until the window is open; returns for how many bytes."""
        while True:
            self.check_writable()
            if room := max(0, self._window - self._under_way):
                return room
            await self._changed.park()

    async def read(self, max_bytes: int) -> bytes:
        """Wait for bytes that have arrived, or for the end."""
        while True:
            if self._abandoned:
                raise trio.ClosedResourceError("this side was closed")
            if self._broken:
                raise trio.BrokenResourceError("the connection was lost")
            arrival = self._chunks[0][0] if self._chunks else float("inf")
            if self._stalled:
                arrival = float("inf")
            elif arrival <= trio.current_time():
                return self._take(max_bytes)
            elif self._ended and not self._chunks:
                return b""
            with trio.move_on_at(arrival):
                await self._changed.park()

    def _take(self, max_bytes: int) -> bytes:
        chunk = self._chunks[0][1]
        data = bytes(chunk[:max_bytes])
        del chunk[:max_bytes]
        if not chunk:
            self._chunks.popleft()
        self._under_way -= len(data)
        self._tell()
        return data


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory.

    Args:
        incoming: what the other end writes.
        outgoing: what this end writes.
    """

    def __init__(self, incoming: Wire, outgoing: Wire) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._sending = False
        self._receiving = False

    @contextmanager
    def _one_sender(self) -> Generator[None, None, None]:
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            yield
        finally:
            self._sending = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; waits while the window is full.

        Cancelled, it may have sent a part.
        """
        with self._one_sender():
            await trio.lowlevel.checkpoint()
            self._outgoing.check_writable()
            with memoryview(data) as view:
                start = 0
                while start < len(view):
                    room = await self._outgoing.wait_room()
                    self._outgoing.put(bytes(view[start : start + room]))
                    start += room

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the window is open."""
        with self._one_sender():
            await trio.lowlevel.checkpoint()
            await self._outgoing.wait_room()

    async def send_eof(self) -> None:
        """Send no more; the other end reads what is under way, then the end."""
        with self._one_sender():
            await trio.lowlevel.checkpoint()
            self._outgoing.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; ``b""`` is the end. Cancelled, it has taken none."""
        if max_bytes is None:
            max_bytes = 1 << 16
        elif not isinstance(max_bytes, int):
            raise TypeError("max_bytes must be a whole number")
        elif max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            return await self._incoming.read(max_bytes)
        finally:
            self._receiving = False

    async def aclose(self) -> None:
        """Close this end, also when cancelled. What it sent still arrives."""
        self._outgoing.end()
        self._incoming.abandon()
        await trio.lowlevel.checkpoint()
