"""Receivers of the engine, against proton as a server in this process."""

from __future__ import annotations

import gc
from typing import Any

import cproton  # type: ignore[import-untyped]
import proton
import pytest
from proton import Delivery

from hypersocket.amqp.v10 import (
    LinkEnded,
    LinkOpened,
    Received,
)

from .engines import data, only, opened, receiver
from .peer import Peer, pump


def test_credit_is_topped_up_as_deliveries_are_settled() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer, credit=2)
    its = peer.links[0]
    assert its.credit == 2
    for at in range(2):
        peer.send(data(b"%d" % at), tag=str(at))
    pump(engine, peer)
    assert only(engine, Received).link is link
    assert (its.credit, link.waiting, link.unsettled) == (0, 2, 2)
    one, other = link.take()
    assert (one.body, other.body) == (b"0", b"1")
    pump(engine, peer)
    assert its.credit == 0
    link.accept([other])
    pump(engine, peer)
    assert (its.credit, link.unsettled) == (1, 1)
    link.accept([other])
    link.reject([other, one])
    link.release([one])
    pump(engine, peer)
    assert (its.credit, link.unsettled) == (2, 0)
    assert [state for state, _ in peer.settled] == [Delivery.ACCEPTED, Delivery.REJECTED]


def test_what_is_released_says_so() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    peer.send(data(b"x"))
    pump(engine, peer)
    link.release(link.take())
    pump(engine, peer)
    assert [state for state, _ in peer.settled] == [Delivery.RELEASED]


@pytest.mark.parametrize("by_peer", [False, True])
def test_deliveries_may_be_settled_when_they_are_sent(by_peer: bool) -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer, credit=3, settled=True)
    its = peer.links[0]
    assert its.remote_snd_settle_mode == proton.Link.SND_SETTLED
    for at in range(3):
        peer.send(data(b"x"), settled=by_peer, tag=str(at))
    pump(engine, peer)
    assert (its.credit, link.unsettled) == (0, 3)
    taken = link.take()
    pump(engine, peer)
    assert (len(taken), its.credit, link.unsettled) == (3, 3, 0)
    link.accept(taken)
    link.reject(taken)
    pump(engine, peer)
    assert its.credit == 3


def test_rabbitmq_3_gets_credit_only_when_nothing_is_on_its_way() -> None:
    peer = Peer(properties={"product": "RabbitMQ", "version": "3.10.8"})
    engine = opened(peer)
    link = receiver(engine, peer, credit=3)
    its = peer.links[0]
    for at in range(2):
        peer.send(data(b"x"), tag=str(at))
    pump(engine, peer)
    link.accept(link.take())
    pump(engine, peer)
    assert its.credit == 1
    peer.send(data(b"x"), tag="2")
    pump(engine, peer)
    assert its.credit == 2
    link.accept(link.take())
    pump(engine, peer)
    assert its.credit == 2
    assert link.unsettled == 0


def test_a_peer_that_settles_unasked_gets_credit_as_we_settle() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer, credit=3)
    its = peer.links[0]
    for at in range(3):
        peer.send(data(b"%d" % at), settled=True, tag=str(at))
    pump(engine, peer)
    one, *others = link.take()
    pump(engine, peer)
    assert (its.credit, link.unsettled) == (0, 3)
    link.accept([one])
    link.accept([one])
    link.release(others[:1])
    pump(engine, peer)
    assert (its.credit, link.unsettled) == (2, 1)
    peer.send(data(b"last"), settled=True, tag="last")
    pump(engine, peer)
    its.close()
    pump(engine, peer)
    assert [one.body for one in link.take()] == [b"last"]
    assert link.unsettled == 0


@pytest.mark.parametrize("step", [1 << 30, 777])
def test_a_large_message_comes_in_many_frames(step: int) -> None:
    peer = Peer()
    engine = opened(peer, frame_max=4096)
    link = receiver(engine, peer)
    body = bytes(range(256)) * 8192
    peer.send(data(body), tag="1")
    peer.send(data(b"small"), tag="2")
    pump(engine, peer, step=step)
    assert [one.body for one in link.take()] == [body, b"small"]


