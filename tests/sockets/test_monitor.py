"""What the monitor tells, and when."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket import events as ev

from .worlds import eventually, joined, next_event, would_block


def kinds(events: list[ev.MonitorEvent]) -> list[type]:
    return [type(event) for event in events]


async def test_the_story_of_a_connection(anywhere: str) -> None:
    pull, push = hs.Pull(), hs.Push()
    stories: dict[str, list[ev.MonitorEvent]] = {"pull": [], "push": []}

    async def watch(name: str, socket: hs.Socket, task_status: trio.TaskStatus[None]) -> None:
        async with socket.monitor() as events:
            task_status.started()
            stories[name].extend([event async for event in events])

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: watch("pull", pull, task_status))
        await nursery.start(lambda task_status: watch("push", push, task_status))
        async with pull:
            where = await pull.bind(anywhere)
            async with push:
                await push.connect(where)
                await push.send(b"x")
                assert await pull.recv() == b"x"
            await eventually(lambda: not pull.stats().peers)
    assert kinds(stories["pull"]) == [
        ev.Listening, ev.Accepted, ev.HandshakeSucceeded, ev.Disconnected, ev.Closed,
    ]  # fmt: skip
    assert set(kinds(stories["push"])) == {
        ev.Connected, ev.HandshakeSucceeded, ev.Disconnected, ev.Closed,
    }  # fmt: skip
    for story in stories.values():
        assert {event.endpoint for event in story} == {where}
        times = [event.time for event in story]
        assert times == sorted(times)
    (shaken,) = [e for e in stories["pull"] if isinstance(e, ev.HandshakeSucceeded)]
    assert shaken.socket_type == "PUSH"
    (gone,) = [e for e in stories["pull"] if isinstance(e, ev.Disconnected)]
    assert gone.reason is hs.Reason.CLOSED_BY_PEER
    (gone,) = [e for e in stories["push"] if isinstance(e, ev.Disconnected)]
    assert gone.reason is hs.Reason.CLOSED_BY_US


async def test_identities_are_told() -> None:
    router = hs.Router()
    async with router.monitor() as events, joined(router, hs.Dealer(routing_id=b"d")):
        shaken = await next_event(events, ev.HandshakeSucceeded)
        assert (shaken.routing_id, shaken.socket_type) == (b"d", "DEALER")


async def test_incompatible_types_are_told_to_both(anywhere: str) -> None:
    async with hs.Pull(bind=anywhere) as pull, hs.Sub() as sub:
        async with pull.monitor() as told, sub.monitor() as told_too:
            await sub.connect(pull.endpoints[0])
            for events in (told, told_too):
                failed = await next_event(events, ev.HandshakeFailed)
                assert failed.reason in {hs.Reason.INCOMPATIBLE_TYPE, hs.Reason.REFUSED_BY_PEER}
                assert failed.detail
        async with hs.Push(connect=pull.endpoints[0]) as push:
            await push.send(b"x")
            assert await pull.recv() == b"x"


async def test_retries_and_failures_to_bind() -> None:
    other = hs.Pull(bind="tcp://127.0.0.1:*")
    async with hs.Pull() as pull, other, pull.monitor() as events:
        taken = other.endpoints[0]
        with pytest.raises(hs.AddressInUse) as caught:
            await pull.bind(taken)
        failed = await next_event(events, ev.BindFailed)
        assert (failed.endpoint, failed.error) == (taken, str(caught.value))
        await pull.connect("tcp://127.0.0.1:1")
        retried = await next_event(events, ev.ConnectRetried)
        assert retried.reason is hs.Reason.CONNECTION_REFUSED
        assert 0 < retried.retry_in <= 0.1


async def test_a_monitor_tells_from_when_it_is_entered_on() -> None:
    async with hs.Pull(bind="inproc://1") as pull:
        async with pull.monitor() as events:
            await pull.bind("inproc://2")
            await pull.unbind("inproc://1")
        await pull.bind("inproc://3")
        told = [event async for event in events]
    assert [(type(event), event.endpoint) for event in told] == [
        (ev.Listening, "inproc://2"),
        (ev.Closed, "inproc://1"),
    ]


async def test_a_monitor_that_is_not_read_misses_the_oldest() -> None:
    async with hs.Pull() as pull, pull.monitor(max_events=3) as events:
        for number in range(10):
            await pull.bind(f"inproc://{number}")
        await pull.aclose()
        told = [event async for event in events]
    assert kinds(told) == [ev.EventsMissed, ev.Closed, ev.Closed, ev.Closed]
    assert isinstance(told[0], ev.EventsMissed)
    assert told[0].count == 10 + 10 - 3
    with pytest.raises(ValueError, match="at least 1"):
        pull.monitor(max_events=0)


async def test_a_cancelled_wait_for_an_event_loses_none() -> None:
    async with hs.Pull() as pull, pull.monitor() as events:
        assert await would_block(events.__anext__)
        await pull.bind("inproc://x")
        with trio.CancelScope() as scope:
            scope.cancel()
            await events.__anext__()
        assert isinstance(await events.__anext__(), ev.Listening)


async def test_several_monitors_and_one_of_a_closed_socket() -> None:
    async with hs.Pull() as pull, pull.monitor() as one, pull.monitor() as two:
        await pull.bind("inproc://x")
        assert await one.__anext__() is await two.__anext__()
    async with pull.monitor() as late:
        assert [event async for event in late] == []
