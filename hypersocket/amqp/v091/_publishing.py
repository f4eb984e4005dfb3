"""Publications as frames, packed by hand: a message costs half a microsecond."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from .._types import NO_PROPERTIES, Publication, Target
from ._methods import END, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, frame
from ._properties import encode
from ._values import short_string

_PUBLISH: Final = b"\x00\x3c\x00\x28\x00\x00"  # Basic.Publish, and the ticket that nobody uses
_HEADER: Final = struct.Struct("!BHIHHQ")  # up to and with the size of the body
_FRAME_HEAD: Final = struct.Struct("!BHI")
_CLASS_BASIC: Final = 60
_MAX_TARGETS: Final = 1024  # remembered; topics with more keys than that start anew


class Publisher:
    """Packs what one channel publishes.

    Args:
        channel: its number.
        frame_max: the largest frame that was agreed on.
        mandatory: whether what cannot be routed is to come back.
        user_id: who is logged in; what says that somebody else sent it is refused here, since
            the broker would close the channel for it. None if nobody knows.
    """

    def __init__(
        self, channel: int, frame_max: int, *, mandatory: bool, user_id: str | None
    ) -> None:
        self._channel = channel
        self._piece = frame_max - 8  # a frame's head has seven bytes, its end one
        self._bits = b"\x01" if mandatory else b"\x00"
        self._user_id = user_id
        self._methods: dict[tuple[str, str], bytes] = {}
        # What the last message began with: the next one is mostly alike.
        self._target: Target | None = None
        self._method = b""
        self._properties = NO_PROPERTIES
        self._said = encode(NO_PROPERTIES)
        self._size = -1
        self._head = b""

    def pack(
        self, publications: Sequence[Publication], parts: list[bytes | memoryview]
    ) -> tuple[int, list[tuple[Publication, str]]]:
        """Append the frames of publications to ``parts``.

        Returns:
            How many bytes that are, and the publications that AMQP 0-9-1 cannot carry, each with
            the reason. Those are not among the frames; the others are, in their order.
        """
        total = 0
        refused: list[tuple[Publication, str]] = []
        for one in publications:
            body = one.body
            size = len(body)
            if (
                size != self._size
                or one.target is not self._target
                or one.properties is not self._properties
            ):
                try:
                    self._begin(one, size)
                except (ValueError, TypeError) as error:
                    self._size = -1
                    refused.append((one, str(error)))
                    continue
            if 0 < size <= self._piece:
                parts += (self._head, body, END)
                total += len(self._head) + size + 1
            else:
                parts.append(self._head)
                total += len(self._head) + (self._split(body, parts) if size else 0)
        return total, refused

    def _begin(self, one: Publication, size: int) -> None:
        """Make the method, the header, and the head of the body's frame."""
        if one.properties is not self._properties:
            said = encode(one.properties)
            if 12 + len(said) > self._piece:
                # The broker would end the connection, and all that goes over it.
                raise ValueError(
                    f"the properties take {len(said)} bytes, and a header's frame has room for "
                    f"{self._piece - 12}"
                )
            user_id = one.properties.user_id
            if user_id and self._user_id is not None and user_id != self._user_id:
                raise ValueError(f"user_id = {user_id!r}: {self._user_id!r} is logged in")
            self._properties, self._said = one.properties, said
        if one.target is not self._target:
            self._method = self._method_for(one.target)
            self._target = one.target
        header = _HEADER.pack(
            FRAME_HEADER, self._channel, 12 + len(self._said), _CLASS_BASIC, 0, size
        )
        head = self._method + header + self._said + END
        if 0 < size <= self._piece:
            head += _FRAME_HEAD.pack(FRAME_BODY, self._channel, size)
        self._head, self._size = head, size

    def _method_for(self, target: Target) -> bytes:
        key = (target.exchange, target.routing_key)
        method = self._methods.get(key)
        if method is None:
            if target.address:
                raise ValueError("an address is AMQP 1.0's; 0-9-1 has exchanges and routing keys")
            payload = (
                _PUBLISH
                + short_string(target.exchange, "the exchange's name")
                + short_string(target.routing_key, "the routing key")
                + self._bits
            )
            method = frame(FRAME_METHOD, self._channel, payload)
            if len(self._methods) >= _MAX_TARGETS:
                self._methods.clear()
            self._methods[key] = method
        return method

    def _split(self, body: bytes, parts: list[bytes | memoryview]) -> int:
        """A body that one frame cannot hold; returns the bytes appended."""
        view = memoryview(body)
        total = 0
        for start in range(0, len(body), self._piece):
            piece = view[start : start + self._piece]
            parts += (_FRAME_HEAD.pack(FRAME_BODY, self._channel, len(piece)), piece, END)
            total += len(piece) + 8
        return total