def test_a_delivery_that_is_aborted_leaves_nothing_behind() -> None:
    peer = Peer()
    engine = opened(peer, frame_max=1024)
    link = receiver(engine, peer, credit=2)
    its = peer.links[0]
    delivery = its.delivery("1")
    its.stream(b"x" * 5000)
    pump(engine, peer)
    assert link.waiting == 0
    delivery.abort()
    pump(engine, peer)
    peer.send(data(b"whole"), tag="2")
    pump(engine, peer)
    assert [one.body for one in link.take()] == [b"whole"]
    assert its.credit == 1


def test_a_message_that_cannot_be_decoded_ends_nothing() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    for at, raw in enumerate([b"garbage", data(b"fine")]):
        peer.send(raw, tag=str(at))
    pump(engine, peer)
    bad, good = link.take()
    assert (bad.body, good.body, link.undecodable) == (b"garbage", b"fine", 1)
    assert bad.problem
    assert good.problem is None
    link.accept([bad, good])
    pump(engine, peer)
    assert [state for state, _ in peer.settled] == [Delivery.ACCEPTED] * 2


def test_tags_that_are_not_text_do_no_harm() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    its = peer.links[0]
    tag = b"\xff\xfe"
    cproton.lib.pn_delivery(its._impl, (2, cproton.ffi.from_buffer(tag)))
    its.stream(data(b"x"))
    its.advance()
    pump(engine, peer)
    assert len(link.take()) == 1


def test_a_node_of_the_peers_making_has_the_peers_name() -> None:
    peer = Peer()

    def attach(link: Any) -> None:
        assert link.remote_source.dynamic
        link.source.dynamic = True
        link.source.address = "made-up"
        link.open()

    peer.on_attach = attach
    engine = opened(peer)
    assert receiver(engine, peer, address="", dynamic=True).address == "made-up"


def test_a_filter_is_there_only_if_the_peer_repeats_it() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer, filter="colour = 'red'")
    found = peer.links[0].remote_source.filter
    found.rewind()
    found.next()
    assert "colour = 'red'" in str(found.get_object())
    assert "apache.org:selector-filter:string" in str(found.get_object())
    assert link.filtered
    assert receiver(engine, peer).filtered

    def deaf(link: Any) -> None:
        link.source.address = "node"
        link.open()

    peer.on_attach = deaf
    assert not receiver(engine, peer, filter="colour = 'red'").filtered


def test_what_nobody_took_is_given_back_when_we_close() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    for at in range(2):
        peer.send(data(b"x"), tag=str(at))
    pump(engine, peer)
    link.accept(link.take()[:1])
    peer.send(data(b"late"), tag="late")
    pump(engine, peer)
    link.close()
    pump(engine, peer)
    states = [state for state, _ in peer.settled]
    assert states == [Delivery.ACCEPTED, Delivery.RELEASED]
    assert only(engine, LinkEnded).error is None


def test_settling_after_the_end_does_nothing() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    peer.send(data(b"x"))
    pump(engine, peer)
    taken = link.take()
    peer.links[0].close()
    pump(engine, peer)
    link.accept(taken)
    link.close()
    assert link.lost is not None


def test_redelivery_is_told_by_the_header() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    headers: list[dict[str, Any]] = [
        {"first_acquirer": True},
        {"first_acquirer": False},
        {"delivery_count": 2},
    ]
    for at, options in enumerate(headers):
        message = proton.Message(body=b"x", inferred=True, durable=True, **options)
        peer.send(bytes(message.encode()), tag=str(at))
    peer.send(data(b"x"), tag="bare")
    pump(engine, peer)
    taken = link.take()
    assert taken[0].properties is taken[0].properties
    assert taken[2].delivery_count == 2
    assert taken[2].redelivered
    assert not taken[0].redelivered
    assert taken[3].delivery_count is None


def test_bytes_that_were_handed_out_stay_as_they_are() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    kept = []
    for at in range(50):
        message = proton.Message(body=b"A" * at, inferred=True, id=b"%d" % at)
        peer.send(bytes(message.encode()), tag=str(at))
        pump(engine, peer)
        taken = link.take()
        link.accept(taken)
        kept.append((taken[0].body, taken[0].properties.message_id))
    del engine, link
    gc.collect()
    assert kept == [(b"A" * at, b"%d" % at) for at in range(50)]


def test_a_link_opens_once() -> None:
    peer = Peer()
    engine = opened(peer)
    link = engine.open_sender("node")
    pump(engine, peer)
    assert only(engine, LinkOpened).link is link
