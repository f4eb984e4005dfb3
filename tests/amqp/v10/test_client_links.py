"""Sending and receiving on trio, with proton as a server at the other end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import proton
import pytest
import trio
import trio.testing
from proton import Delivery
from trio.testing import MockClock

from hypersocket.amqp import (
    CONFIRMED,
    ChannelLost,
    ConnectionLost,
    NotSupported,
    Outcome,
    Publication,
    Result,
    Subscription,
)
from hypersocket.amqp.v10 import _receiver
from hypersocket.devices.amqp_gateway._client import Client as AnyClient

from .clients import NODE, Told, Wired, bodies, data, deliver, ignore
from .clients import wired as wired
from .peer import Peer


async def test_what_is_sent_is_confirmed(wired: Wired, autojump_clock: MockClock) -> None:
    peer, told = Peer(properties={"product": "qpid"}), Told()
    async with wired(peer) as client:
        plain: AnyClient = client
        assert (plain.protocol, plain.broker["product"], plain.blocked) == ("1.0", "qpid", None)
        sender = await plain.open_sender(told, address="node")
        await sender.send(bodies("a", "b"))
        assert (sender.taken, sender.unsettled) == (2, 2)
        await sender.wait_settled()
        assert sender.unsettled == 0
        await sender.send([])
        await sender.aclose()
        assert plain.lost is None
    assert told.outcomes == [(b"a", CONFIRMED), (b"b", CONFIRMED)]
    assert peer.messages == [data(b"a"), data(b"b")]
    assert "closed by this side" in str(client.lost)


async def test_sending_waits_for_credit_and_a_cancel_tells_what_was_taken(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer, told = Peer(credit=2), Told()
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node")
        with trio.move_on_after(1) as scope:
            await sender.send(bodies(*"abcde"))
        assert scope.cancelled_caught
        assert sender.taken == 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, bodies(*"cde"))
            await trio.testing.wait_all_tasks_blocked()
            assert sender.taken == 2
            peer.links[0].flow(3)
            peer.kick()
        await sender.wait_settled()
        await sender.aclose()
    assert [body for body, _ in told.outcomes] == [b"a", b"b", b"c", b"d", b"e"]


async def test_two_tasks_may_send_and_neither_is_torn(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer(credit=1)

    def one_more(delivery: Delivery) -> None:
        delivery.link.flow(1)
        peer.accept(delivery)

    peer.on_delivery = one_more
    async with wired(peer) as client:
        sender = await client.open_sender(ignore, address="node")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, bodies("a1", "a2", "a3"))
            nursery.start_soon(sender.send, bodies("b1", "b2", "b3"))
        await sender.wait_settled()
    order = "".join(raw[-2:].decode() for raw in peer.messages)
    assert order in {"a1a2a3b1b2b3", "b1b2b3a1a2a3"}


async def test_a_cancelled_send_takes_nothing(wired: Wired, autojump_clock: MockClock) -> None:
    async with wired(Peer()) as client:
        sender = await client.open_sender(ignore, address="node")
        with trio.CancelScope() as scope:
            scope.cancel()
            await sender.send(bodies("a"))
        assert sender.taken == 0


async def test_a_large_send_goes_as_fast_as_it_is_read(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer, told = Peer(credit=1000), Told()
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node")
        await sender.send([Publication(NODE, bytes(10_000)) for _ in range(300)])
        await sender.wait_settled()
    assert told.results == [Result.CONFIRMED] * 300


async def test_unconfirmed_is_confirmed_when_written(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer, told = Peer(), Told()
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node", confirm=False)
        await sender.send(bodies("a", "b"))
        await sender.wait_settled()
        assert told.results == [Result.CONFIRMED] * 2
    assert len(peer.messages) == 2


async def test_a_link_that_the_peer_ends_wakes_a_waiting_sender(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer, told = Peer(credit=1), Told()
    peer.on_delivery = lambda delivery: None
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node")

        async def detach() -> None:
            await trio.testing.wait_all_tasks_blocked()
            peer.links[0].condition = proton.Condition("amqp:resource-deleted", "gone")
            peer.links[0].close()
            peer.kick()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(detach)
            with pytest.raises(ChannelLost, match="amqp:resource-deleted: gone"):
                await sender.send(bodies("a", "b"))
        assert told.results == [Result.UNKNOWN]
        assert sender.taken == 1
        with pytest.raises(ChannelLost, match="gone"):
            await sender.send(bodies("c"))
        await sender.wait_settled()
        await sender.aclose()
        assert client.lost is None


async def test_closing_a_sender_leaves_what_has_no_outcome_unknown(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer, told = Peer(), Told()
    peer.on_delivery = lambda delivery: None
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node")
        await sender.send(bodies("a"))
        await trio.testing.wait_all_tasks_blocked()
        await sender.aclose()
        await sender.aclose()
        assert told.results == [Result.UNKNOWN]
        with pytest.raises(trio.ClosedResourceError):
            await sender.send(bodies("b"))


async def test_a_peer_that_never_answers_a_detach_does_not_hold_us(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer, told = Peer(), Told()
    peer.on_delivery = lambda delivery: None
    work = peer._on
    deaf = {proton.Event.LINK_REMOTE_CLOSE, proton.Event.CONNECTION_REMOTE_CLOSE}
    peer._on = lambda event: None if event.type in deaf else work(event)  # type: ignore[method-assign]
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node")
        receiver = await client.open_receiver(Subscription(address="node"))
        await sender.send(bodies("a"))
        await sender.aclose()
        await receiver.aclose()
        assert told.results == [Result.UNKNOWN]


async def test_a_callback_that_raises_is_logged_and_ends_nothing(
    wired: Wired, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(publications: Sequence[Publication], outcome: Outcome) -> None:
        raise ValueError("oops")

    async with wired(Peer()) as client:
        sender = await client.open_sender(wrong, address="node")
        await sender.send(bodies("a"))
        await sender.wait_settled()
        assert client.lost is None
    assert "may not" in caplog.text


async def test_the_anonymous_relay_is_asked_for_by_no_address(
    wired: Wired, autojump_clock: MockClock
) -> None:
    async with wired(Peer()) as client:
        with pytest.raises(NotSupported, match="anonymous relay"):
            await client.open_sender(ignore)
    async with wired(Peer(offered=("ANONYMOUS-RELAY",))) as client:
        sender = await client.open_sender(ignore)
        await sender.send(bodies("a"))
        await sender.wait_settled()


async def test_what_is_received_is_settled_each_way(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()
    async with wired(peer) as client:
        receiver = await client.open_receiver(Subscription(address="node", credit=3))
        await trio.testing.wait_all_tasks_blocked()
        assert (receiver.address, peer.links[0].credit) == ("node", 3)
        deliver(peer, b"a", b"b", b"c")
        a, b, c = await receiver.receive()
        assert (a.body, b.body, c.body, receiver.unsettled) == (b"a", b"b", b"c", 3)
        receiver.release([c])
        receiver.accept([a])
        receiver.reject([b])
        assert receiver.unsettled == 0
        await trio.testing.wait_all_tasks_blocked()
        assert peer.links[0].credit == 3
        await receiver.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await receiver.receive()
    expected = [Delivery.RELEASED, Delivery.ACCEPTED, Delivery.REJECTED]
    assert sorted(state for state, _ in peer.settled) == sorted(expected)


async def test_a_cancelled_receive_takes_none(wired: Wired, autojump_clock: MockClock) -> None:
    peer = Peer()
    async with wired(peer) as client:
        receiver = await client.open_receiver(Subscription(address="node"))
        with trio.move_on_after(1):
            await receiver.receive()
        await trio.testing.wait_all_tasks_blocked()
        deliver(peer, b"a")
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await receiver.receive()
        assert [one.body for one in await receiver.receive()] == [b"a"]


async def test_a_link_that_the_peer_ends_wakes_a_waiting_receiver(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()
    async with wired(peer) as client:
        receiver = await client.open_receiver(Subscription(address="node"))
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                await trio.testing.wait_all_tasks_blocked()
                peer.links[0].session.condition = proton.Condition("amqp:not-found", "no queue")
                peer.links[0].session.close()
                peer.kick()

            with pytest.raises(ChannelLost, match="no queue"):
                await receiver.receive()
        assert client.lost is None


@pytest.mark.parametrize("settled", [False, True])
async def test_only_what_is_settled_is_ours_after_the_end(
    wired: Wired, autojump_clock: MockClock, settled: bool
) -> None:
    peer = Peer()
    async with wired(peer) as client:
        receiver = await client.open_receiver(Subscription(address="node", settled=settled))
        await trio.testing.wait_all_tasks_blocked()
        deliver(peer, b"a", settled=settled)
        peer.connection.close()
        error = await client.wait_lost()
        assert error is client.lost
        if settled:
            assert [one.body for one in await receiver.receive()] == [b"a"]
        with pytest.raises(ConnectionLost, match="without giving a reason"):
            await receiver.receive()


async def test_a_message_that_cannot_be_decoded_is_told_of_once(
    wired: Wired, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer()
    async with wired(peer) as client:
        receiver = await client.open_receiver(Subscription(address="node"))
        await trio.testing.wait_all_tasks_blocked()
        for at in range(2):
            peer.send(b"garbage", tag=str(at))
        peer.kick()
        assert [one.body for one in await receiver.receive()] == [b"garbage"] * 2
        assert receiver.undecodable == 2
    assert caplog.text.count("not AMQP 1.0's") == 1


async def test_a_filter_that_is_not_applied_is_not_passed_over(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()

    def deaf(link: Any) -> None:
        link.source.address = "node"
        link.open()

    peer.on_attach = deaf
    async with wired(peer) as client:
        with pytest.raises(NotSupported, match="does not apply the filter to 'node'"):
            await client.open_receiver(Subscription(address="node", filter="a = 1"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(peer.detached) == 1


async def test_a_link_that_was_given_up_is_closed_at_once(
    wired: Wired, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer has sent a message that is too big, and need not say anything more."""
    monkeypatch.setattr(_receiver, "MESSAGE_MAX", 1000)
    peer = Peer()
    async with wired(peer) as client:
        receiver = await client.open_receiver(Subscription(address="node"))
        await trio.testing.wait_all_tasks_blocked()
        with monkeypatch.context() as silent:
            silent.setattr(peer, "receive", lambda data: None)
            deliver(peer, bytes(2000))
            with pytest.raises(ChannelLost, match="a message of over 1000 bytes"):
                await receiver.receive()
            before = trio.current_time()
            await receiver.aclose()
            assert trio.current_time() == before
