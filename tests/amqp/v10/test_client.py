"""The client on trio, with proton as a server at the other end of a stream in memory."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import proton
import pytest
import trio
import trio.testing
from proton import Delivery
from trio.testing import MockClock

from hypersocket.amqp import (
    Binding,
    ChannelLost,
    ConnectionLost,
    NotSupported,
    Queue,
    Result,
    Subscription,
)
from hypersocket.devices.amqp_gateway.clients import v10
from hypersocket.devices.amqp_gateway.clients.v10 import _stream

from .clients import ADDRESS, Told, Wired, bodies, deliver, ignore
from .clients import wired as wired
from .peer import Peer, SlowToEnd


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


@pytest.mark.parametrize(("timeout", "taken"), [(10, 2), (0.5, 0.25)])
async def test_the_end_of_a_session_is_not_waited_for_for_ever(
    timeout: float, taken: float, wired: Wired, autojump_clock: MockClock
) -> None:
    async with wired(SlowToEnd(), connect_timeout=timeout) as client:
        before = trio.current_time()
        await client.open_sender(ignore, address="first")
        assert trio.current_time() - before == pytest.approx(taken)
        await client.open_receiver(Subscription(address="second"))
        assert trio.current_time() - before == pytest.approx(taken)


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
        assert error.condition == ""  # which would be the peer's words
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


async def test_a_connection_that_is_given_up_ends_at_once(
    wired: Wired, autojump_clock: MockClock
) -> None:
    """Nobody may be at its other end."""
    peer = Peer()
    told = Told()
    async with wired(peer) as client:
        sender = await client.open_sender(told, address="node")
        peer.on_delivery = lambda _: None
        await sender.send(bodies("x"))
        await trio.testing.wait_all_tasks_blocked()
        peer.receive = lambda data: None  # type: ignore[method-assign]
        before = trio.current_time()
        client.abandon("its neighbour was lost")
        assert client.lost is not None
        assert client.lost.temporary
        assert "its neighbour was lost" in str(client.lost)
        assert told.results == [Result.UNKNOWN]
    assert trio.current_time() == before
