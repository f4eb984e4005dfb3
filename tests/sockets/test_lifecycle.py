"""Opening, leaving and closing: what leaves a block, what stays behind (nothing)."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import drain, eventually, fill, joined, next_event, would_block

ALL = [
    hs.Req, hs.Rep, hs.Dealer, hs.Router, hs.Pair, hs.Pub, hs.Sub, hs.XPub, hs.XSub, hs.Push,
    hs.Pull,
]  # fmt: skip


def living() -> int:
    return trio.lowlevel.current_statistics().tasks_living


# The block


@pytest.mark.parametrize("kind", ALL)
async def test_no_task_outlives_its_socket(kind: type[hs.Socket], anywhere: str) -> None:
    before = living()
    async with kind(bind=anywhere), kind(connect=["inproc://nobody", "tcp://127.0.0.1:1"]):
        assert living() > before
        await trio.testing.wait_all_tasks_blocked()
    assert living() == before


async def test_no_task_outlives_its_connection(anywhere: str) -> None:
    async with hs.Pull(bind=anywhere) as pull:
        before = living()
        for _ in range(3):
            async with hs.Push(connect=pull.endpoints[0]) as push:
                await push.send(b"x")
                assert await pull.recv() == b"x"
            await eventually(lambda: not pull.stats().peers)
        await eventually(lambda: living() <= before)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        KeyboardInterrupt(),
        SystemExit(3),
        ExceptionGroup("mine", [ValueError("1"), KeyError("2")]),
        BaseExceptionGroup("mine", [KeyboardInterrupt()]),
        trio.ClosedResourceError("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_body_raises_leaves_as_itself(error: BaseException, anywhere: str) -> None:
    push = hs.Push(connect="inproc://nobody", linger=0)
    with pytest.raises(type(error)) as caught:  # noqa: PT012 - the body is what is tested
        async with hs.Pull(bind=anywhere), push:
            await push.send(b"x")
            raise error
    assert caught.value is error
    assert error.__cause__ is None


async def test_a_cancellation_leaves_as_itself(anywhere: str) -> None:
    before = trio.current_time()
    with trio.CancelScope() as scope:
        async with (
            hs.Pull(bind=anywhere) as pull,
            hs.Push(connect="inproc://x", linger=1e9) as push,
        ):
            await push.send(b"x")
            scope.cancel()
            await pull.recv()
    assert scope.cancelled_caught
    assert push.stats().drops == {hs.DropReason.LINGER: 1}
    assert trio.current_time() - before < 1e6


async def test_a_socket_is_opened_once() -> None:
    pull = hs.Pull()
    for call in (pull.recv, lambda: pull.bind("inproc://x"), lambda: pull.connect("inproc://x")):
        with pytest.raises(RuntimeError, match="not open: use it inside `async with"):
            await call()
    async with pull:
        with pytest.raises(RuntimeError, match="opened once"):
            await pull.__aenter__()
        await pull.bind("inproc://x")
    with pytest.raises(RuntimeError, match="opened once: make another"):
        await pull.__aenter__()


@pytest.mark.parametrize("kind", ALL)
async def test_closed_is_closed(kind: type[Any]) -> None:
    async with kind() as socket:
        await socket.aclose()
        await socket.aclose()
        calls: list[Callable[..., Any]] = [
            lambda: socket.bind("inproc://x"),
            lambda: socket.connect("inproc://x"),
            lambda: socket.unbind("inproc://x"),
            lambda: socket.disconnect("inproc://x"),
            socket.wait_connected,
        ]
        for name, arguments in {
            "send": [b""], "send_multipart": [[b"", b""]], "send_many": [[b""]], "recv": [],
            "recv_many": [], "recv_multipart": [], "request": [b""], "wait_subscribed": [b""],
        }.items():  # fmt: skip
            if (method := getattr(socket, name, None)) is not None:
                calls.append(lambda method=method, arguments=arguments: method(*arguments))
        for call in calls:
            with pytest.raises(trio.ClosedResourceError):
                await call()
        assert socket.endpoints == ()
        assert "closed" in repr(socket)
        if hasattr(socket, "recv"):
            assert [message async for message in socket] == []
            assert [frames async for frames in socket.multipart()] == []
    socket.stats()


async def test_closing_ends_those_who_wait() -> None:
    async with hs.Pair() as pair:
        ended = []

        async def wait(call: object) -> None:
            with pytest.raises(trio.ClosedResourceError, match="closed"):
                await call()  # type: ignore[operator]
            ended.append(call)

        calls = [
            pair.recv, pair.recv_many, pair.recv_multipart, pair.wait_connected,
            lambda: pair.send(b""), lambda: pair.send_many([b"", b""]),
        ]  # fmt: skip
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(wait, call)
            await trio.testing.wait_all_tasks_blocked()
            await pair.aclose()
        assert len(ended) == len(calls)


async def test_iteration_ends_when_the_socket_closes() -> None:
    got: list[object] = []
    async with joined(hs.Pull(), hs.Push()) as (pull, push), trio.open_nursery() as nursery:

        async def receive() -> None:
            got.extend([message async for message in pull])

        nursery.start_soon(receive)
        await push.send_many([b"1", b"2"])
        await trio.testing.wait_all_tasks_blocked()
        await pull.aclose()
    assert got == [b"1", b"2"]


# Opening


async def test_a_failing_endpoint_of_the_constructor_cleans_up() -> None:
    before = living()
    async with hs.Pull(bind="inproc://taken"):
        bad = hs.Pull(bind=["inproc://free", "tcp://127.0.0.1:*", "inproc://taken"])
        with pytest.raises(hs.AddressInUse, match="taken"):
            await bad.__aenter__()
        assert bad.endpoints == ()
        with pytest.raises(trio.ClosedResourceError):
            await bad.recv()
        async with hs.Pull(bind="inproc://free"):
            pass
    assert living() == before


@pytest.mark.parametrize("bad", ["nonsense", "tcp://", "tcp://host", "udp://x:1", "inproc://", ""])
async def test_bad_endpoints_are_named_at_once(bad: str) -> None:
    with pytest.raises(hs.EndpointError):
        hs.Pull(connect=bad)
    with pytest.raises(hs.EndpointError):
        hs.Pull(bind=["inproc://good", bad])
    async with hs.Pull() as pull:
        for call in (pull.bind, pull.connect):
            with pytest.raises(hs.EndpointError):
                await call(bad)
        assert not drain(pull.recv_nowait)


async def test_fixtures_and_stacks() -> None:
    @asynccontextmanager
    async def pulling() -> AsyncIterator[hs.Pull]:
        async with hs.Pull(bind="inproc://x") as pull:
            yield pull

    async with AsyncExitStack() as stack:
        pull = await stack.enter_async_context(pulling())
        push = await stack.enter_async_context(hs.Push(connect="inproc://x"))
        await push.send(b"x")
        assert await pull.recv() == b"x"
    assert living() < 10


@pytest.fixture
async def a_push() -> AsyncIterator[hs.Push]:
    async with hs.Push(bind="inproc://fixture") as push:
        yield push


async def test_a_socket_of_a_fixture(a_push: hs.Push) -> None:
    async with hs.Pull(connect="inproc://fixture") as pull:
        await a_push.send(b"x")
        assert await pull.recv() == b"x"


async def test_a_child_task_uses_and_closes_the_socket() -> None:
    async with hs.Pull(bind="inproc://x") as pull, hs.Push(connect="inproc://x") as push:

        async def child() -> None:
            await push.send(b"from the child")
            assert await pull.recv() == b"from the child"
            await push.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        with pytest.raises(trio.ClosedResourceError):
            await push.send(b"")


async def test_a_subclass_is_a_socket() -> None:
    class Mine(hs.Pull):
        pass

    async with Mine(bind="inproc://x") as mine, hs.Push(connect="inproc://x") as push:
        await push.send(b"x")
        assert await mine.recv() == b"x"
    for abstract in (hs.Socket, hs.Socket.__subclasses__()[0]):
        with pytest.raises(TypeError, match="no socket type: use hypersocket"):
            abstract()


async def test_nothing_refers_to_a_closed_socket(anywhere: str) -> None:
    async def live() -> list[weakref.ref[hs.Socket]]:
        async with joined(hs.Rep(), hs.Req(), anywhere) as (rep, req):
            await req.send(b"?")
            await rep.recv()
            await rep.send(b"!")
            await req.recv()
            await req.connect("inproc://nobody")
            req.linger = 0
            return [weakref.ref(rep), weakref.ref(req)]

    refs = await live()
    for _ in range(3):
        await trio.lowlevel.checkpoint()
        gc.collect()
    assert [ref() for ref in refs] == [None, None]


# Linger


async def test_leaving_writes_what_was_sent(anywhere: str) -> None:
    async with hs.Pull(bind=anywhere, rcvhwm=2) as pull:
        got = []

        async def receive() -> None:
            got.extend([await pull.recv() for _ in range(500)])

        async with trio.open_nursery() as nursery:
            async with hs.Push(connect=pull.endpoints[0], linger=math.inf) as push:
                for number in range(500):
                    push.send_nowait(b"%d" % number)
                nursery.start_soon(receive)
            assert push.stats().messages_out == 500
        assert got == [b"%d" % n for n in range(500)]


async def test_linger_passes_and_the_rest_is_counted(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    push = hs.Push(connect="inproc://x", sndhwm=3, linger=7)
    async with hs.Pull(bind="inproc://x", rcvhwm=1), push.monitor() as events:
        start = trio.current_time()
        async with push:
            assert fill(push.send_nowait) == 4
        assert trio.current_time() - start == 7
        assert push.stats().drops == {hs.DropReason.LINGER: 3}
        event = await next_event(events, hs.events.MessagesDropped)
        assert (event.reason, event.count) == (hs.DropReason.LINGER, 3)
        assert "linger expired (3 so far" in caplog.text


async def test_no_linger_closes_at_once() -> None:
    async with hs.Push(connect="inproc://nobody", linger=0) as push:
        assert await would_block(push.wait_connected)
        await push.send(b"x")
    assert push.stats().drops == {hs.DropReason.LINGER: 1}


async def test_aclose_does_not_linger() -> None:
    async with hs.Push(connect="inproc://nobody", linger=math.inf) as push:
        await push.send(b"x")
        await push.aclose()
        assert push.stats().drops == {hs.DropReason.LINGER: 1}


async def test_aclose_cuts_a_linger_short() -> None:
    push = hs.Push(connect="inproc://nobody", linger=math.inf)

    async def leave() -> None:
        async with push:
            await push.send(b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(30):
            await push.aclose()
    assert push.stats().drops == {hs.DropReason.LINGER: 1}


async def test_unbind_lingers_and_no_longer(autojump_clock: trio.testing.MockClock) -> None:
    async with joined(hs.Push(sndhwm=2, linger=3), hs.Pull(rcvhwm=1)) as (push, pull):
        assert fill(push.send_nowait) == 3
        start = trio.current_time()
        await push.unbind("inproc://joined")
        assert trio.current_time() - start == pytest.approx(3, abs=0.01)
        assert push.stats().drops == {hs.DropReason.LINGER: 2}
        assert drain(pull.recv_nowait) == [b"0"]


async def test_a_cancelled_unbind_frees_the_endpoint_at_once(anywhere: str) -> None:
    async with hs.Pull() as pull, hs.Pull() as other:
        where = await pull.bind(anywhere)
        with trio.CancelScope() as scope:
            scope.cancel()
            await pull.unbind(where)
        assert await other.bind(where) == where


async def test_a_second_aclose_that_is_cancelled_has_closed(anywhere: str) -> None:
    push = hs.Push(bind=anywhere, linger=1000)

    async def linger() -> None:
        async with push:
            await push.connect("tcp://127.0.0.1:1")
            push.send_nowait(b"never written")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(linger)
        await trio.testing.wait_all_tasks_blocked()
        (where,) = push.endpoints
        with trio.CancelScope() as scope:
            scope.cancel()
            await push.aclose()
        assert scope.cancelled_caught
        async with hs.Pull(bind=where):
            pass
