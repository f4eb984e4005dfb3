"""The engine against proton as a server in this process: no sockets, no clocks."""

from __future__ import annotations

import gc
from typing import Any, TypeVar

import cproton  # type: ignore[import-untyped]
import proton
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proton import Delivery

from hypersocket.amqp import (
    CONFIRMED,
    ChannelLost,
    ConnectionLost,
    NotSupported,
    Outcome,
    Properties,
    Publication,
    Result,
    Subscription,
    Target,
)
from hypersocket.amqp.v10 import (
    CreditGiven,
    Ended,
    Engine,
    Event,
    LinkEnded,
    LinkOpened,
    Opened,
    Received,
    ReceiverLink,
    SenderLink,
    Settled,
    encode_data,
)
from hypersocket.amqp.v10 import _codec as codec

from .peer import Peer, pump

E = TypeVar("E", bound=Event)
NODE = Target(address="node")


def engine_of(**options: Any) -> Engine:
    return Engine(peer="peer", container_id="us", **options)


def opened(peer: Peer, **options: Any) -> Engine:
    engine = engine_of(**options)
    pump(engine, peer)
    assert engine.events() == [Opened()]
    return engine


def only(engine: Engine, kind: type[E]) -> E:
    found = [event for event in engine.events() if isinstance(event, kind)]
    assert len(found) == 1
    return found[0]


def sender(
    engine: Engine, peer: Peer, address: str | None = "node", *, confirm: bool = True
) -> SenderLink:
    link = engine.open_sender(address, confirm=confirm)
    pump(engine, peer)
    assert link.is_open
    engine.events()
    return link


def receiver(engine: Engine, peer: Peer, **options: Any) -> ReceiverLink:
    link = engine.open_receiver(Subscription(**{"address": "node", **options}))
    pump(engine, peer)
    assert link.is_open
    link.start()
    pump(engine, peer)
    engine.events()
    return link


def publications(count: int, size: int = 10, **more: Any) -> list[Publication]:
    return [Publication(NODE, b"%0*d" % (size, at), **more) for at in range(count)]


def data(body: bytes) -> bytes:
    return encode_data(body) + body


# --- opening and closing ---------------------------------------------------------------


def test_opening_tells_who_the_peer_is() -> None:
    peer = Peer(properties={"product": "RabbitMQ", "version": "3.9"}, offered=("A", "B"))
    engine = opened(peer, hostname="vhost:x")
    assert engine.properties["product"] == "RabbitMQ"
    assert engine.capabilities == {"A", "B"}
    assert engine.quirks.text_ids
    assert peer.connection.remote_container == "us"
    assert peer.connection.remote_hostname == "vhost:x"
    assert peer.connection.remote_properties["product"] == "hypersocket"


def sasl_frame(code: int, *fields: bytes) -> bytes:
    """A SASL frame (5.3) of a peer that is written by hand: proton's server knows no PLAIN."""
    performative = bytes((0, 0x53, code)) + codec.encode_list(list(fields))
    return (8 + len(performative)).to_bytes(4, "big") + b"\x02\x01\x00\x00" + performative


SASL_HEADER = b"AMQP\x03\x01\x00\x00"


def test_a_login_without_a_name() -> None:
    peer = Peer(mechanisms="ANONYMOUS EXTERNAL")
    opened(peer, sasl="ANONYMOUS", username="me", password="secret")
    assert peer.transport.sasl().mech == "ANONYMOUS"


def test_a_login_by_plain_sends_name_and_password_once_they_are_asked_for() -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    first = engine.data_to_send()
    assert b"secret" not in first
    mechanisms = codec.encode_symbol("PLAIN")
    engine.receive(SASL_HEADER + sasl_frame(0x40, mechanisms), 1.0)
    assert b"PLAIN" in (second := engine.data_to_send())
    assert b"\x00me\x00secret" in second
    engine.receive(sasl_frame(0x44, b"\x50\x00"), 1.0)
    assert engine.data_to_send().startswith(b"AMQP\x00\x01\x00\x00")
    assert engine.events() == []


@pytest.mark.parametrize(("code", "temporary"), [(1, False), (2, False), (3, False), (4, True)])
def test_a_refused_login_names_mechanism_and_user(code: int, temporary: bool) -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    mechanisms = codec.encode_symbol("PLAIN")
    engine.data_to_send()
    engine.receive(SASL_HEADER + sasl_frame(0x40, mechanisms), 1.0)
    engine.data_to_send()
    engine.receive(sasl_frame(0x44, bytes((0x50, code))), 1.0)
    engine.data_to_send()
    engine.end_of_input()
    error = only(engine, Ended).error
    assert "refused the login by PLAIN as 'me'" in str(error)
    assert "secret" not in str(error)
    assert error.temporary is temporary


def test_there_is_no_falling_back_to_another_mechanism() -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    pump(engine, Peer(mechanisms="ANONYMOUS"))
    error = only(engine, Ended).error
    assert "login by PLAIN" in str(error)
    assert "secret" not in str(error)
    assert not error.temporary


def test_closing_is_answered() -> None:
    peer = Peer()
    engine = opened(peer)
    link = sender(engine, peer)
    engine.close()
    pump(engine, peer)
    assert "closed by this side" in str(only(engine, Ended).error)
    assert not link.attached
    assert engine.output_ended


