"""Writing to a stream, with exact knowledge of which messages went out whole."""

from __future__ import annotations

import socket
import sys

import trio

from .._message import Message, size_of
from .._reasons import DropReason
from ._pipe import Pipe

_SHORT_FRAME = 255


class StreamWriter:
    """Writes buffers to a stream, one task at a time.

    On a socket it counts the bytes that the system took, so that messages which surely did not go
    out whole can go out on the next connection. Other streams do not tell; there, what was under
    way when the connection broke is counted as dropped.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None

    async def send(self, data: bytes) -> None:
        """Write all of ``data``."""
        await self._stream.send_all(data)

    async def send_messages(
        self, pipe: Pipe, messages: list[Message], buffers: list[bytes]
    ) -> None:
        """Write ``buffers``, the encoded ``messages``, and account for them with the pipe.

        Also when cancelled, or when the stream breaks: the pipe then gets back what was surely
        not written whole.
        """
        written = 0
        try:
            for buffer in buffers:
                if self._socket is None:
                    await self._stream.send_all(buffer)
                    written += len(buffer)
                else:
                    with memoryview(buffer) as view:
                        start = 0
                        while start < len(view):
                            count = await self._socket.send(view[start:])
                            start += count
                            written += count
        except BaseException as error:
            self._settle(pipe, messages, written)
            if isinstance(error, OSError):
                raise trio.BrokenResourceError(f"connection broken: {error}") from error
            raise
        pipe.written(len(messages), sum(map(size_of, messages)))

    def _settle(self, pipe: Pipe, messages: list[Message], written: int) -> None:
        whole = 0
        size = 0
        for message in messages:
            written -= _wire_size(message)
            if written < 0:
                break
            whole += 1
            size += size_of(message)
        pipe.written(whole, size)
        rest = messages[whole:]
        if self._socket is None:
            pipe.lost(len(rest), DropReason.PEER_GONE)
        else:
            pipe.put_back(rest)

    async def finish(self) -> None:
        """Tell the peer that no more comes, and wait until it has what was written.

        A close while the peer still writes makes TCP throw away what it had not delivered yet;
        so the caller goes on reading meanwhile, and limits the time. Over a Unix domain socket
        the peer has what it has read: libzmq, while its queue is full, takes a close for an error
        and reads no more.
        """
        if self._socket is None:
            await self._stream.aclose()
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the peer has gone
        pause = 0.001
        while self._unacknowledged():
            await trio.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _unacknowledged(self) -> bool:
        if sys.platform != "linux" or self._socket is None:
            return False
        import fcntl
        import struct
        import termios

        answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return bool(struct.unpack("i", answer)[0])


def _wire_size(message: Message) -> int:
    frames = [message] if isinstance(message, bytes) else message
    return sum(len(frame) + (2 if len(frame) <= _SHORT_FRAME else 9) for frame in frames)
