"""Requests that are numbered, abandoned or answered late, with libzmq at the other side."""

from __future__ import annotations

import pytest
import trio

import hypersocket as hs

from .peers import Binder, Theirs, eventually, join, ours

TCP = "tcp://127.0.0.1:*"
BINDERS = ["ours binds", "theirs binds"]


@pytest.mark.parametrize("binder", BINDERS)
async def test_numbered_requests_with_their_rep(binder: Binder) -> None:
    async with ours("REQ", req_correlate=True) as mine, Theirs("REP") as theirs:
        await join(mine, theirs, binder, TCP)
        for number in range(10):
            await mine.send_multipart([b"request", b"%d" % number])
            assert await theirs.recv_multipart() == [b"request", b"%d" % number]
            await theirs.send_multipart([b"reply", b"%d" % number])
            assert await mine.recv_multipart() == [b"reply", b"%d" % number]


@pytest.mark.parametrize("binder", BINDERS)
async def test_numbered_requests_with_their_router(binder: Binder) -> None:
    async with ours("REQ", req_correlate=True) as mine, Theirs("ROUTER") as theirs:
        await join(mine, theirs, binder, TCP)
        await mine.send(b"request")
        envelope = await theirs.recv_multipart()
        assert [len(frame) for frame in envelope] == [5, 4, 0, 7]
        peer, number, _, _ = envelope
        await theirs.send_multipart([peer, b"oops", b"", b"of another number"])
        await theirs.send_multipart([peer, b"", b"of no number"])
        await theirs.send_multipart([peer, number, b"", b"reply"])
        assert await mine.recv() == b"reply"


async def test_many_requests_at_once_that_are_answered_in_reverse() -> None:
    count = 50
    replies: dict[int, bytes] = {}
    async with ours("REQ", req_correlate=True) as mine, Theirs("ROUTER") as theirs:
        await join(mine, theirs, "theirs binds", TCP)

        async def ask(number: int) -> None:
            replies[number] = await mine.request(b"%d" % number)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(ask, number)
            requests = [await theirs.recv_multipart() for _ in range(count)]
            for *envelope, body in reversed(requests):
                await theirs.send_multipart([*envelope, b"reply to " + body])
    assert replies == {number: b"reply to %d" % number for number in range(count)}


@pytest.mark.parametrize("options", [{}, {"req_relaxed": 1, "req_correlate": 1}], ids=str)
@pytest.mark.parametrize("binder", BINDERS)
async def test_their_requests_with_our_rep(options: dict[str, int], binder: Binder) -> None:
    async with ours("REP") as mine, Theirs("REQ", **options) as theirs:
        await join(mine, theirs, binder, TCP)
        for number in range(10):
            if options:
                await theirs.send(b"given up")
                assert await mine.recv() == b"given up"
                await mine.send(b"stale")
            await theirs.send(b"%d" % number)
            assert await mine.recv() == b"%d" % number
            await mine.send_multipart([b"reply", b"%d" % number])
            assert await theirs.recv_multipart() == [b"reply", b"%d" % number]


async def test_their_numbered_requests_with_our_router() -> None:
    async with (
        ours("ROUTER") as mine,
        Theirs("REQ", req_relaxed=1, req_correlate=1) as theirs,
    ):
        await join(mine, theirs, "ours binds", TCP)
        await theirs.send(b"one")
        first = await mine.recv_multipart()
        await theirs.send(b"two")
        second = await mine.recv_multipart()
        assert (len(first[1]), first[2:], second[2:]) == (4, [b"", b"one"], [b"", b"two"])
        await mine.send_multipart([*first[:-1], b"reply to one"])
        await mine.send_multipart([*second[:-1], b"reply to two"])
        assert await theirs.recv() == b"reply to two"


@pytest.mark.parametrize("correlate", [False, True], ids=["plain", "numbered"])
@pytest.mark.parametrize("binder", BINDERS)
async def test_cancelled_request_to_their_slow_rep(binder: Binder, correlate: bool) -> None:
    async with ours("REQ", req_correlate=correlate) as mine, Theirs("REP") as theirs:
        await join(mine, theirs, binder, TCP)
        for number in range(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mine.request, b"given up %d" % number)
                assert await theirs.recv() == b"given up %d" % number
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def answer(number: int = number) -> None:
                    await theirs.send(b"late %d" % number)
                    assert await theirs.recv() == b"wanted %d" % number
                    await theirs.send(b"right %d" % number)

                assert await mine.request(b"wanted %d" % number) == b"right %d" % number


