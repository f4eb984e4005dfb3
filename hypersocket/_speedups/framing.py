"""The frames of ZMTP 3: cutting messages out of bytes, and making bytes of messages.

This module knows frames, messages and their bounds, and no more: what a command means is decided
above. It is plain in style because it is also meant to be compiled.

The layout of a frame is in RFC 37, section "Framing": one octet of flags, a size of one octet or
of eight in network order, and the body.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from .._errors import MessageTooLarge, ProtocolError
from .._memory import KEEPS
from .._message import Buffer, Message
from .._reasons import Reason

MORE = 1
LONG = 2
COMMAND = 4

LARGE = 64 * 1024
"""Bytes from which a body is handed on as itself when encoding, instead of being copied."""

# A body shorter than this is waited for in the common buffer. A longer one that is not complete
# gets a buffer of its own, so that no byte of it is copied twice however small the pieces are.
_GATHER = 8 * 1024

_NO_LIMIT = 1 << 63

# How many messages may have been freed before the next ones come, for `keep_freed`.
_FREED_AT_ONCE = 8
_LEAST_KEPT = 4 * 1024 * 1024
# glibc learns from no block of more than 32 MiB.
_MOST_KEPT = 32 * 1024 * 1024 - 64 * 1024
_kept = [0 if KEEPS else _MOST_KEPT]

_LAST_HEADERS = tuple(bytes((0, size)) for size in range(256))
_MORE_HEADERS = tuple(bytes((MORE, size)) for size in range(256))


def frame_header(flags: int, size: int) -> bytes:
    """The header of a frame; ``LONG`` is added to ``flags`` when ``size`` asks for it."""
    if size < 256:
        return bytes((flags, size))
    return bytes((flags | LONG,)) + size.to_bytes(8, "big")


def encode_command(body: bytes) -> bytes:
    """One command frame around ``body``, which begins with the command's name."""
    return frame_header(COMMAND, len(body)) + body


def encode_messages(messages: Iterable[Message], out: list[Any]) -> None:
    """Append to ``out`` the buffers that carry ``messages``, ready to be written in order.

    Small frames are joined into one ``bytes``; a body of :data:`LARGE` bytes or more is appended
    as it is, without a copy.
    """
    small: list[bytes] = []
    add = small.append
    last = _LAST_HEADERS
    for message in messages:
        if type(message) is bytes:
            size = len(message)
            if size < 256:
                add(last[size])
                add(message)
                continue
            add(frame_header(0, size))
            if size < LARGE:
                add(message)
                continue
            out.append(b"".join(small))
            out.append(message)
            small.clear()
            continue
        left = len(message)
        for frame in message:
            left -= 1
            size = len(frame)  # type: ignore[arg-type]
            if size < 256:
                add(_MORE_HEADERS[size] if left else last[size])
            else:
                add(frame_header(MORE if left else 0, size))
                if size >= LARGE:
                    out.append(b"".join(small))
                    out.append(frame)
                    small.clear()
                    continue
            add(frame)  # type: ignore[arg-type]
    if small:
        out.append(b"".join(small))


def wire_size(message: Message) -> int:
    """How many bytes carry a message."""
    if type(message) is bytes:
        size = len(message)
        return size + 2 if size < 256 else size + 9
    total = 0
    for frame in message:
        size = len(frame)  # type: ignore[arg-type]
        total += size + 2 if size < 256 else size + 9
    return total


def keep_freed(size: int) -> None:
    """Have glibc keep for the next messages what messages of ``size`` bytes leave when freed.

    By itself it keeps at the top of the heap twice the longest block that was ever freed, and
    gives back what is more: of a stream of large messages the system then takes away, clears and
    maps again a good part of the pages, which costs as much as to copy them. Freeing a longer
    block, which nobody has touched and so has no memory, teaches it to keep more. It does not
    learn where the program or its environment has set that bound.
    """
    wanted = min(max(_FREED_AT_ONCE * size, _LEAST_KEPT), _MOST_KEPT)
    if wanted <= _kept[0]:
        return
    wanted = _kept[0] = min(1 << (wanted - 1).bit_length(), _MOST_KEPT)
    try:
        bytes(wanted)
    except MemoryError:  # an address space without room for that; things stay as they are
        return


