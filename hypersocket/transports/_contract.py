"""What a transport is: an endpoint becomes pipes.

Most transports carry ZMTP over a byte stream, and derive from
:class:`hypersocket.transports.StreamTransport`, which leaves them two small methods to write. One
that delivers whole messages (inproc, multicast) implements :class:`Transport` itself, and makes
pipes as it sees peers come.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from .._events import Make
from .._option_groups import SocketOptions
from .._reasons import Reason
from ._pipe import Pipe
from ._poller import Poller


class Host(Protocol):
    """The socket, as its transports see it."""

    @property
    def socket_type(self) -> str:
        """Its ZMTP name, such as ``"XPUB"``."""
        ...

    @property
    def options(self) -> SocketOptions:
        """Its options; read when a connection is made."""
        ...

    @property
    def announced_routing_id(self) -> bytes:
        """What peers are told as Identity; empty for none."""
        ...

    @property
    def poller(self) -> Poller:
        """Serves connections over the system's sockets."""
        ...

    def open_pipe(self, endpoint: str, *, dialled: bool) -> Pipe:
        """Make a pipe. The transport sets its link at once."""
        ...

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task for as long as the socket lives. It may not raise."""

    def tell(self, make: Make) -> None:
        """Tell the monitors, if there are any."""

    def log(
        self, level: int, text: str, *args: object, exc_info: BaseException | None = None
    ) -> None:
        """Log under ``hypersocket``, with the socket's name before it."""

    def handshake_failed(
        self, endpoint: str, reason: Reason, detail: str, *, address: str = "", dialled: bool = True
    ) -> None:
        """Count a handshake that failed, and tell monitors and log.

        ``dialled`` says whether it was us who called.
        """


class Binding(ABC):
    """One endpoint that a socket is bound or connected to."""

    endpoint: str
    """As it was resolved; a wildcard port is a number here."""

    @property
    @abstractmethod
    def pipes(self) -> tuple[Pipe, ...]:
        """The pipes that stand now."""

    @abstractmethod
    async def aclose(self, deadline: float) -> None:
        """Make no more connections, and end those there are.

        What the pipes had to write has been written or given up before. Until ``deadline``
        (:func:`trio.current_time`) the other side may be given time to take what is under way.
        Whether cancelled or not, on return every pipe has ended.
        """

    @abstractmethod
    def close(self) -> None:
        """End everything at once: on return every pipe has ended, and the tasks will."""


class Transport(ABC):
    """Makes pipes for the endpoints of one scheme. Has no state of a socket's."""

    @abstractmethod
    def check(self, address: str, *, binding: bool) -> None:
        """Raise :class:`hypersocket.EndpointError` where ``address`` can never work.

        Called at once by ``bind`` and ``connect`` and by the constructor, so it does not wait.
        ``address`` is what follows ``scheme://``.
        """

    @abstractmethod
    async def bind(self, address: str, host: Host) -> Binding:
        """Listen, and return when it does.

        Raises:
            EndpointError: the address cannot be bound on this machine.
            AddressInUse: it is taken.
        """

    @abstractmethod
    async def connect(self, address: str, host: Host) -> Binding:
        """Start connecting, and return without waiting for it."""
