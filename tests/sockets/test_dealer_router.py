"""DEALER and ROUTER (RFC 28)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import drain, eventually, fill, joined, next_event, would_block

# DEALER


async def test_dealer_sends_and_receives_at_any_time(anywhere: str) -> None:
    async with joined(hs.Dealer(), hs.Dealer(), anywhere) as (a, b):
        for number in range(5):
            await a.send(b"a%d" % number)
            await b.send_multipart([b"b", b"", b"%d" % number])
        for number in range(5):
            assert await b.recv() == b"a%d" % number
            assert await a.recv_multipart() == [b"b", b"", b"%d" % number]


async def test_dealer_spreads_round_robin_and_skips_the_full() -> None:
    async with (
        hs.Dealer(bind="inproc://narrow", rcvhwm=1) as narrow,
        hs.Dealer(bind="inproc://wide") as wide,
        hs.Dealer(sndhwm=2) as dealer,
    ):
        await dealer.connect("inproc://narrow")
        await dealer.connect("inproc://wide")
        for number in range(10):
            await dealer.send(b"%d" % number)
        assert drain(wide.recv_nowait) == [b"1", b"3", b"5", b"6", b"7", b"8", b"9"]
        assert drain(narrow.recv_nowait) == [b"0", b"2", b"4"]


async def test_dealer_receives_in_turn() -> None:
    async with (
        hs.Dealer(bind="inproc://d") as dealer,
        hs.Dealer(connect="inproc://d") as a,
        hs.Dealer(connect="inproc://d") as b,
    ):
        for number in range(3):
            await a.send(b"a%d" % number)
        for number in range(2):
            await b.send(b"b%d" % number)
        assert drain(dealer.recv_nowait) == [b"a0", b"b0", b"a1", b"b1", b"a2"]


@pytest.mark.parametrize("rcvhwm", [1, 2, 3, 10])
async def test_turns_stay_fair_when_queues_refill(rcvhwm: int) -> None:
    async with (
        hs.Dealer(bind="inproc://d", rcvhwm=rcvhwm) as dealer,
        hs.Dealer(connect="inproc://d") as a,
        hs.Dealer(connect="inproc://d") as b,
    ):
        for number in range(50):
            await a.send(b"a%d" % number)
            await b.send(b"b%d" % number)
        got = drain(dealer.recv_nowait)
        assert got == [b"%c%d" % (who, n) for n in range(50) for who in b"ab"]
        assert not len(dealer._queue)


async def test_dealer_without_peers_waits() -> None:
    async with hs.Dealer() as dealer:
        with pytest.raises(trio.WouldBlock):
            dealer.send_nowait(b"")
        with pytest.raises(trio.WouldBlock):
            dealer.recv_nowait()
        assert await would_block(lambda: dealer.send(b""))


async def test_a_dialled_peer_takes_messages_before_it_is_there() -> None:
    async with hs.Dealer(connect="inproc://later", sndhwm=3) as dealer:
        assert fill(dealer.send_nowait) == 3
        async with hs.Dealer(bind="inproc://later") as later:
            assert drain(later.recv_nowait) == [b"0", b"1", b"2"]


async def test_immediate_waits_for_the_connection() -> None:
    async with hs.Dealer(connect="inproc://later", immediate=True) as dealer:
        with pytest.raises(trio.WouldBlock):
            dealer.send_nowait(b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dealer.send, b"waited")
            await trio.testing.wait_all_tasks_blocked()
            assert dealer.stats().queued_out == 0
            async with hs.Dealer(bind="inproc://later") as later:
                assert await later.recv() == b"waited"
        assert await would_block(lambda: dealer.send(b"the peer has left"))


async def test_immediate_turned_off_lets_in_who_waits() -> None:
    async with hs.Dealer(connect="inproc://later", immediate=True) as dealer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dealer.send, b"waited")
            await trio.testing.wait_all_tasks_blocked()
            dealer.immediate = False
            with trio.fail_after(30):
                await trio.testing.wait_all_tasks_blocked()
                await eventually(lambda: dealer.stats().queued_out)
        dealer.linger = 0


@pytest.mark.parametrize("kind", [hs.Dealer, hs.Req])
async def test_probe_router_tells_the_router(kind: type[hs.Dealer | hs.Req], here: str) -> None:
    async with joined(hs.Router(), kind(routing_id=b"me", probe_router=True), here) as (router, _):
        assert await router.recv_multipart() == [b"me", b""]
    async with joined(kind(routing_id=b"me", probe_router=True), hs.Router(), here) as (_, router):
        assert await router.recv_multipart() == [b"me", b""]


async def test_routers_that_probe_know_each_other(here: str) -> None:
    one = hs.Router(routing_id=b"1", probe_router=True)
    two = hs.Router(routing_id=b"2", probe_router=True)
    async with joined(one, two, here):
        assert await one.recv_multipart() == [b"2", b""]
        assert await two.recv_multipart() == [b"1", b""]
        await one.send_multipart([b"2", b"hello", b"there"])
        assert await two.recv_multipart() == [b"1", b"hello", b"there"]


# ROUTER


async def test_router_addresses_its_peers(anywhere: str) -> None:
    async with hs.Router(bind=anywhere) as router:
        where = router.endpoints[0]
        async with (
            hs.Dealer(connect=where, routing_id=b"A") as a,
            hs.Dealer(connect=where, routing_id=b"B" * 255) as b,
        ):
            await router.wait_connected(2)
            for number in range(3):
                await router.send_multipart([b"B" * 255, b"b%d" % number])
                await router.send_multipart([b"A", b"a%d" % number, b"", b"x"])
            for number in range(3):
                assert await a.recv_multipart() == [b"a%d" % number, b"", b"x"]
                assert await b.recv() == b"b%d" % number
            await a.send(b"")
            assert await router.recv_multipart() == [b"A", b""]
            assert {peer.routing_id for peer in router.stats().peers} == {b"A", b"B" * 255}


async def test_given_routing_ids_begin_with_zero_and_differ(here: str) -> None:
    async with hs.Router(bind=here) as router:
        where = router.endpoints[0]
        async with hs.Dealer(connect=where) as a, hs.Dealer(connect=where) as b:
            await a.send(b"a")
            await b.send(b"b")
            found = {}
            for _ in range(2):
                who, text = await router.recv_multipart()
                assert who[:1] == b"\0"
                assert len(who) == 5
                found[text] = who
            assert found[b"a"] != found[b"b"]
            await router.send_multipart([found[b"a"], b"to a"])
            await router.send_multipart([found[b"b"], b"to b"])
            assert (await a.recv(), await b.recv()) == (b"to a", b"to b")


async def test_router_receives_in_turn() -> None:
    async with (
        hs.Router(bind="inproc://r") as router,
        hs.Dealer(connect="inproc://r", routing_id=b"a") as a,
        hs.Dealer(connect="inproc://r", routing_id=b"b") as b,
    ):
        for _ in range(3):
            await a.send(b"")
        await b.send(b"")
        assert [frames[0] for frames in drain(router.recv_multipart_nowait)] == [
            b"a",
            b"b",
            b"a",
            b"a",
        ]
        await a.send(b"x")
        with pytest.raises(hs.MultipartError):
            await router.recv()
        assert await router.recv_multipart() == [b"a", b"x"]


async def test_what_goes_nowhere_is_counted_and_told_once() -> None:
    async with hs.Router(bind="inproc://r") as router, router.monitor() as events:
        for _ in range(3):
            await router.send_multipart([b"nobody", b"x"])
        assert router.stats().drops == {hs.DropReason.UNROUTABLE: 3}
        event = await next_event(events, hs.events.MessagesDropped)
        assert (event.reason, event.count) == (hs.DropReason.UNROUTABLE, 1)
    assert not [e async for e in events if isinstance(e, hs.events.MessagesDropped)]


async def test_a_full_peer_loses_messages_and_the_loss_is_counted() -> None:
    async with joined(hs.Router(sndhwm=2), hs.Dealer(rcvhwm=3, routing_id=b"d")) as (router, d):
        for number in range(9):
            await router.send_multipart([b"d", b"%d" % number])
        assert router.stats().drops == {hs.DropReason.HIGH_WATER_MARK: 4}
        assert router.stats().peers[0].drops == {hs.DropReason.HIGH_WATER_MARK: 4}
        assert drain(d.recv_nowait) == [b"0", b"1", b"2", b"3", b"4"]


async def test_router_needs_an_address() -> None:
    async with hs.Router(bind="inproc://r") as router:
        with pytest.raises(ValueError, match="at least two: use send_multipart"):
            await router.send(b"x")
        with pytest.raises(ValueError, match="at least two"):
            router.send_multipart_nowait([b"x"])


async def test_mandatory_refuses_unknown_peers() -> None:
    async with joined(hs.Router(router_mandatory=True), hs.Dealer(routing_id=b"d")) as (router, d):
        with pytest.raises(hs.HostUnreachable, match="no peer of the routing id b'x'"):
            await router.send_multipart([b"x", b""])
        with pytest.raises(hs.HostUnreachable):
            router.send_multipart_nowait([b"x", b""])
        await router.send_multipart([b"d", b"known"])
        assert await d.recv() == b"known"
        assert not router.stats().dropped


async def test_mandatory_waits_for_a_full_peer_and_for_no_other() -> None:
    async with (
        hs.Router(bind="inproc://r", router_mandatory=True, sndhwm=1) as router,
        hs.Dealer(connect="inproc://r", routing_id=b"full", rcvhwm=1) as full,
        hs.Dealer(connect="inproc://r", routing_id=b"free") as free,
    ):
        assert fill(lambda data: router.send_multipart_nowait([b"full", data])) == 2
        async with trio.open_nursery() as nursery:
            for number in range(2, 6):
                nursery.start_soon(router.send_multipart, [b"full", b"%d" % number])
                await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                router.send_multipart_nowait([b"full", b"out of turn"])
            await router.send_multipart([b"free", b"past the others"])
            assert await free.recv() == b"past the others"
            for number in range(6):
                assert await full.recv() == b"%d" % number
        assert not router.stats().dropped


async def test_mandatory_tells_those_who_wait_that_the_peer_left(here: str) -> None:
    async with hs.Router(bind=here, router_mandatory=True, sndhwm=1) as router:
        outcomes = []

        async def send() -> None:
            try:
                await router.send_multipart([b"d", bytes(1 << 20)])
            except hs.HostUnreachable:
                outcomes.append("refused")
            else:
                outcomes.append("accepted")

        dealer = hs.Dealer(connect=router.endpoints[0], routing_id=b"d", rcvhwm=1)
        async with trio.open_nursery() as nursery, dealer:
            await router.wait_connected()
            for _ in range(60):  # more than the system's own buffers hold
                nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            assert "refused" not in outcomes
            await dealer.aclose()
        assert len(outcomes) == 60
        assert outcomes[0] == "accepted"
        assert outcomes[-1] == "refused"


async def test_mandatory_turned_off_drops_for_those_who_wait() -> None:
    async with joined(
        hs.Router(router_mandatory=True, sndhwm=1), hs.Dealer(rcvhwm=1, routing_id=b"d")
    ) as (router, _):
        fill(lambda data: router.send_multipart_nowait([b"d", data]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(router.send_multipart, [b"d", b"x"])
            await trio.testing.wait_all_tasks_blocked()
            router.router_mandatory = False
            await trio.testing.wait_all_tasks_blocked()
            assert router.stats().drops == {hs.DropReason.HIGH_WATER_MARK: 1}
            nursery.cancel_scope.cancel()
        router.linger = 0


async def test_a_routing_id_in_use_is_refused(here: str) -> None:
    async with hs.Router(bind=here) as router, router.monitor() as events:
        where = router.endpoints[0]
        async with (
            hs.Dealer(connect=where, routing_id=b"same") as first,
            hs.Dealer(routing_id=b"same", reconnect_ivl=0.01) as second,
        ):
            await router.wait_connected()
            await second.connect(where)
            failed = await next_event(events, hs.events.HandshakeFailed)
            assert failed.reason is hs.Reason.DUPLICATE_ROUTING_ID
            assert router.stats().handshake_failures >= 1
            await router.send_multipart([b"same", b"for the first"])
            assert await first.recv() == b"for the first"
            await first.aclose()
            with trio.fail_after(20):
                await second.wait_connected()
            await eventually(lambda: len(router.stats().peers) == 1)
            await router.send_multipart([b"same", b"for the second"])
            assert await second.recv() == b"for the second"


async def test_handover_closes_the_old_connection(here: str) -> None:
    async with hs.Router(bind=here, router_handover=True) as router:
        where = router.endpoints[0]
        async with (
            hs.Dealer(connect=where, routing_id=b"same", reconnect_ivl=1000) as first,
            hs.Dealer(routing_id=b"same") as second,
        ):
            await router.wait_connected()
            await first.send(b"from the first")
            await eventually(lambda: router.stats().messages_in)
            async with router.monitor() as events:
                await second.connect(where)
                gone = await next_event(events, hs.events.Disconnected)
            assert gone.reason is hs.Reason.DUPLICATE_ROUTING_ID
            assert gone.routing_id == b"same"
            await second.wait_connected()
            await router.send_multipart([b"same", b"x"])
            assert await second.recv() == b"x"
            assert await router.recv_multipart() == [b"same", b"from the first"]
            await eventually(lambda: not first.stats().peers[0].connected)


async def test_an_accepted_peer_that_leaves_takes_its_queue_along() -> None:
    async with hs.Router(bind="inproc://r", sndhwm=5) as router:
        async with hs.Dealer(connect="inproc://r", routing_id=b"d", rcvhwm=1) as dealer:
            assert dealer.endpoints == ()
            for number in range(4):
                await router.send_multipart([b"d", b"%d" % number])
            await dealer.send(b"stays readable")
        assert router.stats().drops == {hs.DropReason.PEER_GONE: 3}
        assert await router.recv_multipart() == [b"d", b"stays readable"]
        await router.send_multipart([b"d", b"x"])
        assert router.stats().drops[hs.DropReason.UNROUTABLE] == 1


async def test_a_dialled_peer_keeps_its_queue_and_its_id() -> None:
    async with hs.Router(connect="inproc://d") as router:
        async with hs.Dealer(bind="inproc://d", routing_id=b"d"):
            await router.wait_connected()
        await router.send_multipart([b"d", b"while away"])
        assert not router.stats().dropped
        async with hs.Dealer(bind="inproc://d", routing_id=b"d") as again:
            assert await again.recv() == b"while away"


async def test_immediate_turned_off_before_sending() -> None:
    async with hs.Dealer(connect="inproc://later", immediate=True) as dealer:
        with pytest.raises(trio.WouldBlock):
            dealer.send_nowait(b"")
        dealer.immediate = False
        dealer.send_nowait(b"x")
        assert dealer.stats().queued_out == 1
        dealer.linger = 0


async def test_an_id_of_ours_stands_for_one_connection(anywhere: str) -> None:
    """What was asked by one connection is not answered by the next."""
    async with hs.Dealer(bind=anywhere) as dealer, hs.Router(reconnect_ivl=0.001) as router:
        await router.connect(dealer.endpoints[0])
        await dealer.send(b"first")
        await dealer.send(b"left behind")
        first, _ = await router.recv_multipart()
        await eventually(lambda: router.stats().queued_in == 1)
        (peer,) = dealer._host.pipes
        peer.reset(hs.Reason.CLOSED_BY_US)
        await eventually(lambda: router.stats().connects == 2)
        await dealer.send(b"second")
        assert await router.recv_multipart() == [first, b"left behind"]
        second, _ = await router.recv_multipart()
        assert second != first
        await router.send_multipart([first, b"late"])
        await router.send_multipart([second, b"right"])
        assert await dealer.recv() == b"right"
        assert router.stats().drops == {hs.DropReason.UNROUTABLE: 1}


async def test_the_next_connection_can_be_given_an_id(anywhere: str) -> None:
    async with hs.Dealer(routing_id=b"its own") as dealer, hs.Router() as router:
        endpoint = await dealer.bind(anywhere)
        router.connect_routing_id = b"named"
        await router.connect(endpoint)
        assert router.connect_routing_id == b""
        await router.send_multipart([b"named", b"hello"])  # the peer may not be there yet
        assert await dealer.recv() == b"hello"
        await dealer.send(b"world")
        assert await router.recv_multipart() == [b"named", b"world"]
        router.connect_routing_id = b"named"
        with pytest.raises(ValueError, match="another peer's"):
            await router.connect(endpoint)
        assert len(router.stats().peers) == 1


async def test_the_constructor_gives_an_id_to_its_first_connection(anywhere: str) -> None:
    async with (
        hs.Router(bind=anywhere) as one,
        hs.Router(connect=one.endpoints, connect_routing_id=b"one") as other,
    ):
        await other.send_multipart([b"one", b"hello"])
        peer, hello = await one.recv_multipart()
        assert hello == b"hello"
        await one.send_multipart([peer, b"world"])
        assert await other.recv_multipart() == [b"one", b"world"]
