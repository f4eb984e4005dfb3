"""Transports that carry ZMTP over a byte stream: the base that leaves two methods to write."""

from __future__ import annotations

from abc import ABC, abstractmethod

import trio

from .._option_groups import SocketOptions
from ._acceptor import Acceptor
from ._contract import Binding, Host, Transport
from ._dialer import Dialer


class StreamListener(ABC):
    """Something that accepts streams."""

    address: str
    """Where it listens, as it would be written after ``scheme://``; no wildcard port in it."""

    @abstractmethod
    async def accept(self) -> tuple[trio.abc.Stream, str]:
        """Wait for a stream; returns it with the peer's address, for people to read.

        Raises:
            OSError: the system could not accept one now; the call may be repeated.
            trio.ClosedResourceError: the listener was closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening, and remove what would be left behind; a second call does nothing.

        On return the address is free. Does not raise.
        """


class StreamTransport(Transport):
    """A transport of byte streams: all that ØMQ adds is done here.

    A subclass says how to listen and how to dial. Handshakes, heartbeats, reconnection and
    back-pressure are the same for all.
    """

    scheme: str
    """What stands before ``://``."""

    @abstractmethod
    async def listen(self, address: str, options: SocketOptions) -> StreamListener:
        """Listen.

        Raises:
            EndpointError: the address cannot be bound on this machine.
            AddressInUse: it is taken.
        """

    @abstractmethod
    async def dial(self, address: str, options: SocketOptions) -> tuple[trio.abc.Stream, str]:
        """Make one attempt to connect; returns the stream with the peer's address.

        The time for it is limited by the caller. Cancelled, it leaves nothing open.

        Raises:
            OSError: there is nobody to be reached now.
        """

    async def bind(self, address: str, host: Host) -> Binding:
        """Listen, and serve whoever comes."""
        listener = await self.listen(address, host.options)
        return Acceptor(f"{self.scheme}://{listener.address}", listener, host)

    async def connect(self, address: str, host: Host) -> Binding:
        """Start dialling, again and again."""
        return Dialer(f"{self.scheme}://{address}", self, address, host)