@pytest.mark.parametrize("binder", BINDERS)
async def test_cancelled_wait_between_send_and_recv(binder: Binder) -> None:
    async with ours("REQ") as mine, Theirs("REP") as theirs:
        await join(mine, theirs, binder, TCP)
        await mine.send(b"given up")
        assert await theirs.recv() == b"given up"
        with trio.move_on_after(0.01):
            await mine.recv()
        await theirs.send(b"late")
        await mine.send(b"wanted")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer() -> None:
                while await theirs.recv() != b"wanted":
                    await theirs.send(b"late again")
                await theirs.send(b"right")

            assert await mine.recv() == b"right"


@pytest.mark.parametrize("binder", BINDERS)
async def test_their_rep_answers_only_after_the_next_request_was_sent(binder: Binder) -> None:
    """A REP that connects keeps its late replies for the next connection, should there be one."""
    async with ours("REQ") as mine, Theirs("REP", reconnect_ivl=20) as theirs:
        await join(mine, theirs, binder, TCP)
        for _ in range(5):
            await mine.send(b"given up")
            assert await theirs.recv() == b"given up"
            await mine.send(b"wanted")
            await theirs.send(b"late")
            assert await theirs.recv() == b"wanted"
            await theirs.send(b"right")
            assert await mine.recv() == b"right"


async def test_a_wait_that_is_cancelled_can_be_taken_up_again() -> None:
    async with ours("REQ") as mine, Theirs("REP") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        await mine.send(b"request")
        with trio.move_on_after(0.01):
            await mine.recv()
        assert await theirs.recv() == b"request"
        await theirs.send(b"reply")
        assert await mine.recv() == b"reply"


@pytest.mark.parametrize("first", ["stale", "wanted"])
@pytest.mark.parametrize("binder", BINDERS)
async def test_their_router_answers_numbered_requests_out_of_order(
    binder: Binder, first: str
) -> None:
    async with ours("REQ", req_correlate=True) as mine, Theirs("ROUTER") as theirs:
        await join(mine, theirs, binder, TCP)
        for _ in range(5):
            await mine.send(b"given up")
            stale = await theirs.recv_multipart()
            await mine.send(b"wanted")
            wanted = await theirs.recv_multipart()
            order = [(stale, b"late"), (wanted, b"right")]
            for request, reply in order if first == "stale" else order[::-1]:
                await theirs.send_multipart([*request[:-1], reply])
            assert await mine.recv() == b"right"


@pytest.mark.parametrize("first", ["stale", "wanted"])
async def test_their_router_answers_plain_requests_out_of_order(first: str) -> None:
    """The second request comes by a new connection, so the stale reply finds nobody."""
    async with ours("REQ") as mine, Theirs("ROUTER") as theirs:
        await join(mine, theirs, "theirs binds", TCP)
        for _ in range(20):
            await mine.send(b"given up")
            stale = await theirs.recv_multipart()
            await mine.send(b"wanted")
            wanted = await theirs.recv_multipart()
            assert stale[0] != wanted[0]
            order = [(stale, b"late"), (wanted, b"right")]
            for request, reply in order if first == "stale" else order[::-1]:
                await theirs.send_multipart([*request[:-1], reply])
            assert await mine.recv() == b"right"


async def test_a_stale_reply_to_numbered_requests_is_counted() -> None:
    async with ours("REQ", req_correlate=True) as mine, Theirs("REP") as theirs:
        await join(mine, theirs, "theirs binds", TCP)
        await mine.send(b"given up")
        await mine.send(b"wanted")
        for request in (b"given up", b"wanted"):
            assert await theirs.recv() == request
            await theirs.send(b"reply to " + request)
        assert await mine.recv() == b"reply to wanted"
        await eventually(lambda: mine.stats().drops.get(hs.DropReason.STALE_REPLY) == 1)


async def test_our_requests_go_to_their_reps_in_turn() -> None:
    async with ours("REQ") as mine, Theirs("REP") as one, Theirs("REP") as two:
        await join(mine, one, "theirs binds", TCP)
        await join(mine, two, "theirs binds", TCP)
        for theirs in (one, two, one, two):
            await mine.send(b"request")
            assert await theirs.recv() == b"request"
            await theirs.send(b"reply")
            assert await mine.recv() == b"reply"
