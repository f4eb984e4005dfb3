"""Opening a connection of AMQP 0-9-1."""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import trio

from ....._version import __version__
from .....amqp import ConnectionLost, NotSupported
from .....amqp.v091 import Connection, Ended, Event, Opened, Settings
from ..._client import BrokerAddress, Client
from ._client import BrokerClient
from ._link import FLUSH_TIME, Link
from ._stream import RECEIVE_SIZE


@asynccontextmanager
async def connect(
    address: BrokerAddress,
    *,
    on_blocked: Callable[[str | None], None] | None = None,
) -> AsyncGenerator[Client]:
    """An open connection to a broker, for ``async with``.

    What the body raises leaves as itself. On leaving, the connection is closed in good order
    within a bounded time, whatever the body did.

    Args:
        address: where, and how to log in.
        on_blocked: told the broker's words when it stops taking publications, and None when it
            takes them again; called from the reader, and may not wait nor raise.

    Raises:
        ConnectionLost: there is no connection, for the reason that the text gives.
        NotSupported: the broker is to be asked for something that 0-9-1 does not have.
    """
    if address.sasl == "ANONYMOUS":
        raise NotSupported("AMQP 0-9-1 has no ANONYMOUS log-in; PLAIN and EXTERNAL it has")
    peer = f"{address.host}:{address.port}"
    stream, connection, opened, more = await _open(address, peer)
    link = Link(stream, connection, opened.heartbeat, on_blocked, more)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            try:
                yield BrokerClient(link, opened.broker, address.container_id)
            except BaseException as error:  # noqa: BLE001 - raised again, outside the nursery
                failure = error
            await link.close()
            link.stop()
            with trio.CancelScope(shield=True):
                # Left in a cancelled scope with a child, the nursery would raise in place of
                # what the body did.
                while nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
        if failure is not None:
            raise failure
    finally:
        del failure


async def _open(
    address: BrokerAddress, peer: str
) -> tuple[trio.abc.Stream, Connection, Opened, list[Event]]:
    """Everything up to the open connection, within ``connect_timeout``; and what came with it."""
    connection = Connection(_settings(address, peer))
    doing = f"to reach {peer}"
    stream: trio.abc.Stream | None = None
    try:
        with trio.fail_after(address.connect_timeout):
            stream = await _reach(address, peer)
            doing = "for TLS"
            stream = await _secure(stream, address, peer)
            while True:
                doing = f"for {connection.state.value}"
                events = await _step(stream, connection)
                if events and isinstance(events[0], Opened):
                    return stream, connection, events[0], events[1:]
    except trio.TooSlowError:
        text = f"{peer}: no connection within {address.connect_timeout:g} s; waited {doing}"
        await _drop(stream)
        raise ConnectionLost(text, temporary=True) from None
    except BaseException:
        await _drop(stream)
        raise


async def _drop(stream: trio.abc.Stream | None) -> None:
    if stream is not None:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)


def _settings(address: BrokerAddress, peer: str) -> Settings:
    # We and brokers give up after two intervals without a sign of life.
    heartbeat = min(math.ceil(address.heartbeat / 2), 0xFFFF)
    return Settings(
        peer=peer,
        vhost="/" if address.vhost is None else address.vhost,
        mechanism="EXTERNAL" if address.sasl == "EXTERNAL" else "PLAIN",
        username=address.username,
        password=address.password,
        heartbeat=heartbeat,
        frame_max=address.frame_max,
        name=address.container_id,
        version=__version__,
    )


async def _reach(address: BrokerAddress, peer: str) -> trio.SocketStream:
    try:
        return await trio.open_tcp_stream(address.host, address.port)
    except OSError as error:
        # Names too: a resolver may know tomorrow what it does not know today.
        reason = "; ".join(_reasons(error))
        raise ConnectionLost(f"{peer} cannot be reached: {reason}", temporary=True) from error


def _reasons(error: BaseException) -> list[str]:
    """Why no address of a name could be reached, each reason once."""
    inner: list[BaseException] = []
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        inner += cast("BaseExceptionGroup[BaseException]", cause).exceptions
    elif isinstance(cause, OSError):
        inner.append(cause)
    if inner:
        return list(dict.fromkeys(reason for one in inner for reason in _reasons(one)))
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return [os.strerror(error.errno)]  # without the addresses
    return [(error.strerror if isinstance(error, OSError) else "") or str(error)]


async def _secure(stream: trio.SocketStream, address: BrokerAddress, peer: str) -> trio.abc.Stream:
    if address.tls is None:
        return stream
    name = address.server_name or address.host
    secure = trio.SSLStream(stream, address.tls, server_hostname=name, https_compatible=True)
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        wrong = isinstance(cause, ssl.SSLError)
        text = f"{peer}: no TLS: {cause or error}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = f"the certificate of {peer} is not good: {cause.verify_message}"
        raise ConnectionLost(text, temporary=not wrong) from error
    return secure


async def _step(stream: trio.abc.Stream, connection: Connection) -> list[Event]:
    """Write what is to be written, read what comes; the first event is that it is open."""
    try:
        if connection.unwritten:
            await stream.send_all(b"".join(connection.take()))
        data = await stream.receive_some(RECEIVE_SIZE)
    except trio.BrokenResourceError as error:
        events = connection.eof(str(error.__cause__ or error))
    else:
        events = connection.receive(data) if data else connection.eof()
    for event in events:
        if isinstance(event, Ended):
            await _say_last(stream, connection)
            raise event.error
    return events


async def _say_last(stream: trio.abc.Stream, connection: Connection) -> None:
    """The answer to the broker's close, if it takes it."""
    with trio.move_on_after(FLUSH_TIME):
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"".join(connection.take()))
