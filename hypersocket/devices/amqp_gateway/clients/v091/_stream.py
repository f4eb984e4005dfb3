"""What a connection's tasks write to and read from, with as few detours as the stream allows."""

from __future__ import annotations

import os
from typing import Final

import trio

RECEIVE_SIZE: Final = 64 * 1024
WRITE_SIZE: Final = 1024 * 1024
"""Bytes that are copied and written together; what is longer goes in several calls."""


class DirectStream:
    """A stream, whose socket is used at once where that is plain TCP.

    Between a message and its packet are no other tasks then, nor between a packet and its message.
    Over TLS, and whatever else is a stream, all goes the stream's way.

    Args:
        stream: it stays the caller's, to be closed when nobody reads or writes.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._fd = -1
        if isinstance(stream, trio.SocketStream) and os.name == "posix":
            self._fd = stream.socket.fileno()

    async def receive(self) -> bytes | bytearray:
        """Wait for bytes; none at the end.

        Raises:
            trio.BrokenResourceError: the connection broke.

        Cancelled, it has taken none.
        """
        if self._fd < 0:
            return await self._stream.receive_some(RECEIVE_SIZE)
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            if (data := self.receive_nowait()) is not None:
                return data

    def receive_nowait(self) -> bytes | None:
        """Bytes that are there, where the stream is :attr:`direct`; None if there are none yet.

        Raises:
            trio.BrokenResourceError: the connection broke.
        """
        try:
            return os.read(self._fd, RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    def write(self, data: bytes) -> int:
        """Write what can be without waiting; not while somebody is in :meth:`send_all`.

        Returns:
            How many bytes that were. A connection that broke takes none, and says why to
            :meth:`send_all`.
        """
        if self._fd < 0:
            return 0
        try:
            return os.write(self._fd, data)
        except OSError:
            return 0

    async def send_all(self, parts: list[bytes | memoryview]) -> None:
        """Write all of it, with few calls of the system.

        Raises:
            trio.BrokenResourceError: the connection broke.
        """
        batch: list[bytes | memoryview] = []
        size = 0
        for part in parts:
            batch.append(part)
            size += len(part)
            if size >= WRITE_SIZE:
                await self._stream.send_all(b"".join(batch))
                batch, size = [], 0
        if batch:
            await self._stream.send_all(b"".join(batch))

    @property
    def fd(self) -> int:
        """The descriptor, where the stream is :attr:`direct`."""
        return self._fd

    @property
    def direct(self) -> bool:
        """Whether :meth:`write` can write at all."""
        return self._fd >= 0

    def close(self) -> None:
        """The descriptor is about to be somebody else's."""
        self._fd = -1
