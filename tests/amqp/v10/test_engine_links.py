"""Links of the engine that end, against proton as a server in this process."""

from __future__ import annotations

import gc
from typing import Any

import proton
import pytest

from hypersocket.amqp import (
    ChannelLost,
    ConnectionLost,
    Result,
    Subscription,
)
from hypersocket.amqp.v10 import (
    LinkEnded,
    ReceiverLink,
    SenderLink,
    Settled,
)

from .engines import data, only, opened, publications, receiver, sender
from .peer import Peer, SlowToEnd, pump


@pytest.mark.parametrize("receiving", [False, True])
@pytest.mark.parametrize(
    ("condition", "temporary"),
    [("amqp:not-found", False), ("amqp:resource-locked", True), ("com.example:busy", True)],
)
def test_a_refused_attach_says_why(receiving: bool, condition: str, temporary: bool) -> None:
    peer = Peer()
    peer.on_attach = peer.refuse(condition, "no such node")
    engine = opened(peer)
    link = (
        engine.open_receiver(Subscription(address="node"))
        if receiving
        else engine.open_sender("node")
    )
    pump(engine, peer)
    error = only(engine, LinkEnded).error
    assert isinstance(error, ChannelLost)
    way = "from" if receiving else "to"
    assert str(error) == f"peer refused the link {way} 'node': {condition}: no such node"
    assert (error.condition, error.temporary) == (condition, temporary)
    assert link.lost is error
    assert not link.alive
    peer.on_attach = peer.attach
    assert sender(engine, peer).is_open  # the connection stands


@pytest.mark.parametrize("end", ["detach", "close", "session"])
def test_a_link_that_the_peer_ends_leaves_unknown_outcomes(end: str) -> None:
    peer = Peer()
    peer.on_delivery = lambda delivery: None
    engine = opened(peer)
    link, other = sender(engine, peer), sender(engine, peer)
    sent = publications(2)
    link.send(sent)
    pump(engine, peer)
    its = peer.links[0]
    endpoint = its.session if end == "session" else its
    endpoint.condition = proton.Condition("amqp:resource-deleted", "the queue is gone")
    if end == "detach":
        its._update_cond()
        its.detach()
    else:
        endpoint.close()
    pump(engine, peer)
    events = engine.events()
    settled = next(event for event in events if isinstance(event, Settled))
    assert (settled.publications, settled.outcome.result) == (sent, Result.UNKNOWN)
    ended = next(event for event in events if isinstance(event, LinkEnded))
    assert ended.link is link
    assert "ended the link to 'node': amqp:resource-deleted" in str(ended.error)
    assert not isinstance(ended.error, ConnectionLost)
    assert link.send(publications(1)) == 0
    link.close()
    assert other.is_open
    assert other.send(publications(1)) == 1


def test_a_link_that_we_close_is_answered_by_a_detach_without_closed() -> None:
    peer = Peer()
    engine = opened(peer)
    link = sender(engine, peer)
    work = peer._on

    def detach(event: Any) -> None:
        if event.type == proton.Event.LINK_REMOTE_CLOSE:
            event.link.detach()
        else:
            work(event)

    peer._on = detach  # type: ignore[method-assign]
    link.close()
    pump(engine, peer)
    assert only(engine, LinkEnded).error is None
    assert not link.attached


def test_a_peer_that_attaches_links_of_its_own_gets_none() -> None:
    peer = Peer()
    engine = opened(peer)
    session = peer.connection.session()
    session.open()
    stranger = session.sender("stranger")
    stranger.open()
    pump(engine, peer)
    assert session.state & proton.Endpoint.REMOTE_CLOSED
    assert engine.events() == []


def test_many_links_come_and_go() -> None:
    peer = Peer()
    for _ in range(20):
        engine = opened(peer := Peer())
        for _ in range(10):
            one, other = sender(engine, peer), receiver(engine, peer)
            one.send(publications(3))
            peer.send(data(b"x"))
            pump(engine, peer)
            one.close()
            other.close()
            pump(engine, peer)
            peer.links.clear()
            assert not engine.links
        del engine
        gc.collect()


def test_a_session_begins_when_those_before_it_have_ended() -> None:
    """RabbitMQ 4 drops what comes with the number of a session that has not quite ended."""
    peer = SlowToEnd()
    engine = opened(peer)
    links = [engine.open_sender("a"), engine.open_receiver(Subscription(address="b"))]
    pump(engine, peer)
    assert (peer.begun, peer.links, len(peer.ending)) == (1, [], 1)
    peer.end()
    pump(engine, peer)
    assert all(link.is_open for link in links)
    assert [link.remote_target.address for link in peer.links] == ["a", None]
    links[0].close()
    pump(engine, peer)
    again = engine.open_sender("c")
    pump(engine, peer)
    assert (len(peer.links), again.is_open, links[1].is_open) == (2, False, True)
    peer.end()
    pump(engine, peer)
    assert again.is_open


def test_a_link_that_is_closed_before_its_session_begins_is_forgotten() -> None:
    """The peer never hears of it, and nothing of it is kept."""
    peer = SlowToEnd()
    engine = opened(peer)
    kept = len(engine.sessions.links)
    for number in range(1000):
        link: SenderLink | ReceiverLink = engine.open_sender("a")
        if number % 2:
            link.close()
            assert only(engine, LinkEnded) == LinkEnded(link, None)
            link = engine.open_receiver(Subscription(address="b"))
        link.close()
        assert only(engine, LinkEnded) == LinkEnded(link, None)
        assert not link.attached
        pump(engine, peer)
    assert (len(engine.links), len(engine.sessions.links)) == (0, kept)
    peer.end()
    pump(engine, peer)
    assert (peer.begun, peer.links) == (1, [])
    assert sender(engine, peer).is_open


def test_sessions_begin_without_the_end_of_one_that_is_waited_for_no_longer() -> None:
    """Its end may still come, and does no harm then."""
    peer = SlowToEnd()
    engine = opened(peer)
    link = engine.open_sender("a")
    pump(engine, peer)
    assert (link.begun, link.is_open) == (False, False)
    engine.sessions.begin_anyway()
    pump(engine, peer)
    assert (link.begun, link.is_open) == (True, True)
    assert sender(engine, peer).is_open
    peer.end()
    pump(engine, peer)
    assert link.is_open
    assert engine.events() == []


def test_a_connection_that_ends_ends_links_whose_session_has_not_begun() -> None:
    peer = SlowToEnd()
    engine = opened(peer)
    link = engine.open_sender("a")
    engine.end_of_input("gone")
    assert isinstance(link.lost, ConnectionLost)
    assert only(engine, LinkEnded).link is link


def test_no_more_links_than_the_peer_lets_a_connection_have() -> None:
    peer = Peer()
    peer.transport.channel_max = 1
    engine = opened(peer)
    first, second = sender(engine, peer), sender(engine, peer)
    with pytest.raises(ChannelLost, match="lets a connection have 2 links") as caught:
        engine.open_sender("third")
    assert caught.value.temporary
    first.close()
    pump(engine, peer)
    assert sender(engine, peer).is_open
    assert second.is_open
