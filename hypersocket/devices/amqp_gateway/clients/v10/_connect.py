"""Opening a connection of AMQP 1.0."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import trio
import trio.abc

from .....amqp import ConnectionLost
from ..._client import BrokerAddress
from ._client import CLOSE_TIMEOUT, VHOST, Client, IsRabbitMQ
from ._stream import is_loopback, name_of, open_stream

__all__ = ["CLOSE_TIMEOUT", "connect"]

logger = logging.getLogger("hypersocket")


@asynccontextmanager
async def connect(
    address: BrokerAddress, *, on_blocked: Callable[[str | None], None] | None = None
) -> AsyncGenerator[Client]:
    """Connect to a broker, for an ``async with``.

    On leaving, links are ended and the connection is closed in good order, within
    :data:`CLOSE_TIMEOUT` seconds; cancelled, what was settled is written and the connection is
    dropped. What the body raises leaves as itself.

    What a broker wants to know of a virtual host is its hostname (2.7.1), which RabbitMQ takes for
    the default one unless it begins with ``vhost:``. That it is RabbitMQ is known when it has
    opened: then this connects once more.

    Args:
        address: where the broker is, and how to log in.
        on_blocked: never called; a broker of AMQP 1.0 gives no credit instead.

    Raises:
        ConnectionLost: there is no connection to be had, with the broker's words.
    """
    del on_blocked
    _check(address)
    deadline = trio.current_time() + address.connect_timeout
    async with AsyncExitStack() as stack:
        client: Client | None = None
        with contextlib.suppress(IsRabbitMQ):
            client = await stack.enter_async_context(_connection(address, deadline))
        if client is None:
            address = replace(address, vhost=f"{VHOST}{address.vhost}")
            client = await stack.enter_async_context(_connection(address, deadline))
        yield client


@asynccontextmanager
async def _connection(address: BrokerAddress, deadline: float) -> AsyncGenerator[Client]:
    stream = await _in_time(address, deadline)
    client = Client(address, stream)
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(client.run)
            try:
                await client.wait_open(deadline)
                yield client
            except BaseException as raised:  # noqa: BLE001 - raised again below
                error = raised
            await client.finish(in_haste=error is not None and not isinstance(error, Exception))
    finally:
        await trio.aclose_forcefully(stream)
    if error is not None:
        raise error


def _check(address: BrokerAddress) -> None:
    if address.sasl == "EXTERNAL" and address.tls is None:
        raise ConnectionLost(
            f"a login by EXTERNAL at {name_of(address)} needs TLS with a certificate of the client"
        )
    if address.sasl == "PLAIN" and address.tls is None and not is_loopback(address.host):
        logger.warning(
            "the password for %s goes there in clear: use TLS (amqps://)", name_of(address)
        )


async def _in_time(address: BrokerAddress, deadline: float) -> trio.abc.Stream:
    with trio.move_on_at(deadline):
        return await open_stream(address)
    raise ConnectionLost(
        f"{name_of(address)} did not answer within {address.connect_timeout:g} s", temporary=True
    )
