"""What the checks of transports share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from .. import sockets as s
from ._asserting import plainly, within

MakeEndpoint: TypeAlias = Callable[[], str]
"""Returns an endpoint that is free to be bound; it may have a wildcard."""

TransportCheck: TypeAlias = Callable[[MakeEndpoint], Awaitable[None]]

SOON: dict[str, Any] = {"reconnect_ivl": 0.01, "reconnect_ivl_max": 0.05}
"""Options with which a reconnection is not waited for long."""


class Checks(dict[str, TransportCheck]):
    """Checks by name, in the order of their definition."""

    def __call__(self, check: TransportCheck) -> TransportCheck:
        """Add one, as a decorator."""
        plain = plainly(check)
        self[check.__name__] = plain
        return plain


async def free_endpoint(make_endpoint: MakeEndpoint) -> str:
    """An endpoint without a wildcard, to which nobody is bound at the moment."""
    async with s.Pull() as probe:
        with within("bind must return"):
            return await probe.bind(make_endpoint())


@asynccontextmanager
async def push_pull(
    make_endpoint: MakeEndpoint,
    *,
    push: dict[str, Any] | None = None,
    pull: dict[str, Any] | None = None,
) -> AsyncGenerator[tuple[s.Push, s.Pull], None]:
    """A PUSH, connected to a PULL, which is bound."""
    async with s.Pull(**(pull or {})) as receiver, s.Push(**(push or {})) as sender:
        endpoint = await receiver.bind(make_endpoint())
        await sender.connect(endpoint)
        with within("a socket that connects to the endpoint that bind returned gets a peer"):
            await sender.wait_connected()
            await receiver.wait_connected()
        yield sender, receiver


async def receive(socket: Any, count: int, contract: str) -> list[list[bytes]]:
    """Receive so many messages, in time."""
    received: list[list[bytes]] = []
    with within(f"{contract} ({count} messages were to be received)"):
        while len(received) < count:
            received.append(await socket.recv_multipart())
    return received
