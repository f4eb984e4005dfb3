"""Routing ids, and the options of ROUTER, with libzmq at the other side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import trio
import zmq

import hypersocket as hs
from hypersocket import events

from .peers import Binder, Theirs, eventually, join, ours, until, wildcard

TCP = "tcp://127.0.0.1:*"
IDS = [b"x", b"client-7", b"\xff\x00\x01", b"i" * 255]
BINDERS = ["ours binds", "theirs binds"]


@pytest.mark.parametrize("routing_id", IDS, ids=["short", "name", "octets", "longest"])
@pytest.mark.parametrize("socket_type", ["REQ", "DEALER", "ROUTER"])
@pytest.mark.parametrize("binder", BINDERS)
async def test_our_routing_id_is_known_to_their_router(
    socket_type: str, routing_id: bytes, binder: Binder
) -> None:
    async with (
        ours(socket_type, routing_id=routing_id) as mine,
        Theirs("ROUTER", routing_id=b"them") as theirs,
    ):
        await join(mine, theirs, binder, TCP)
        await mine.send_multipart([b"them", b"hello"] if socket_type == "ROUTER" else [b"hello"])
        sender, *_, body = await theirs.recv_multipart()
        assert (sender, body) == (routing_id, b"hello")


@pytest.mark.parametrize("routing_id", IDS, ids=["short", "name", "octets", "longest"])
@pytest.mark.parametrize("socket_type", ["REQ", "DEALER", "ROUTER"])
@pytest.mark.parametrize("binder", BINDERS)
async def test_their_routing_id_is_known_to_our_router(
    socket_type: str, routing_id: bytes, binder: Binder
) -> None:
    async with (
        ours("ROUTER", routing_id=b"us") as mine,
        Theirs(socket_type, routing_id=routing_id) as theirs,
    ):
        await join(mine, theirs, binder, TCP)
        if socket_type == "ROUTER":
            await mine.send_multipart([routing_id, b"hello"])
            assert await theirs.recv_multipart() == [b"us", b"hello"]
            await theirs.send_multipart([b"us", b"hello"])
        else:
            await theirs.send(b"hello")
        sender, *_, body = await mine.recv_multipart()
        assert (sender, body) == (routing_id, b"hello")
        (peer,) = mine.stats().peers
        assert peer.routing_id == routing_id


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_our_router_names_those_who_tell_no_name(transport: str, tmp_path: Path) -> None:
    async with ours("ROUTER") as mine, Theirs("DEALER") as one, Theirs("DEALER") as two:
        endpoint = await mine.bind(wildcard(transport, tmp_path))
        names = []
        for theirs in (one, two):
            theirs.connect(endpoint)
            await theirs.send(b"who am I?")
            name, body = await mine.recv_multipart()
            assert body == b"who am I?"
            assert len(name) == 5
            assert name[0] == 0
            names.append(name)
        assert names[0] != names[1]
        for name, theirs in zip(reversed(names), (two, one), strict=True):
            await mine.send_multipart([name, b"you are", name])
            assert await theirs.recv_multipart() == [b"you are", name]


async def test_their_router_names_our_sockets_that_tell_no_name() -> None:
    async with Theirs("ROUTER") as theirs, ours("DEALER") as one, ours("DEALER") as two:
        endpoint = theirs.bind(TCP)
        names = []
        for mine in (one, two):
            await mine.connect(endpoint)
            await mine.send(b"who am I?")
            name, body = await theirs.recv_multipart()
            assert body == b"who am I?"
            names.append(name)
        for name, mine in zip(reversed(names), (two, one), strict=True):
            await theirs.send_multipart([name, b"you are", name])
            assert await mine.recv_multipart() == [b"you are", name]


@pytest.mark.parametrize("socket_type", ["REQ", "DEALER", "ROUTER"])
@pytest.mark.parametrize("binder", BINDERS)
async def test_our_probe(socket_type: str, binder: Binder) -> None:
    async with (
        ours(socket_type, routing_id=b"prober", probe_router=True) as mine,
        Theirs("ROUTER", routing_id=b"them") as theirs,
    ):
        await join(mine, theirs, binder, TCP)
        assert await theirs.recv_multipart() == [b"prober", b""]
        envelope = [b""] if socket_type == "REQ" else []
        request = [b"them", b"ping"] if socket_type == "ROUTER" else [b"ping"]
        await mine.send_multipart(request)
        assert await theirs.recv_multipart() == [b"prober", *envelope, b"ping"]
        await theirs.send_multipart([b"prober", *envelope, b"pong"])
        *_, reply = await mine.recv_multipart()
        assert reply == b"pong"


@pytest.mark.parametrize("socket_type", ["REQ", "DEALER", "ROUTER"])
@pytest.mark.parametrize("binder", BINDERS)
async def test_their_probe(socket_type: str, binder: Binder) -> None:
    async with (
        ours("ROUTER", routing_id=b"us") as mine,
        Theirs(socket_type, routing_id=b"prober", probe_router=1) as theirs,
    ):
        await join(mine, theirs, binder, TCP)
        async with theirs.attending():
            assert await mine.recv_multipart() == [b"prober", b""]
        envelope = [b""] if socket_type == "REQ" else []
        request = [b"us", b"ping"] if socket_type == "ROUTER" else [b"ping"]
        await theirs.send_multipart(request)
        assert await mine.recv_multipart() == [b"prober", *envelope, b"ping"]
        await mine.send_multipart([b"prober", *envelope, b"pong"])
        *_, reply = await theirs.recv_multipart()
        assert reply == b"pong"


async def test_probe_of_our_router_reaches_their_dealer() -> None:
    async with ours("ROUTER", probe_router=True) as mine, Theirs("DEALER") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        assert await theirs.recv_multipart() == [b""]


async def test_probe_of_their_router_reaches_our_dealer() -> None:
    async with ours("DEALER") as mine, Theirs("ROUTER", probe_router=1) as theirs:
        await join(mine, theirs, "ours binds", TCP)
        async with theirs.attending():
            assert await mine.recv_multipart() == [b""]


async def test_our_router_hands_a_routing_id_over() -> None:
    async with (
        ours("ROUTER", router_handover=True) as mine,
        Theirs("DEALER", routing_id=b"name", reconnect_ivl=-1) as old,
        Theirs("DEALER", routing_id=b"name") as new,
        mine.monitor() as told,
    ):
        endpoint = await mine.bind(TCP)
        old.connect(endpoint)
        await old.send(b"old")
        assert await mine.recv_multipart() == [b"name", b"old"]
        new.connect(endpoint)
        await new.send(b"new")
        assert await mine.recv_multipart() == [b"name", b"new"]
        ended = await until(told, events.Disconnected)
        assert ended.reason is hs.Reason.DUPLICATE_ROUTING_ID
        await mine.send_multipart([b"name", b"for the new one"])
        assert await new.recv() == b"for the new one"
        assert await old.has_nothing()


async def test_our_router_refuses_a_routing_id_that_is_in_use() -> None:
    async with (
        ours("ROUTER") as mine,
        Theirs("DEALER", routing_id=b"name") as old,
        Theirs("DEALER", routing_id=b"name", reconnect_ivl=10) as new,
        mine.monitor() as told,
    ):
        endpoint = await mine.bind(TCP)
        old.connect(endpoint)
        await old.send(b"old")
        assert await mine.recv_multipart() == [b"name", b"old"]
        await until(told, events.HandshakeSucceeded)
        new.connect(endpoint)
        failed = await until(told, events.HandshakeFailed)
        assert failed.reason is hs.Reason.DUPLICATE_ROUTING_ID
        await mine.send_multipart([b"name", b"for the old one"])
        assert await old.recv() == b"for the old one"
        await old.close(linger=0)
        await until(told, events.HandshakeSucceeded)  # now the name is free
        await mine.send_multipart([b"name", b"for the new one"])
        assert await new.recv() == b"for the new one"


async def test_their_router_hands_our_routing_id_over() -> None:
    async with (
        Theirs("ROUTER", router_handover=1) as theirs,
        ours("DEALER", routing_id=b"name", reconnect_ivl=math.inf) as old,
        ours("DEALER", routing_id=b"name") as new,
    ):
        endpoint = theirs.bind(TCP)
        await old.connect(endpoint)
        await old.send(b"old")
        assert await theirs.recv_multipart() == [b"name", b"old"]
        await new.connect(endpoint)
        await new.send(b"new")
        assert await theirs.recv_multipart() == [b"name", b"new"]
        await theirs.send_multipart([b"name", b"for the new one"])
        assert await new.recv() == b"for the new one"
        assert old.stats().messages_in == 0


async def test_our_mandatory_router() -> None:
    async with ours("ROUTER", router_mandatory=True) as mine:
        endpoint = await mine.bind(TCP)
        with pytest.raises(hs.HostUnreachable, match="later"):
            await mine.send_multipart([b"later", b"too soon"])
        async with Theirs("DEALER", routing_id=b"later") as theirs:
            theirs.connect(endpoint)
            await mine.wait_connected()
            await mine.send_multipart([b"later", b"in time"])
            assert await theirs.recv() == b"in time"
        await eventually(lambda: not mine.stats().peers)
        with pytest.raises(hs.HostUnreachable, match="later"):
            await mine.send_multipart([b"later", b"too late"])


async def test_our_mandatory_router_waits_for_a_peer_that_is_full() -> None:
    async with (
        ours("ROUTER", router_mandatory=True, sndhwm=5) as mine,
        Theirs("DEALER", routing_id=b"slow", rcvhwm=5) as theirs,
    ):
        await join(mine, theirs, "ours binds", TCP)
        sent = 0
        body = bytes(100_000)
        waiting = False
        while not waiting:
            with trio.move_on_after(0.3) as scope:
                await mine.send_multipart([b"slow", b"%d" % sent, body])
                sent += 1
            waiting = scope.cancelled_caught
        for number in range(sent):
            assert await theirs.recv_multipart() == [b"%d" % number, body]
        await mine.send_multipart([b"slow", b"and on"])
        assert await theirs.recv() == b"and on"
        assert mine.stats().dropped == 0


async def test_their_mandatory_router_knows_our_dealer() -> None:
    def unreachable(theirs: Theirs) -> bool:
        try:
            theirs.socket.send_multipart([b"later", b"hello"], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            assert error.errno == zmq.EHOSTUNREACH  # noqa: PT017 - in any other case too
            return True
        return False

    async with Theirs("ROUTER", router_mandatory=1) as theirs:
        endpoint = theirs.bind(TCP)
        assert unreachable(theirs)
        async with ours("DEALER", routing_id=b"later") as mine:
            await mine.connect(endpoint)
            await eventually(lambda: not unreachable(theirs))
            assert await mine.recv() == b"hello"
        await eventually(lambda: unreachable(theirs))


async def test_messages_to_nobody_are_dropped_and_counted() -> None:
    async with ours("ROUTER") as mine, Theirs("DEALER", routing_id=b"known") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        await mine.send_multipart([b"unknown", b"lost"])
        await mine.send_multipart([b"known", b"found"])
        assert await theirs.recv() == b"found"
        drops: dict[Any, int] = dict(mine.stats().drops)
        assert drops == {hs.DropReason.UNROUTABLE: 1}
