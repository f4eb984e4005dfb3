"""Senders of the engine, against proton as a server in this process."""

from __future__ import annotations

from typing import Any

import proton
import pytest
from proton import Delivery

from hypersocket.amqp import (
    CONFIRMED,
    NotSupported,
    Outcome,
    Properties,
    Publication,
    Result,
    Target,
)
from hypersocket.amqp.v10 import (
    CreditGiven,
    LinkEnded,
    Settled,
)

from .engines import NODE, data, only, opened, publications, sender
from .peer import Peer, pump


def test_credit_is_what_the_peer_gives() -> None:
    peer = Peer(credit=2)
    engine = opened(peer)
    link = sender(engine, peer)
    assert link.send(publications(5)) == 2
    pump(engine, peer)
    assert len(peer.messages) == 2
    assert link.send(publications(1)) == 0
    peer.links[0].flow(3)
    engine.events()
    pump(engine, peer)
    assert only(engine, CreditGiven).link is link
    assert link.credit == 3
    assert (link.taken, link.unsettled) == (2, 0)


def outcomes(settle: Any, count: int = 1) -> list[Outcome]:
    peer = Peer()
    peer.on_delivery = settle
    engine = opened(peer)
    link = sender(engine, peer)
    link.send(publications(count))
    pump(engine, peer)
    assert link.unsettled == 0
    return [
        event.outcome
        for event in engine.events()
        if isinstance(event, Settled)
        for _ in event.publications
    ]


def settle_as(state: int, **attributes: Any) -> Any:
    def settle(delivery: Delivery) -> None:
        for name, value in attributes.items():
            setattr(delivery.local, name, value)
        delivery.update(state)
        delivery.settle()

    return settle


def test_every_disposition_is_an_outcome() -> None:
    assert outcomes(settle_as(Delivery.ACCEPTED)) == [CONFIRMED]
    assert outcomes(settle_as(Delivery.RELEASED)) == [Outcome(Result.RETURNED, "released")]
    assert outcomes(settle_as(Delivery.REJECTED)) == [Outcome(Result.REJECTED, "rejected")]
    condition = proton.Condition("amqp:not-allowed", "too dull")
    assert outcomes(settle_as(Delivery.REJECTED, condition=condition)) == [
        Outcome(Result.REJECTED, "amqp:not-allowed: too dull")
    ]
    assert outcomes(settle_as(Delivery.MODIFIED, failed=True)) == [
        Outcome(Result.FAILED, "modified")
    ]
    assert outcomes(settle_as(Delivery.MODIFIED, undeliverable=True)) == [
        Outcome(Result.REJECTED, "modified: undeliverable here")
    ]
    assert outcomes(lambda delivery: delivery.settle()) == [
        Outcome(Result.UNKNOWN, "settled without an outcome")
    ]


def test_a_terminal_state_is_settled_by_us() -> None:
    assert outcomes(lambda delivery: delivery.update(Delivery.ACCEPTED), 3) == [CONFIRMED] * 3


def test_outcomes_out_of_order_find_their_publications() -> None:
    peer = Peer()
    held: list[Delivery] = []
    peer.on_delivery = held.append
    engine = opened(peer)
    link = sender(engine, peer)
    sent = publications(4)
    link.send(sent)
    pump(engine, peer)
    for at in (1, 3):
        peer.accept(held[at])
    settle_as(Delivery.RELEASED)(held[0])
    pump(engine, peer)
    settled = [event for event in engine.events() if isinstance(event, Settled)]
    found = {one: event.outcome.result for event in settled for one in event.publications}
    assert found == {
        sent[1]: Result.CONFIRMED,
        sent[3]: Result.CONFIRMED,
        sent[0]: Result.RETURNED,
    }
    assert link.unsettled == 1
    link.close()
    pump(engine, peer)
    events = engine.events()
    last = next(event for event in events if isinstance(event, Settled))
    assert (last.publications, last.outcome.result) == ([sent[2]], Result.UNKNOWN)
    assert any(isinstance(event, LinkEnded) and event.error is None for event in events)


def test_without_confirmation_written_is_confirmed() -> None:
    peer = Peer()
    engine = opened(peer)
    link = sender(engine, peer, confirm=False)
    assert peer.links[0].remote_snd_settle_mode == proton.Link.SND_SETTLED
    link.send(publications(3))
    assert link.unsettled == 3
    out = engine.data_to_send()
    assert not [event for event in engine.events() if isinstance(event, Settled)]
    engine.written()
    settled = only(engine, Settled)
    assert (len(settled.publications), settled.outcome) == (3, CONFIRMED)
    assert link.unsettled == 0
    peer.receive(out)
    assert len(peer.messages) == 3


