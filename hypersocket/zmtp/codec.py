"""How traffic becomes bytes: in plain frames, or in frames that a mechanism wraps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._errors import ProtocolError
from .._message import Message, frames_of
from .._reasons import Reason
from .._speedups import (
    COMMAND,
    LARGE,
    MORE,
    FrameDecoder,
    encode_command,
    encode_messages,
    frame_header,
)
from .commands import SUBSCRIBE_OVERHEAD, WITH_SUBSCRIBERS
from .limits import Limits
from .mechanism import Mechanism


def make_decoder(limits: Limits, socket_type: str) -> FrameDecoder:
    """A decoder with the bounds that hold for what a local socket of this type may be sent."""
    command = limits.max_command_size
    topic = -1
    if socket_type in WITH_SUBSCRIBERS:
        topic = limits.max_topic_size
        command = max(command, topic + SUBSCRIBE_OVERHEAD)
    return FrameDecoder(
        limits.max_message_size, limits.max_frames, command, topic, socket_type == "PUB"
    )


class PlainCodec:
    """Traffic as it is, for transparent mechanisms."""

    def __init__(self, decoder: FrameDecoder) -> None:
        self.decode = decoder.decode
        self.has_data = decoder.has_data
        self.between_messages = decoder.between_messages

    def encode(self, messages: Iterable[Message], out: list[bytes]) -> None:
        """Append the buffers that carry ``messages``."""
        encode_messages(messages, out)

    def encode_command(self, body: bytes) -> bytes:
        """The bytes that carry a command."""
        return encode_command(body)


class WrappedCodec:
    """Each frame inside a frame of the mechanism's own.

    What is unwrapped goes through a second decoder, so that the same rules and bounds hold for it
    as for plain frames.

    RFC 37 has the outer frame be a command, and so do we. libzmq sends a message frame and takes
    either, and so do we.
    """

    def __init__(
        self, decoder: FrameDecoder, mechanism: Mechanism, limits: Limits, socket_type: str
    ) -> None:
        self._outer = decoder
        self._inner = make_decoder(limits, socket_type)
        self._mechanism = mechanism
        self._overhead = mechanism.overhead

    def decode(self, out: list[Any], limit: int) -> bytes | None:
        """As :meth:`FrameDecoder.decode <hypersocket._speedups.framing.FrameDecoder.decode>`."""
        full = len(out) + limit
        while True:
            command = self._inner.decode(out, full - len(out))
            if command is not None or len(out) >= full:
                return command
            bound = self._inner.largest_frame() + self._overhead
            frame = self._outer.next_frame(bound, Reason.MESSAGE_TOO_LARGE)
            if frame is None:
                return None
            if frame[0] & MORE:
                raise ProtocolError("a wrapped frame cannot have more frames follow it")
            flags, body = self._mechanism.unwrap(frame[1])
            self._inner.feed(frame_header(flags & (MORE | COMMAND), len(body)) + body)

    def has_data(self) -> bool:
        """Whether bytes wait that were not cut yet."""
        return self._inner.has_data() or self._outer.has_data()

    def between_messages(self) -> bool:
        """Whether nothing is held of a message, be it uncut or only not yet whole."""
        return self._inner.between_messages() and self._outer.between_messages()

    def encode(self, messages: Iterable[Message], out: list[bytes]) -> None:
        """Append the buffers that carry ``messages``."""
        small: list[bytes] = []
        for message in messages:
            frames = frames_of(message)
            left = len(frames)
            for frame in frames:
                left -= 1
                body = self._mechanism.wrap(MORE if left else 0, frame)
                small.append(frame_header(COMMAND, len(body)))
                if len(body) < LARGE:
                    small.append(body)
                else:
                    out.append(b"".join(small))
                    out.append(body)
                    small.clear()
        if small:
            out.append(b"".join(small))

    def encode_command(self, body: bytes) -> bytes:
        """The bytes that carry a command."""
        return encode_command(self._mechanism.wrap(COMMAND, body))
