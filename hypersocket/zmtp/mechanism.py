"""Security mechanisms: the seam between a connection and how its two sides come to trust.

A mechanism is one object for each connection, sans-I/O like all of this floor. NULL is here; a
mechanism from elsewhere derives from :class:`Mechanism` in the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from .._errors import HandshakeError
from .._reasons import Reason
from .commands import READY, encode_error, encode_named
from .greeting import printable
from .limits import Limits


class Progress(Enum):
    """How far a mechanism's handshake is."""

    CONTINUE = "the peer's next command is awaited"
    PENDING = "a verdict from elsewhere is awaited"
    DONE = "the handshake is complete"


@dataclass(frozen=True, slots=True)
class HandshakeContext:
    """What a mechanism is told at its start.

    Attributes:
        as_server: whether this side plays the server.
        peer_as_server: whether the peer's greeting claims to.
        peer_version: the ZMTP version in the peer's greeting.
        metadata: our properties in wire form, to be sent when the mechanism allows it.
        limits: what the peer may cost.
    """

    as_server: bool
    peer_as_server: bool
    peer_version: tuple[int, int]
    metadata: bytes
    limits: Limits


class Mechanism(ABC):
    """One side of a security handshake, and of the traffic after it.

    A method that is given a peer's bytes raises :class:`~hypersocket.ProtocolError` for whatever
    is wrong with them, and nothing else. Commands are bodies, without the frame around them.

    Attributes:
        name: as in the greeting, in capitals.
        has_roles: whether client and server differ; when they do not, the greeting's as-server
            octet is zero on both sides.
        transparent: whether traffic goes in plain frames. When it does not, each frame is
            wrapped in a frame of the mechanism's own by :meth:`wrap` and :meth:`unwrap`.
        overhead: bytes that :meth:`wrap` adds to a frame, at most.
        progress: to be kept up to date by the mechanism.
        peer_metadata: the peer's properties in wire form, once :attr:`progress` is DONE.
    """

    name: ClassVar[str]
    has_roles: ClassVar[bool] = False
    transparent: ClassVar[bool] = True
    overhead: ClassVar[int] = 0

    progress: Progress = Progress.CONTINUE
    peer_metadata: bytes = b""

    @abstractmethod
    def start(self, context: HandshakeContext) -> list[bytes]:
        """The greetings agree: return the commands to send at once."""

    @abstractmethod
    def receive(self, name: bytes, data: bytes) -> list[bytes]:
        """Take the peer's next command, never an ERROR; return the commands to send."""

    def resume(self) -> list[bytes]:
        """The verdict has come: return the commands to send, or raise ``HandshakeError``.

        How the verdict reaches the mechanism is between it and whoever obtains it.
        """
        raise RuntimeError(f"{self.name} never waits for a verdict")

    def refuse(self, text: str) -> bytes:
        """The ERROR command that tells the peer why, or nothing if none may be sent.

        It is asked for after a method raised ``HandshakeError``, too.
        """
        return encode_error(text)

    def wrap(self, flags: int, body: bytes) -> bytes:
        """The body of the frame that carries a frame; ``flags`` has the MORE and COMMAND bits."""
        raise NotImplementedError

    def unwrap(self, body: bytes) -> tuple[int, bytes]:
        """The inverse of :meth:`wrap` for a peer's frame."""
        raise NotImplementedError


class Null(Mechanism):
    """No authentication and no secrecy (RFC 37, "The NULL Security Mechanism").

    Both sides send READY at once, as libzmq does: the server need not wait for the client's, and
    a round trip is saved.
    """

    name = "NULL"

    def start(self, context: HandshakeContext) -> list[bytes]:
        """READY, with our properties."""
        return [encode_named(READY, context.metadata)]

    def receive(self, name: bytes, data: bytes) -> list[bytes]:
        """Take READY; there is nothing to answer."""
        if name != READY:
            raise HandshakeError(
                f"{printable(name)!r} came where READY should", Reason.UNEXPECTED_COMMAND
            )
        self.peer_metadata = data
        self.progress = Progress.DONE
        return []