def test_without_confirmation_what_was_not_written_is_unknown() -> None:
    peer = Peer()
    engine = opened(peer)
    link = sender(engine, peer, confirm=False)
    link.send(publications(3))
    engine.data_to_send()
    engine.end_of_input()
    settled = [event for event in engine.events() if isinstance(event, Settled)]
    assert [(len(one.publications), one.outcome.result) for one in settled] == [(3, Result.UNKNOWN)]


def test_what_cannot_be_encoded_is_rejected_and_the_rest_goes() -> None:
    peer = Peer()
    engine = opened(peer)
    link = sender(engine, peer)
    bad = Publication(NODE, b"bad", Properties(priority=1000))
    assert link.send([*publications(1), bad, *publications(1)]) == 3
    pump(engine, peer)
    settled = [event for event in engine.events() if isinstance(event, Settled)]
    assert (settled[0].publications, settled[0].outcome.result) == ([bad], Result.REJECTED)
    assert "priority" in settled[0].outcome.reason
    assert len(peer.messages) == 2


def test_what_is_bigger_than_the_peer_takes_is_rejected() -> None:
    peer = Peer()

    def attach(link: Any) -> None:
        link.max_message_size = 100
        peer.attach(link)

    peer.on_attach = attach
    engine = opened(peer)
    link = sender(engine, peer)
    assert link.send([Publication(NODE, b"x" * 200), Publication(NODE, b"y")]) == 2
    pump(engine, peer)
    settled = [event for event in engine.events() if isinstance(event, Settled)]
    assert [one.outcome.result for one in settled] == [Result.REJECTED, Result.CONFIRMED]
    assert "the peer takes 100" in settled[0].outcome.reason
    assert len(peer.messages) == 1


@pytest.mark.parametrize("step", [1 << 30, 1000])
def test_a_large_message_goes_in_many_frames(step: int) -> None:
    peer = Peer(frame_max=4096)
    engine = opened(peer)
    link = sender(engine, peer)
    body = bytes(range(256)) * 4096
    assert link.send([Publication(NODE, body)]) == 1
    pump(engine, peer, step=step)
    assert peer.messages == [data(body)]
    assert only(engine, Settled).outcome == CONFIRMED


def test_what_a_slow_peer_makes_us_hold_is_bounded() -> None:
    engine = opened(peer := Peer(credit=10_000))
    link = sender(engine, peer)
    taken = link.send(publications(10_000, 1000))
    assert 200 < taken < 400
    pump(engine, peer)
    assert 200 < link.send(publications(10_000, 1000)) < 400


def test_credit_is_given_back_when_the_peer_drains() -> None:
    peer = Peer(credit=10)
    engine = opened(peer)
    link = sender(engine, peer)
    peer.links[0].drain(0)
    pump(engine, peer)
    assert only(engine, CreditGiven).link is link
    link.drain_if_idle()
    pump(engine, peer)
    assert (peer.drained, link.credit) == (10, 0)


def test_a_draining_peer_gets_what_there_is_first() -> None:
    peer = Peer(credit=10)
    engine = opened(peer)
    link = sender(engine, peer)
    peer.links[0].drain(0)
    pump(engine, peer)
    assert link.send(publications(3)) == 3
    pump(engine, peer)
    assert (len(peer.messages), peer.drained, link.credit) == (3, 7, 0)


def test_the_anonymous_relay_takes_each_publications_own_address() -> None:
    peer = Peer(offered=("ANONYMOUS-RELAY",))
    engine = opened(peer)
    link = sender(engine, peer, None)
    assert peer.links[0].remote_target.address is None
    link.send([Publication(Target(address=name), b"x") for name in ("a", "b")])
    pump(engine, peer)
    found = []
    for raw in peer.messages:
        message = proton.Message()
        message.decode(raw)
        found.append(message.address)
    assert found == ["a", "b"]


def test_without_an_anonymous_relay_an_address_is_needed() -> None:
    engine = opened(Peer())
    with pytest.raises(NotSupported, match="ANONYMOUS-RELAY"):
        engine.open_sender(None)


def test_tags_of_deliveries_in_flight_differ() -> None:
    peer = Peer(credit=1000)
    tags: list[str] = []
    peer.on_delivery = lambda delivery: tags.append(delivery.tag)
    engine = opened(peer)
    link = sender(engine, peer)
    link.send(publications(300))
    pump(engine, peer)
    assert len(set(tags)) == 300
