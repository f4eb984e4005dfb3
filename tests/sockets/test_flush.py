"""`flush`: when what was sent has been written, and how much of it was lost."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.transports import _poller

from .worlds import eventually, fill, joined, would_block

BIG = bytes(64 * 1024)


@pytest.fixture(params=["epoll", "tasks"])
def traffic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "tasks":
        monkeypatch.setattr(_poller, "AVAILABLE", False)
    return str(request.param)


async def clog(push: hs.Push) -> None:
    """Send until the queue is full, and the system takes no more."""
    while fill(push.send_nowait, data=BIG + b"%d"):
        await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.usefixtures("traffic")
async def test_afterwards_nothing_is_queued(anywhere: str) -> None:
    async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
        assert await push.flush() == 0
        await push.send_many([b"%d" % number for number in range(100)])
        assert await push.flush() == 0
        assert (push.stats().queued_out, push.stats().messages_out) == (0, 100)
        assert (await pull.recv(), (await pull.recv_many())[-1]) == (b"0", b"99")


@pytest.mark.usefixtures("traffic")
async def test_it_waits_for_a_peer_that_does_not_read(anywhere: str) -> None:
    async with joined(hs.Pull(rcvhwm=1), hs.Push(sndhwm=20), anywhere) as (pull, push):
        await clog(push)
        assert await would_block(push.flush)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                async for _ in pull:
                    pass

            assert await push.flush() == 0
            assert push.stats().queued_out == 0
            nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("traffic")
async def test_it_waits_for_the_first_connection(anywhere: str) -> None:
    async with hs.Pull() as pull, hs.Push() as push:
        endpoint = await pull.bind(anywhere)
        await pull.unbind(endpoint)
        await push.connect(endpoint)
        await push.send(b"early")
        assert await would_block(push.flush)
        await pull.bind(endpoint)
        with trio.fail_after(30):
            assert await push.flush() == 0
            assert await pull.recv() == b"early"


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_what_was_lost_with_its_peer_is_told_once(when: str) -> None:
    async with hs.Push(bind="tcp://127.0.0.1:*", sndhwm=50) as push:
        async with hs.Pull(connect=push.endpoints[0], rcvhwm=1) as pull:
            await push.wait_connected()
            await clog(push)
            lost: list[int] = []
            async with trio.open_nursery() as nursery:
                if when == "meanwhile":

                    @nursery.start_soon
                    async def flush() -> None:
                        lost.append(await push.flush())

                    await trio.testing.wait_all_tasks_blocked()
                await pull.aclose()
                await eventually(lambda: not push.stats().peers)
                if when == "before":
                    lost.append(await push.flush())
        assert lost == [push.stats().drops[hs.DropReason.PEER_GONE]]
        assert lost[0] > 0
        assert await push.flush() == 0


async def test_what_others_send_meanwhile_is_not_waited_for(here: str) -> None:
    async with (
        joined(hs.Pull(rcvhwm=10), hs.Push(sndhwm=10), here) as (pull, push),
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def send_on() -> None:
            while True:
                await push.send(BIG)

        @nursery.start_soon
        async def receive_on() -> None:
            async for _ in pull:
                pass

        with trio.fail_after(20):
            for _ in range(20):
                await push.flush()
        nursery.cancel_scope.cancel()


async def test_a_subscriber_that_is_slow_is_waited_for() -> None:
    async with joined(hs.Pub(), hs.Sub(subscribe=""), "tcp://127.0.0.1:*") as (pub, sub):
        await pub.wait_subscribed("")
        await pub.send(b"news")
        assert await pub.flush() == 0
        assert pub.stats().messages_out == 1
        assert await sub.recv() == b"news"


async def test_cancelled_it_has_changed_nothing() -> None:
    async with hs.Pull() as pull, hs.Push() as push:
        endpoint = await pull.bind("tcp://127.0.0.1:*")
        await pull.unbind(endpoint)
        await push.connect(endpoint)
        await push.send(b"kept")
        with trio.CancelScope() as scope:
            scope.cancel()
            await push.flush()
        assert scope.cancelled_caught
        await pull.bind(endpoint)
        with trio.fail_after(30):
            assert await pull.recv() == b"kept"


async def test_a_socket_that_closes_ends_it() -> None:
    lost = []
    async with trio.open_nursery() as nursery:
        push = hs.Push(connect="inproc://nobody", linger=0)
        async with push:
            await push.send(b"in vain")

            @nursery.start_soon
            async def flush() -> None:
                lost.append(await push.flush())

            await trio.testing.wait_all_tasks_blocked()
    assert lost == [1]
    with pytest.raises(trio.ClosedResourceError):
        await push.flush()
