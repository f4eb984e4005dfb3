"""Requests that are abandoned or cancelled: their replies are never seen."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import eventually, joined, next_event, would_block


async def test_the_reply_to_a_cancelled_request_is_never_seen(anywhere: str) -> None:
    async with joined(hs.Rep(), hs.Req(), anywhere) as (rep, req):
        for number in range(3):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(req.request, b"old %d" % number)
                    assert await rep.recv() == b"old %d" % number
                    scope.cancel()
            async with trio.open_nursery() as nursery:

                async def serve(number: int = number) -> None:
                    await rep.send(b"late %d" % number)
                    assert await rep.recv() == b"new %d" % number
                    await rep.send(b"right %d" % number)

                nursery.start_soon(serve)
                assert await req.request(b"new %d" % number) == b"right %d" % number


async def test_the_late_reply_that_comes_first_is_dropped(anywhere: str) -> None:
    async with joined(hs.Rep(), hs.Req(), anywhere) as (rep, req):
        await req.send(b"old")
        await rep.recv()
        with trio.move_on_after(0):
            await req.request(b"cancelled before it began")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(req.recv)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        await rep.send(b"to the old")
        assert await req.recv() == b"to the old"  # a cancelled recv abandons nothing


async def test_when_req_binds(anywhere: str) -> None:
    async with joined(hs.Req(), hs.Rep(reconnect_ivl=0.01), anywhere) as (req, rep):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(req.request, b"old")
                assert await rep.recv() == b"old"
                scope.cancel()
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await rep.send(b"late")
                assert await rep.recv() == b"new"
                await rep.send(b"right")

            nursery.start_soon(serve)
            assert await req.request(b"new") == b"right"
        # A REP answers in turn, so there was no need for another connection.
        assert not req.stats().disconnects
        assert req.stats().drops == {hs.DropReason.STALE_REPLY: 1}


async def test_several_abandoned_requests_are_counted_off(anywhere: str) -> None:
    async with joined(hs.Req(), hs.Rep(), anywhere) as (req, rep):
        for number in range(3):
            await req.send(b"old %d" % number)
            await eventually(lambda: not req.stats().queued_out)
        for number in range(3):
            assert await rep.recv() == b"old %d" % number
            await rep.send(b"late %d" % number)
        assert await req.recv() == b"late 2"  # of the only request that was not abandoned
        assert req.stats().drops == {hs.DropReason.STALE_REPLY: 2}


async def test_a_router_that_answers_out_of_order(anywhere: str) -> None:
    async with joined(hs.Router(), hs.Req(), anywhere) as (router, req):
        envelopes = []
        for number in range(4):
            await req.send(b"%d" % number)
            frames = await router.recv_multipart()
            assert frames[-1] == b"%d" % number
            envelopes.append(frames[:-1])
        for number in (2, 0, 1, 3):
            await router.send_multipart([*envelopes[number], b"reply %d" % number])
        assert await req.recv() == b"reply 3"
        assert await would_block(lambda: req.request(b"nothing more is here"))


async def test_correlated_replies_find_their_requests_in_any_order(anywhere: str) -> None:
    replies: dict[bytes, bytes] = {}
    async with joined(hs.Router(), hs.Req(req_correlate=True), anywhere) as (router, req):

        async def ask(text: bytes) -> None:
            replies[text] = await req.request(text)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, b"%d" % number)
            envelopes = {}
            for _ in range(20):
                *envelope, body = await router.recv_multipart()
                envelopes[body] = envelope
            for body in sorted(envelopes, reverse=True):
                await router.send_multipart([*envelopes[body], b"re " + body])
        assert replies == {b"%d" % n: b"re %d" % n for n in range(20)}
        assert not req.stats().dropped


async def test_a_cancelled_correlated_request_leaves_the_others(anywhere: str) -> None:
    async with joined(hs.Router(), hs.Req(req_correlate=True), anywhere) as (router, req):
        got = []

        async def ask() -> None:
            got.append(await req.request(b"patient"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            patient = await router.recv_multipart()
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as hasty:
                    hasty.start_soon(req.request, b"hasty")
                    cancelled = await router.recv_multipart()
                    scope.cancel()
            await router.send_multipart([*cancelled[:-1], b"late"])
            await router.send_multipart([*patient[:-1], b"right"])
        assert got == [b"right"]
        assert req.stats().drops == {hs.DropReason.STALE_REPLY: 1}


async def test_a_request_still_queued_is_retracted() -> None:
    async with hs.Req(connect="inproc://later") as req:
        for number in range(5):
            assert await would_block(lambda number=number: req.request(b"%d" % number))
        assert req.stats().queued_out == 0
        await req.send(b"6")
        await req.send(b"7")
        assert req.stats().queued_out == 1
        async with hs.Router(bind="inproc://later") as router:
            assert (await router.recv_multipart())[1:] == [b"", b"7"]
            with pytest.raises(trio.WouldBlock):
                router.recv_multipart_nowait()


async def test_a_retracted_request_makes_room_for_those_who_wait() -> None:
    async with hs.Req(connect="inproc://later", sndhwm=1) as req:
        await req.send(b"first")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(req.send, b"second")
            await trio.testing.wait_all_tasks_blocked()
            await req.connect("inproc://other")
        stats = req.stats()
        assert stats.queued_out == 1
        async with hs.Router(bind=["inproc://later", "inproc://other"]) as router:
            assert (await router.recv_multipart())[1:] == [b"", b"second"]
            with pytest.raises(trio.WouldBlock):
                router.recv_multipart_nowait()


async def test_a_relaxed_req_may_replace_a_request_that_fills_the_queue() -> None:
    async with hs.Req(connect="inproc://later", sndhwm=1) as req:
        for number in range(3):
            with trio.fail_after(30):
                await req.send(b"%d" % number)
        assert req.stats().queued_out == 1
        async with hs.Router(bind="inproc://later") as router:
            assert (await router.recv_multipart())[1:] == [b"", b"2"]


async def test_every_accepted_request_is_accounted_for() -> None:
    async with hs.Req(connect="inproc://later") as req:
        for number in range(3):
            await req.send(b"%d" % number)
        stats = req.stats()
        assert stats.messages_out + stats.queued_out + stats.dropped == 3
        assert stats.drops == {hs.DropReason.REQUEST_ABANDONED: 2}
        req.linger = 0


async def test_a_peer_that_owes_a_reply_is_passed_over() -> None:
    async with (
        hs.Router(bind="inproc://a") as a,
        hs.Router(bind="inproc://b") as b,
        hs.Req(connect=["inproc://a", "inproc://b"]) as req,
    ):
        await req.wait_connected(2)
        await req.send(b"1")  # to a
        await req.send(b"2")  # to b
        from_a, from_b = await a.recv_multipart(), await b.recv_multipart()
        await b.send_multipart([*from_b[:-1], b"reply"])
        assert await req.recv() == b"reply"
        await req.send(b"3")  # a's turn, but a has not answered 1
        assert (await b.recv_multipart())[-1] == b"3"
        await a.send_multipart([*from_a[:-1], b"late"])
        assert req.stats().drops == {hs.DropReason.STALE_REPLY: 1}
        await req.send(b"4")
        assert (await a.recv_multipart())[-1] == b"4"  # all is forgiven
        assert req.stats().disconnects == 0


async def test_a_debt_is_cut_off_without_a_failed_handshake(here: str) -> None:
    async with joined(hs.Router(), hs.Req(routing_id=b"me"), here) as (router, req):
        await req.send(b"1")
        assert await router.recv_multipart() == [b"me", b"", b"1"]
        async with req.monitor() as events:
            await req.send(b"2")
            with trio.fail_after(20):
                assert await router.recv_multipart() == [b"me", b"", b"2"]
            event = await next_event(events, hs.events.Disconnected)
        assert event.reason is hs.Reason.REQUEST_ABANDONED
        if here.startswith("inproc"):
            assert req.stats().handshake_failures == router.stats().handshake_failures == 0


# Turns


async def test_requests_take_turns_in_their_order(here: str) -> None:
    order = []
    async with joined(hs.Rep(), hs.Req(), here) as (rep, req):

        async def ask(number: int) -> None:
            assert await req.request(b"%d" % number) == b"re %d" % number
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, number)
                await trio.lowlevel.checkpoint()
            for number in range(10):
                served = await rep.recv()
                assert len(order) == number
                await rep.send(b"re " + served)
                await eventually(lambda number=number: len(order) == number + 1)
    assert sorted(order) == list(range(10))


async def test_the_turn_is_passed_on_when_a_request_is_cancelled() -> None:
    async with joined(hs.Rep(), hs.Req()) as (rep, req):
        scopes = [trio.CancelScope() for _ in range(4)]
        finished = []

        async def ask(number: int) -> None:
            with scopes[number]:
                await req.request(b"%d" % number)
                finished.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(ask, number)
                await trio.testing.wait_all_tasks_blocked()
            scopes[1].cancel()  # it waits for its turn
            scopes[0].cancel()  # it has it
            for expected in (b"0", b"2", b"3"):
                assert await rep.recv() == expected
                await rep.send(b"!")
                await trio.testing.wait_all_tasks_blocked()
        assert finished == [2, 3]


async def test_others_keep_out_of_a_request() -> None:
    async with joined(hs.Rep(), hs.Req()) as (rep, req), trio.open_nursery() as nursery:
        nursery.start_soon(req.request, b"?")
        assert await rep.recv() == b"?"
        for call in (lambda: req.send(b""), req.recv, lambda: req.send_multipart([b"", b""])):
            with pytest.raises(trio.BusyResourceError, match="in the middle of request"):
                await call()
        for call_nowait in (lambda: req.send_nowait(b""), req.recv_nowait):
            with pytest.raises(trio.BusyResourceError):
                call_nowait()
        await rep.send(b"!")


async def test_a_request_keeps_out_of_a_recv() -> None:
    async with joined(hs.Rep(), hs.Req()) as (rep, req), trio.open_nursery() as nursery:
        await req.send(b"mine")
        got = []

        async def receive() -> None:
            got.append(await req.recv())

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await req.request(b"other")
        assert await rep.recv() == b"mine"
        await rep.send(b"reply to mine")
        await trio.testing.wait_all_tasks_blocked()
        assert got == [b"reply to mine"]


async def test_a_multipart_reply_to_a_single_part_request() -> None:
    async with joined(hs.Rep(), hs.Req()) as (rep, req), trio.open_nursery() as nursery:

        async def serve() -> None:
            for _ in range(2):
                await rep.recv_multipart()
                await rep.send_multipart([b"a", b"b"])

        nursery.start_soon(serve)
        with pytest.raises(hs.MultipartError, match="2 parts: use request_multipart"):
            await req.request(b"?")
        assert await req.request_multipart([b"?", b"!"]) == [b"a", b"b"]


@pytest.mark.parametrize("correlate", [False, True])
async def test_closing_ends_every_request(correlate: bool) -> None:
    async with joined(hs.Rep(), hs.Req(req_correlate=correlate)) as (_, req):
        ended = 0

        async def ask() -> None:
            nonlocal ended
            with pytest.raises(trio.ClosedResourceError):
                await req.request(b"?")
            ended += 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await req.aclose()
        assert ended == 3
