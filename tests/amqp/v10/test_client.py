"""The client on trio, with proton as a server at the other end of a stream in memory."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

import proton
import pytest
import trio
import trio.testing
from proton import Delivery
from trio.testing import MockClock

from hypersocket.amqp import (
    CONFIRMED,
    Binding,
    ChannelLost,
    ConnectionLost,
    NotSupported,
    Outcome,
    Publication,
    Queue,
    Result,
    Subscription,
    Target,
)
from hypersocket.amqp.v10 import encode_data
from hypersocket.devices.amqp_gateway._client import BrokerAddress, Connect
from hypersocket.devices.amqp_gateway._client import Client as AnyClient
from hypersocket.devices.amqp_gateway.clients import v10
from hypersocket.devices.amqp_gateway.clients.v10 import _connect, _stream

from .peer import Peer, serve

ADDRESS = BrokerAddress(host="localhost", port=1, sasl="ANONYMOUS", heartbeat=0)
NODE = Target(address="node")


class Wired(Protocol):
    """Connects a client to a peer."""

    def __call__(self, peer: Peer, **changes: Any) -> Any: ...


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> Wired:
    @asynccontextmanager
    async def connect(peer: Peer, **changes: Any) -> AsyncIterator[v10.Client]:
        near, far = trio.testing.memory_stream_pair()

        async def open_stream(address: BrokerAddress) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return near

        async def run() -> None:
            with trio.CancelScope(shield=True):  # ended by the client's end of the stream
                await serve(peer, far)
                await trio.aclose_forcefully(far)

        monkeypatch.setattr(_connect, "open_stream", open_stream)
        opened: Connect = v10.connect
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            error: BaseException | None = None
            try:
                async with opened(replace(ADDRESS, **changes)) as client:
                    assert isinstance(client, v10.Client)
                    yield client
            except Exception as raised:  # noqa: BLE001 - raised again, out of the group
                error = raised
            finally:
                await trio.aclose_forcefully(near)
        if error is not None:
            raise error

    return connect


class Told:
    """Remembers outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[bytes, Outcome]] = []

    def __call__(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.outcomes += [(one.body, outcome) for one in publications]

    @property
    def results(self) -> list[Result]:
        return [outcome.result for _, outcome in self.outcomes]


def ignore(publications: Sequence[Publication], outcome: Outcome) -> None:
    pass


def bodies(*texts: str) -> list[Publication]:
    return [Publication(NODE, text.encode()) for text in texts]


def data(body: bytes) -> bytes:
    return encode_data(body) + body


def deliver(peer: Peer, *texts: bytes, settled: bool = False) -> None:
    for at, text in enumerate(texts):
        peer.send(data(text), settled=settled, tag=str(at))
    peer.kick()


# --- sending ---------------------------------------------------------------------------


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


# --- receiving -------------------------------------------------------------------------


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


# --- links that do not come about --------------------------------------------------------


async def test_a_refused_attach_raises_the_peers_words(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()
    peer.on_attach = peer.refuse("amqp:not-found", "no such node")
    async with wired(peer) as client:
        with pytest.raises(ChannelLost, match="amqp:not-found: no such node") as caught:
            await client.open_sender(ignore, address="node")
        assert not caught.value.temporary
        with pytest.raises(ChannelLost, match="from 'node'"):
            await client.open_receiver(Subscription(address="node"))
        assert client.lost is None


async def test_an_attach_without_an_answer_is_given_up(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()
    peer.on_attach = lambda link: None
    async with wired(peer) as client:
        with pytest.raises(ChannelLost, match="did not answer an attach within 10 s") as caught:
            await client.open_sender(ignore, address="node")
        assert caught.value.temporary
        with trio.move_on_after(1) as scope:
            await client.open_receiver(Subscription(address="node"))
        assert scope.cancelled_caught


async def test_a_connection_that_ends_fails_a_waiting_attach(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()

    def close(link: Any) -> None:
        peer.connection.condition = proton.Condition("amqp:unauthorized-access", "no vhost")
        peer.connection.close()

    peer.on_attach = close
    async with wired(peer) as client:
        with pytest.raises(ConnectionLost, match="no vhost"):
            await client.open_sender(ignore, address="node")
        with pytest.raises(ConnectionLost, match="no vhost"):
            await client.open_receiver(Subscription(address="node"))


# --- the connection ----------------------------------------------------------------------


async def test_a_connection_that_does_not_open_is_given_up(
    wired: Wired, autojump_clock: MockClock
) -> None:
    with pytest.raises(ConnectionLost, match="did not open the connection within 3 s") as caught:
        async with wired(Peer(opens=False), connect_timeout=3):
            pytest.fail("it is not open")
    assert caught.value.temporary


async def test_a_login_that_is_refused_raises_on_entry(
    wired: Wired, autojump_clock: MockClock
) -> None:
    with pytest.raises(ConnectionLost, match="login by PLAIN as 'me'") as caught:
        async with wired(Peer(), sasl="PLAIN", username="me", password="sesame"):
            pytest.fail("it is not open")
    assert not caught.value.temporary
    assert "sesame" not in str(caught.value)


async def test_a_silent_peer_is_found_dead(
    wired: Wired, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, told = Peer(), Told()
    async with wired(peer, heartbeat=5.0) as client:
        sender = await client.open_sender(told, address="node")
        await trio.sleep(3600)  # an hour of heartbeats, both ways
        assert client.lost is None
        monkeypatch.setattr(peer, "data", lambda: b"")
        await sender.send(bodies("a"))
        error = await client.wait_lost()
        assert "idle" in str(error)
        assert error.temporary
        assert told.results == [Result.UNKNOWN]


async def test_the_peers_time_out_is_kept(wired: Wired, autojump_clock: MockClock) -> None:
    peer = Peer(idle_timeout=4.0)
    async with wired(peer) as client:
        await trio.sleep(600)
        assert client.lost is None
        assert peer.transport.frames_input > 100


async def test_what_the_body_raises_leaves_as_itself(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()
    with pytest.raises(KeyError, match="mine"):
        async with wired(peer):
            raise KeyError("mine")
    assert peer.connection.state & proton.Endpoint.REMOTE_CLOSED


async def test_a_cancelled_body_still_writes_what_it_settled(
    wired: Wired, autojump_clock: MockClock
) -> None:
    peer = Peer()
    with trio.CancelScope() as scope:
        async with wired(peer) as client:
            receiver = await client.open_receiver(Subscription(address="node"))
            await trio.testing.wait_all_tasks_blocked()
            deliver(peer, b"a")
            taken = await receiver.receive()
            scope.cancel()
            receiver.accept(taken)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert [state for state, _ in peer.settled] == [Delivery.ACCEPTED]


async def test_nothing_can_be_declared(wired: Wired, autojump_clock: MockClock) -> None:
    async with wired(Peer()) as client:
        assert await client.declare([]) == []
        binding = Binding(queue="q", exchange="e")
        calls: list[Callable[[], Any]] = [
            lambda: client.declare([Queue(name="q")]),
            lambda: client.bind(binding),
            lambda: client.unbind(binding),
        ]
        for call in calls:
            with pytest.raises(NotSupported, match=r"AMQP 1\.0 cannot"):
                await call()


# --- the way there -----------------------------------------------------------------------


async def test_an_unknown_host_is_not_tried_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*args: Any, **options: Any) -> trio.SocketStream:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio, "open_tcp_stream", unknown)
    with pytest.raises(ConnectionLost, match="'nowhere' is not known: Name or serv") as caught:
        async with v10.connect(replace(ADDRESS, host="nowhere")):
            pytest.fail("there is nothing there")
    assert not caught.value.temporary


async def test_a_way_that_takes_too_long_is_given_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*args: Any, **options: Any) -> trio.SocketStream:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    with pytest.raises(ConnectionLost, match="did not answer within 10 s") as caught:
        async with v10.connect(ADDRESS):
            pytest.fail("there is nothing there")
    assert caught.value.temporary


async def test_external_needs_tls() -> None:
    with pytest.raises(ConnectionLost, match="EXTERNAL at localhost:1 needs TLS"):
        async with v10.connect(replace(ADDRESS, sasl="EXTERNAL")):
            pytest.fail("it may not try")


@pytest.mark.parametrize(("host", "warned"), [("example.org", True), ("127.0.0.1", False)])
async def test_a_password_in_clear_is_warned_of(
    wired: Wired,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    host: str,
    warned: bool,
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(ConnectionLost):
        async with wired(Peer(), sasl="PLAIN", username="me", password="sesame", host=host):
            pytest.fail("proton's server knows no PLAIN")
    assert ("in clear" in caplog.text) is warned
    assert "sesame" not in caplog.text


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_told_by_name(host: str, loopback: bool) -> None:
    assert _stream.is_loopback(host) is loopback
