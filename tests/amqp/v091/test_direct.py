"""Sockets that are read and written without a stream in between."""

from __future__ import annotations

import os
import socket
from typing import cast

import pytest
import trio
import trio.testing
from pamqp import body, commands

from hypersocket.amqp import CONFIRMED, Result
from hypersocket.devices.amqp_gateway._client import Sender

from .peers import method, publication, read
from .test_link import Scene, scene

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sockets are files on POSIX alone")


def connected() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of a connection that holds little."""
    near, far = trio.socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return trio.SocketStream(near), trio.SocketStream(far)


async def unconfirmed(it: Scene) -> Sender:
    opening = it.asked(lambda: it.client.open_sender(it.on_settled, confirm=False), 1)
    return cast("Sender", await opening)


def bodies(data: bytes) -> list[bytes]:
    return [one.value for one in read(data) if isinstance(one, body.ContentBody)]


async def test_what_is_sent_has_left_when_the_call_returns() -> None:
    async with scene(connected) as it, it.far:
        sender = await unconfirmed(it)
        one = publication(b"at once")
        await sender.send([one])
        assert it.outcomes == {one: CONFIRMED}  # without confirms: it is written
        assert it.connection.unwritten == 0
        with trio.fail_after(30):
            assert bodies(bytes(await it.far.receive_some())) == [b"at once"]


async def test_what_the_system_does_not_take_follows_in_order() -> None:
    async with scene(connected) as it, it.far:
        sender = await unconfirmed(it)
        sent = [publication(bytes([number]) * 100_000) for number in range(20)]
        heard = bytearray()

        async def listen() -> None:
            while not heard.endswith(sent[-1].body + b"\xce"):
                heard.extend(await it.far.receive_some())

        await sender.send(sent[:1])
        assert not it.outcomes  # the rest of it waits
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                await sender.send(sent[1:])
                await sender.wait_settled()
        assert list(it.outcomes) == sent
        assert bodies(bytes(heard)) == [one.body for one in sent]


async def test_what_would_have_to_wait_is_not_taken() -> None:
    async with scene(connected) as it, it.far:
        sender = await it.sender()
        assert sender.send_nowait([publication(b"0")])
        await it.far.send_all(method(commands.Connection.Blocked("no memory")))
        await trio.testing.wait_all_tasks_blocked()
        assert it.client.blocked == "no memory"
        assert not sender.send_nowait([publication(b"1")])
        assert (sender.taken, sender.unsettled) == (1, 1)
        await it.far.send_all(method(commands.Connection.Unblocked()))
        await trio.testing.wait_all_tasks_blocked()
        assert sender.send_nowait([publication(b"2")])
        big = [publication(bytes(100_000)) for _ in range(5)]  # more than the system takes
        assert sender.send_nowait(big)
        assert it.connection.unwritten
        assert not sender.send_nowait([publication(b"3")])
        assert sender.taken == 7


async def test_a_connection_that_broke() -> None:
    async with scene(connected) as it, it.far:
        sender = await it.sender()
        it.far.socket.close()  # which the reader has not seen when it is written to
        one = publication()
        await sender.send([one])
        with trio.fail_after(30):
            lost = await it.client.wait_lost()
            await sender.wait_settled()
        assert lost.temporary
        assert it.outcomes[one].result is Result.UNKNOWN
