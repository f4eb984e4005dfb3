"""REQ and REP (RFC 28), as long as nothing is abandoned."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import eventually, joined, would_block


async def test_request_and_reply(anywhere: str) -> None:
    async with joined(hs.Rep(), hs.Req(), anywhere) as (rep, req):
        for number in range(3):
            await req.send(b"ask %d" % number)
            assert await rep.recv() == b"ask %d" % number
            await rep.send(b"answer %d" % number)
            assert await req.recv() == b"answer %d" % number


async def test_either_side_binds(anywhere: str) -> None:
    async with joined(hs.Req(), hs.Rep(), anywhere) as (req, rep):
        await req.send_multipart([b"a", b"", b"b"])
        assert await rep.recv_multipart() == [b"a", b"", b"b"]
        await rep.send_multipart([b"", b""])
        assert await req.recv_multipart() == [b"", b""]


async def test_a_request_is_prefixed_by_an_empty_frame() -> None:
    async with joined(hs.Router(), hs.Req(routing_id=b"me")) as (router, req):
        await req.send(b"body")
        assert await router.recv_multipart() == [b"me", b"", b"body"]
        await req.send(b"")
        assert await router.recv_multipart() == [b"me", b"", b""]


async def test_a_correlated_request_has_its_number_before_that() -> None:
    async with joined(hs.Router(), hs.Req(routing_id=b"me", req_correlate=True)) as (router, req):
        await req.send(b"body")
        who, number, empty, body = await router.recv_multipart()
        assert (who, len(number), empty, body) == (b"me", 4, b"", b"body")
        await router.send_multipart([b"me", b"????", b"", b"not this"])
        await router.send_multipart([b"me", b"", b"nor this"])
        await router.send_multipart([b"me", number, b"", b"this"])
        assert await req.recv() == b"this"
        assert req.stats().drops == {hs.DropReason.STALE_REPLY: 2}


async def test_rep_keeps_the_envelope_and_its_delimiter() -> None:
    async with joined(hs.Rep(), hs.Dealer()) as (rep, dealer):
        await dealer.send_multipart([b"one", b"two", b"", b"body", b"", b"tail"])
        assert await rep.recv_multipart() == [b"body", b"", b"tail"]
        await rep.send_multipart([b"reply", b""])
        assert await dealer.recv_multipart() == [b"one", b"two", b"", b"reply", b""]


@pytest.mark.parametrize("frames", [[b"no delimiter"], [b"a", b"b"], [b""], [b"a", b""]])
async def test_rep_counts_malformed_requests_and_goes_on(frames: list[bytes]) -> None:
    async with joined(hs.Rep(), hs.Dealer()) as (rep, dealer):
        await dealer.send_multipart(frames)
        await dealer.send_multipart([b"", b"good"])
        assert await rep.recv() == b"good"
        assert rep.stats().drops == {hs.DropReason.MALFORMED: 1}


@pytest.mark.parametrize("frames", [[b"no delimiter"], [b"a", b"b", b""], [b""], [b"x", b""]])
async def test_req_counts_malformed_replies_and_waits_on(frames: list[bytes]) -> None:
    async with joined(hs.Router(), hs.Req(routing_id=b"me")) as (router, req):
        await req.send(b"?")
        await router.recv_multipart()
        await router.send_multipart([b"me", *frames])
        await router.send_multipart([b"me", b"", b"good"])
        assert await req.recv() == b"good"
        assert req.stats().drops == {hs.DropReason.MALFORMED: 1}


async def test_requests_go_round_robin_and_replies_come_from_the_last_asked() -> None:
    async with (
        hs.Router(bind="inproc://a") as a,
        hs.Router(bind="inproc://b") as b,
        hs.Req(connect=["inproc://a", "inproc://b"], routing_id=b"me") as req,
    ):
        await req.wait_connected(2)
        for asked, other in [(a, b), (b, a), (a, b)]:
            await req.send(b"?")
            assert await asked.recv_multipart() == [b"me", b"", b"?"]
            await other.send_multipart([b"me", b"", b"from the wrong one"])
            await asked.send_multipart([b"me", b"", b"right"])
            assert await req.recv() == b"right"
        assert req.stats().drops[hs.DropReason.STALE_REPLY] == 3


async def test_rep_takes_requests_in_turn() -> None:
    async with (
        hs.Rep(bind="inproc://rep") as rep,
        hs.Dealer(connect="inproc://rep") as greedy,
        hs.Dealer(connect="inproc://rep") as modest,
    ):
        for number in range(3):
            await greedy.send_multipart([b"", b"greedy %d" % number])
        for number in range(2):
            await modest.send_multipart([b"", b"modest %d" % number])
        served = []
        for _ in range(5):
            served.append(await rep.recv())
            await rep.send(b"")
    assert served == [b"greedy 0", b"modest 0", b"greedy 1", b"modest 1", b"greedy 2"]


async def test_req_waits_for_a_peer_to_ask() -> None:
    async with hs.Req() as req:
        with pytest.raises(trio.WouldBlock):
            req.send_nowait(b"?")
        assert await would_block(lambda: req.send(b"?"))
        async with hs.Rep() as rep, trio.open_nursery() as nursery:
            nursery.start_soon(req.send, b"waited")
            await trio.testing.wait_all_tasks_blocked()
            await rep.bind("inproc://late")
            await req.connect("inproc://late")
            assert await rep.recv() == b"waited"


# Out of turn


async def test_rep_out_of_turn() -> None:
    async with joined(hs.Rep(), hs.Req()) as (rep, req):
        for call in (lambda: rep.send(b""), lambda: rep.send_multipart([b"", b""])):
            with pytest.raises(hs.StateError, match="no request to reply to: receive one first"):
                await call()
        with pytest.raises(hs.StateError, match="receive one first"):
            rep.send_nowait(b"")
        await req.send(b"?")
        assert await rep.recv() == b"?"
        with pytest.raises(hs.StateError, match="not answered: send its reply first"):
            await rep.recv()
        with pytest.raises(hs.StateError, match="send its reply first"):
            rep.recv_multipart_nowait()
        await rep.send(b"!")
        assert await req.recv() == b"!"


async def test_req_receives_nothing_that_it_did_not_ask_for() -> None:
    async with joined(hs.Rep(), hs.Req()) as (_, req):
        with pytest.raises(hs.StateError, match="no request to be replied to: send one first"):
            await req.recv()
        with pytest.raises(hs.StateError, match="send one first"):
            req.recv_nowait()


async def test_strict_req_keeps_its_turn() -> None:
    async with joined(hs.Rep(), hs.Req(req_relaxed=False)) as (rep, req):
        await req.send(b"first")
        for _ in range(2):
            with pytest.raises(hs.StateError, match="its reply not received: receive it first"):
                await req.send(b"second")
            with pytest.raises(hs.StateError, match="req_relaxed"):
                req.send_nowait(b"second")
            with pytest.raises(hs.StateError, match="receive it first"):
                await req.request(b"second")
        await rep.recv()
        await rep.send(b"reply")
        with pytest.raises(hs.StateError):
            await req.send(b"the reply is here, but not received")
        assert await req.recv() == b"reply"
        await req.send(b"second")
        assert await rep.recv() == b"second"


async def test_two_tasks_reply_once() -> None:
    async with joined(hs.Rep(), hs.Req()) as (rep, req):
        outcomes: list[str] = []

        async def reply(text: bytes) -> None:
            try:
                await rep.send(text)
            except hs.StateError:
                outcomes.append("out of turn")
            else:
                outcomes.append("sent")

        for _ in range(100):
            await req.send(b"?")
            await rep.recv()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reply, b"1")
                nursery.start_soon(reply, b"2")
            assert sorted(outcomes) == ["out of turn", "sent"]
            outcomes.clear()
            assert await req.recv() in (b"1", b"2")
            with pytest.raises(hs.StateError):
                req.recv_nowait()


async def test_two_tasks_ask_a_strict_req_once() -> None:
    async with joined(hs.Rep(), hs.Req(req_relaxed=False)) as (rep, req):
        refused = 0

        async def ask() -> None:
            nonlocal refused
            try:
                await req.send(b"?")
            except hs.StateError:
                refused += 1

        for number in range(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
            assert refused == number + 1
            await rep.recv()
            await rep.send(b"!")
            await req.recv()


# Replies to nobody


async def test_a_reply_to_a_requester_that_is_gone_is_counted(anywhere: str) -> None:
    async with hs.Rep(bind=anywhere) as rep, rep.monitor() as events:
        async with hs.Req(connect=rep.endpoints[0]) as req:
            await req.send(b"?")
            assert await rep.recv() == b"?"
        await eventually(lambda: not rep.stats().peers)
        await rep.send(b"!")
        assert rep.stats().drops == {hs.DropReason.PEER_GONE: 1}
        async with hs.Req(connect=rep.endpoints[0]) as req:
            await req.send(b"again")
            assert await rep.recv() == b"again"
            await rep.send(b"!")
            assert await req.recv() == b"!"
    assert any(isinstance(event, hs.events.MessagesDropped) for event in [e async for e in events])


async def test_a_reply_to_a_requester_that_is_full_is_counted() -> None:
    async with joined(hs.Rep(sndhwm=1), hs.Dealer(rcvhwm=1)) as (rep, dealer):
        for _ in range(3):
            await dealer.send_multipart([b"", b"?"])
            await rep.recv()
            await rep.send(b"!")
        assert rep.stats().drops == {hs.DropReason.HIGH_WATER_MARK: 1}
        assert rep.stats().messages_out + rep.stats().queued_out == 2


async def test_rep_with_full_queues_serves_one_request_at_a_time() -> None:
    async with (
        hs.Rep(bind="inproc://rep", rcvhwm=1) as rep,
        hs.Dealer(connect="inproc://rep") as a,
        hs.Dealer(connect="inproc://rep") as b,
        trio.open_nursery() as nursery,
    ):
        served = []

        async def take() -> None:
            served.append(await rep.recv())

        for _ in range(6):
            nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(3):
            await a.send_multipart([b"", b"a%d" % number])
            await b.send_multipart([b"", b"b%d" % number])
        for done in range(1, 7):
            await trio.testing.wait_all_tasks_blocked()
            assert len(served) == done
            await rep.send(b"")
        await trio.testing.wait_all_tasks_blocked()
        assert served == [b"a0", b"b0", b"a1", b"b1", b"a2", b"b2"]
