"""The transport in memory that the test kit offers."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock, check_half_closeable_stream

import hypersocket as hs
from hypersocket.testing import MemoryConnection, MemoryStream, MemoryTransport


async def _pair(window: int = 1 << 18) -> tuple[MemoryStream, MemoryStream]:
    connection = MemoryConnection("x", 1, window)
    return connection.dialler, connection.listener


async def _clogged_pair() -> tuple[MemoryStream, MemoryStream]:
    ours, theirs = await _pair(1)
    await ours.send_all(b"x")
    await theirs.send_all(b"x")
    return ours, theirs


async def test_its_streams_are_trios() -> None:
    await check_half_closeable_stream(_pair, _clogged_pair)
    await check_half_closeable_stream(partial(_pair, 4096), None)


async def test_names_belong_to_the_instance(memory: MemoryTransport) -> None:
    other = MemoryTransport("other")
    hs.transports.register("other", other)
    try:
        async with hs.Pull(bind="memory://x") as one, hs.Pull(bind="other://x") as two:
            assert (one.endpoints, two.endpoints) == (("memory://x",), ("other://x",))
    finally:
        hs.transports._registry._transports.pop("other")


async def test_wildcard_names(memory: MemoryTransport) -> None:
    async with hs.Pull(bind=["memory://*", "memory://*"]) as pull:
        assert len(set(pull.endpoints)) == 2
        async with hs.Push(connect=pull.endpoints) as push:
            await push.wait_connected(2)
        with pytest.raises(hs.EndpointError, match=r"cannot connect to '\*'"):
            await pull.connect("memory://*")


async def test_cut_ends_all_connections(memory: MemoryTransport) -> None:
    async with hs.Pull(bind="memory://x") as pull, hs.Push(connect="memory://x") as push:
        async with push.monitor() as events:
            await push.wait_connected()
            memory.cut()
            async for event in events:
                if isinstance(event, hs.events.Disconnected):
                    assert event.reason is hs.Reason.CONNECTION_LOST
                    break
        await push.send(b"again")
        assert await pull.recv() == b"again"
        assert [connection.number for connection in memory.connections] == [1, 2]
        memory.forget()
        assert (memory.connections, memory.dials) == ([], [])


async def test_refusing(memory: MemoryTransport) -> None:
    memory.refusing = True
    async with (
        hs.Pull(bind="memory://x") as pull,
        hs.Push(connect="memory://x", reconnect_ivl=0.001) as push,
    ):
        await push.send(b"later")
        while len(memory.dials) < 3:
            await trio.lowlevel.checkpoint()
        assert memory.connections == []
        memory.refusing = False
        assert await pull.recv() == b"later"


async def test_inject(memory: MemoryTransport) -> None:
    async with hs.Pull(bind="memory://x") as pull, hs.Push(connect="memory://x") as push:
        await push.wait_connected()
        await pull.wait_connected()
        memory.connections[0].inject(b"\0\5hello", to="listener")
        assert await pull.recv() == b"hello"
        memory.connections[0].inject(b"\xff\xff", to="listener")
        while not pull.stats().disconnects:
            await trio.lowlevel.checkpoint()


async def test_stall_delays_and_loses_nothing(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x") as pull, hs.Push(connect="memory://x") as push:
        await push.wait_connected()
        memory.stall("listener")
        await push.send(b"held")
        with trio.move_on_after(1000.0) as scope:
            await pull.recv()
        assert scope.cancelled_caught
        memory.resume()
        assert await pull.recv() == b"held"


async def test_delay(autojump_clock: MockClock, memory: MemoryTransport) -> None:
    async with hs.Pull(bind="memory://x") as pull, hs.Push(connect="memory://x") as push:
        await push.wait_connected()
        memory.delay(3.0)
        start = trio.current_time()
        for number in range(5):
            await push.send(b"%d" % number)
            await trio.sleep(1.0)
        assert [await pull.recv() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert trio.current_time() == pytest.approx(start + 7.0)