class FrameDecoder:
    """Cuts frames and messages out of a stream of bytes, within bounds.

    Every bound is checked on a frame's header, before a byte of its body is stored.

    Args:
        max_message_size: bytes in all frames of one message.
        max_frames: frames in one message.
        max_command_size: bytes in the body of a command.
        max_topic_size: bytes of topic in a single-part message that begins with an octet of 0 or
            1; below zero when such messages are nothing special here.
        topics_only: nothing but topics is expected, so that their bound holds for any message.
    """

    def __init__(
        self,
        max_message_size: int,
        max_frames: int,
        max_command_size: int,
        max_topic_size: int = -1,
        topics_only: bool = False,
    ) -> None:
        # What has more bytes than a size can count is refused like any other that is too large.
        max_message_size = min(max_message_size, sys.maxsize)
        self._max_message_size = max_message_size
        self._max_frames = max_frames
        self._max_command_size = min(max_command_size, sys.maxsize)
        # One octet says whether the topic is subscribed to or given up.
        self._max_topic_message = max_topic_size + 1 if max_topic_size >= 0 else _NO_LIMIT
        self._topics_only = topics_only
        # A short message up to this size passes every bound, so the fast path need not look.
        self._always_fits = min(max_message_size, self._max_topic_message)
        if max_frames < 1:
            self._always_fits = -1

        # Bytes wait in three places, in this order: the long body being gathered, the chunk that
        # is being cut, and what came while that chunk still had uncut frames.
        self._body: bytearray | None = None
        self._body_flags = 0
        self._missing = 0
        self._data: bytes = b""
        self._pos = 0
        self._later: bytearray = bytearray()

        # The frames so far of a multipart message, and their bytes.
        self._parts: list[bytes] | None = None
        self._parts_size = 0

    def feed(self, data: Buffer) -> None:
        """Store bytes from the peer; an empty ``data`` changes nothing."""
        chunk: bytes = data if isinstance(data, bytes) else bytes(data)
        if self._missing:
            body = self._body
            assert body is not None
            size = len(chunk)
            if size <= self._missing:
                body += chunk
                self._missing -= size
                return
            body += memoryview(chunk)[: self._missing]
            chunk = chunk[self._missing :]
            self._missing = 0
        if self._pos == len(self._data) and not self._later:
            self._data = chunk
            self._pos = 0
        else:
            self._later += chunk

    def has_data(self) -> bool:
        """Whether bytes are stored that were not cut yet, an unfinished long body apart."""
        if self._body is not None:
            return self._missing == 0
        return self._pos < len(self._data) or len(self._later) > 0

    def between_messages(self) -> bool:
        """Whether nothing is held of a message, be it uncut or only not yet whole."""
        begun = self._body is not None or self._parts is not None
        return not begun and not self.has_data()

    def largest_frame(self) -> int:
        """Bytes that the body of the next frame may have by any of the bounds."""
        return max(self._max_message_size - self._parts_size, self._max_command_size)

    def give_rest(self) -> bytes:
        """Hand over all that is stored, to be cut by somebody else; nothing may be begun."""
        self._merge()
        rest = self._data[self._pos :]
        self._data = b""
        self._pos = 0
        return rest

    def peek(self, size: int) -> bytes:
        """Up to ``size`` of the next bytes, which stay stored. For what precedes the frames."""
        self._merge()
        return self._data[self._pos : self._pos + size]

    def skip(self, size: int) -> None:
        """Drop ``size`` bytes that :meth:`peek` has shown."""
        self._pos += size

    def decode(self, out: list[Any], limit: int) -> bytes | None:
        """Append whole messages to ``out``, at most ``limit``, up to the next command.

        Returns:
            The body of a command that came after those messages, or None when there is no whole
            frame left or ``limit`` is reached.

        Raises:
            ProtocolError: a malformed frame, or one that passes a bound; the messages before it
                are in ``out``. The decoder is of no further use.
        """
        append = out.append
        always_fits = self._always_fits
        data = self._data
        pos = self._pos
        end = len(data)
        # A message begun, or a body being gathered, belongs before what is in the chunk.
        plain = self._parts is None and self._body is None
        while limit > 0:
            if plain and pos + 2 <= end and data[pos] == 0:
                size = data[pos + 1]
                start = pos + 2
                stop = start + size
                if stop <= end and size <= always_fits:
                    append(data[start:stop])
                    pos = stop
                    limit -= 1
                    continue
            self._pos = pos
            frame = self._next_frame(-1, Reason.BAD_FRAME)
            data = self._data
            pos = self._pos
            end = len(data)
            if frame is None:
                return None
            flags, body = frame
            if flags & COMMAND:
                return body
            parts = self._parts
            if flags & MORE:
                if parts is None:
                    self._parts = [body]
                else:
                    parts.append(body)
                self._parts_size += len(body)
                plain = False
                continue
            if parts is None:
                append(body)
            else:
                parts.append(body)
                append(parts)
                self._parts = None
                self._parts_size = 0
            plain = True
            limit -= 1
        self._pos = pos
        return None

    def next_frame(self, max_size: int, reason: Reason) -> tuple[int, bytes] | None:
        """Cut one frame, whatever it carries, into its flags and body.

        Args:
            max_size: bytes that its body may have.
            reason: what to give as the reason when it has more.

        Returns:
            None when no whole frame is there yet.

        Raises:
            ProtocolError: the frame is malformed or too large.
        """
        return self._next_frame(max_size, reason)

    def _next_frame(self, max_size: int, reason: Reason) -> tuple[int, bytes] | None:
        if self._body is not None:
            if self._missing:
                return None
            whole = bytes(self._body)
            self._body = None
            if len(whole) >= LARGE:
                keep_freed(len(whole))
            return self._body_flags, whole
        while True:
            frame = self._cut(max_size, reason)
            if frame is not None or not self._later:
                return frame
            self._merge()

    def _cut(self, max_size: int, reason: Reason) -> tuple[int, bytes] | None:
        """Cut a frame out of the chunk; where it ends early, begin to gather a long body."""
        data = self._data
        pos = self._pos
        have = len(data) - pos
        if not have:
            return None
        flags = data[pos]
        if flags > 7:
            raise ProtocolError(f"reserved bits are set in frame flags 0x{flags:02x}")
        if flags & COMMAND and flags & MORE:
            raise ProtocolError("a command frame cannot have more frames follow it")
        header = 9 if flags & LONG else 2
        if have < header:
            return None
        start = pos + header
        size = int.from_bytes(data[pos + 1 : start], "big")
        if size >= _NO_LIMIT:
            raise ProtocolError("a frame's size has its topmost bit set")
        if max_size < 0:
            self._check_bounds(flags, size, data[start] if have > header else -1)
        elif size > max_size:
            raise _too_large(size, max_size, reason)
        if have - header >= size:
            self._pos = start + size
            return flags, data[start : start + size]
        # The first byte of a body has to be seen here, since it tells a topic.
        if size >= _GATHER and have > header and not self._later:
            self._body = bytearray(memoryview(data)[start:])
            self._body_flags = flags
            self._missing = size - (have - header)
            self._data = b""
            self._pos = 0
        return None

    def _check_bounds(self, flags: int, size: int, first: int) -> None:
        if flags & COMMAND:
            if size > self._max_command_size:
                raise _too_large(size, self._max_command_size, Reason.COMMAND_TOO_LARGE)
            return
        parts = self._parts
        if (0 if parts is None else len(parts)) >= self._max_frames:
            raise ProtocolError(
                f"a message has more than {self._max_frames} frames", Reason.TOO_MANY_FRAMES
            )
        total = self._parts_size + size
        # In this order, so that the reason is the same whether or not the first byte came along.
        if self._topics_only and total > self._max_topic_message:
            raise _too_large(total - 1, self._max_topic_message - 1, Reason.TOPIC_TOO_LONG)
        if total > self._max_message_size:
            raise _too_large(total, self._max_message_size, Reason.MESSAGE_TOO_LARGE)
        alone = parts is None and not flags & MORE
        if alone and 0 <= first <= 1 and total > self._max_topic_message:
            raise _too_large(total - 1, self._max_topic_message - 1, Reason.TOPIC_TOO_LONG)

    def _merge(self) -> None:
        if self._later:
            self._data = self._data[self._pos :] + self._later
            self._pos = 0
            self._later = bytearray()


def _too_large(size: int, bound: int, reason: Reason) -> ProtocolError:
    text = f"{reason}: {size} bytes announced, {bound} allowed"
    if reason == Reason.MESSAGE_TOO_LARGE:
        return MessageTooLarge(text)
    return ProtocolError(text, reason)