@pytest.mark.parametrize(
    ("condition", "temporary"),
    [
        ("amqp:connection:forced", True),
        ("amqp:internal-error", True),
        ("amqp:resource-limit-exceeded", True),
        ("amqp:unauthorized-access", False),
        ("amqp:not-found", False),
        ("amqp:not-allowed", False),
    ],
)
def test_a_close_by_the_peer_ends_all_with_its_words(condition: str, temporary: bool) -> None:
    peer = Peer()
    peer.on_delivery = lambda delivery: None
    engine = opened(peer)
    one, other = sender(engine, peer), receiver(engine, peer)
    one.send(publications(2))
    pump(engine, peer)
    peer.connection.condition = proton.Condition(condition, "for maintenance")
    peer.connection.close()
    pump(engine, peer)
    events = engine.events()
    error = events[-1].error  # type: ignore[union-attr]
    assert isinstance(error, ConnectionLost)
    assert str(error) == f"peer closed the connection: {condition}: for maintenance"
    assert (error.condition, error.temporary) == (condition, temporary)
    assert one.lost is error
    assert other.lost is error
    settled = [event for event in events if isinstance(event, Settled)]
    assert [(len(one.publications), one.outcome.result) for one in settled] == [(2, Result.UNKNOWN)]
    with pytest.raises(ConnectionLost, match="maintenance"):
        engine.open_sender("node")
    assert engine.output_ended


def test_the_end_of_input_is_told_once_and_may_be_temporary() -> None:
    peer = Peer()
    engine = opened(peer)
    engine.end_of_input("Connection reset by peer")
    error = only(engine, Ended).error
    assert str(error) == "peer ended the connection without a word: Connection reset by peer"
    assert error.temporary
    engine.end_of_input()
    engine.receive(b"more", 2.0)
    assert engine.events() == []


def test_the_end_before_the_login_was_answered_says_so() -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    engine.data_to_send()
    engine.end_of_input()
    error = only(engine, Ended).error
    assert "before it was open (login by PLAIN)" in str(error)
    assert error.temporary


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad\r\n\r\n", b"AMQP\x00\x00\x09\x01"])
def test_a_peer_that_speaks_something_else_is_not_tried_again(garbage: bytes) -> None:
    engine = engine_of()
    engine.data_to_send()
    engine.receive(garbage, 1.0)
    error = only(engine, Ended).error
    assert error.condition == "amqp:connection:framing-error"
    assert not error.temporary


@given(st.binary(max_size=300), st.booleans())
def test_garbage_ends_the_connection_at_worst(garbage: bytes, framed: bool) -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    if framed:
        garbage = (8 + len(garbage)).to_bytes(4, "big") + b"\x02\x00\x00\x01" + garbage
    engine.receive(garbage, 2.0)
    engine.end_of_input()
    assert str(only(engine, Ended).error)
    assert not link.attached


def test_a_session_that_is_refused_ends_the_connection() -> None:
    peer = Peer()
    engine = engine_of()
    work = peer._on

    def refuse(event: Any) -> None:
        if event.type == proton.Event.SESSION_REMOTE_OPEN:
            event.session.open()
            peer.connection.condition = proton.Condition("amqp:unauthorized-access", "no vhost")
            peer.connection.close()
        else:
            work(event)

    peer._on = refuse  # type: ignore[method-assign]
    pump(engine, peer)
    events = engine.events()
    error = events[-1].error  # type: ignore[union-attr]
    assert "no vhost" in str(error)
    assert not error.temporary  # type: ignore[union-attr]


# --- time ------------------------------------------------------------------------------


def test_a_silent_peer_is_found_dead() -> None:
    peer = Peer()
    engine = opened(peer, idle_timeout=4.0)
    deadline = engine.tick(1.0)
    assert deadline is not None
    assert deadline <= 5.0
    engine.tick(5.5)
    error = only(engine, Ended).error
    assert "idle" in str(error)
    assert error.temporary


def test_an_idle_connection_is_kept_alive() -> None:
    peer = Peer(idle_timeout=10.0)  # announced as 5 s
    engine = opened(peer)
    now, frames = 1.0, 0
    for _ in range(6):
        deadline = engine.tick(now)
        assert deadline is not None
        now = deadline
        engine.tick(now)
        frames += bool(engine.data_to_send())
    assert frames >= 5
    assert now <= 31.0


def test_no_time_outs_need_no_time() -> None:
    assert opened(Peer()).tick(1.0) is None


# --- sending ---------------------------------------------------------------------------


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


# --- links that end ----------------------------------------------------------------------


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


# --- receiving ---------------------------------------------------------------------------


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


def test_the_password_is_nowhere_to_be_seen(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PN_TRACE_FRM", "1")  # the engine would show the login's frames
    engine = engine_of(sasl="PLAIN", username="me", password="sesame")
    engine.data_to_send()
    engine.receive(SASL_HEADER + sasl_frame(0x40, codec.encode_symbol("PLAIN")), 1.0)
    assert b"sesame" in engine.data_to_send()
    assert "sesame" not in repr(vars(engine))
    seen = capfd.readouterr()
    assert "sesame" not in seen.out + seen.err


def test_a_link_opens_once() -> None:
    peer = Peer()
    engine = opened(peer)
    link = engine.open_sender("node")
    pump(engine, peer)
    assert only(engine, LinkOpened).link is link
