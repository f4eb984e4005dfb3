"""What the engine may cost: bytes of a message that is too big, and connections that are gone."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hypersocket.amqp import ChannelLost, ConnectionLost, Subscription
from hypersocket.amqp.v10 import (
    Ended,
    Engine,
    Event,
    LinkEnded,
    Received,
    ReceiverLink,
    _codec,
    _engine,
    _receiver,
)
from hypersocket.amqp.v10._proton import lib

from .engines import data, opened, publications, receiver, sender
from .peer import Peer, pump


@pytest.mark.parametrize("whole", [True, False])
def test_a_message_beyond_all_bounds_ends_its_link(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proton tells the peer the limit, and leaves it to the peer."""
    monkeypatch.setattr(_receiver, "MESSAGE_MAX", 10_000)
    peer = Peer()
    engine = opened(peer, frame_max=4096)
    link, other = receiver(engine, peer), receiver(engine, peer)
    its = peer.links[0]
    assert its.remote_max_message_size == 10_000
    its.delivery("big")
    its.stream(b"x" * 9_000)
    pump(engine, peer)
    assert link.is_open
    its.stream(b"x" * 2_000)
    if whole:
        its.advance()
    pump(engine, peer)
    (ended,) = engine.events()
    assert isinstance(ended, LinkEnded)
    assert ended.link is link
    assert isinstance(ended.error, ChannelLost)
    assert "peer sent a message of over 10000 bytes" in str(ended.error)
    assert ended.error.condition == "amqp:link:message-size-exceeded"
    assert not ended.error.temporary
    assert its.remote_condition.name == "amqp:link:message-size-exceeded"
    fine = peer.links[1].delivery("fine")
    peer.links[1].stream(data(b"fine"))
    peer.links[1].advance()
    pump(engine, peer)
    assert [type(event) for event in engine.events()] == [Received]
    assert [one.body for one in other.take()] == [b"fine"]
    assert fine.link is not its


def test_a_message_as_big_as_is_allowed_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_receiver, "MESSAGE_MAX", 10_000)
    peer = Peer()
    engine = opened(peer, frame_max=4096)
    link = receiver(engine, peer)
    message = data(b"x" * (10_000 - 8))
    assert len(message) == 10_000
    peer.send(message)
    pump(engine, peer)
    assert [len(one.body) for one in link.take()] == [9_992]


# --- what a peer has no business to do --------------------------------------------------------


def transfer(
    number: int, *, settled: bool, size: int = 1, more: bool = False, handle: int = 0
) -> bytes:
    """A message, or a part of it, on a peer's first session; proton itself heeds credit.

    With a size of 0 it has no payload at all.
    """
    fields = [
        _codec.encode_uint(handle),
        _codec.encode_uint(number),
        _codec.encode_binary(b"%d" % number),
        _codec.encode_uint(0),
        _codec.encode(settled),
        _codec.encode(more),
    ]
    body = b"\x00\x53\x14" + _codec.encode_list(fields) + (data(b"x" * size) if size else b"")
    return struct.pack(">IBBH", 8 + len(body), 2, 0, 0) + body


def broken_off(engine: Engine, peer: Peer) -> ConnectionLost:
    """Why the connection ended, which the peer was told, too."""
    pump(engine, peer)
    assert peer.connection.remote_condition is not None
    *_, last = engine.events()
    assert isinstance(last, Ended)
    assert peer.connection.remote_condition.name == last.error.condition
    assert last.error.temporary
    return last.error


@pytest.mark.parametrize("settled", [True, False])
def test_messages_beyond_all_credit_end_the_connection(settled: bool) -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer, credit=10)
    most = 2 * 10 + _receiver.SURPLUS
    for number in range(most):
        engine.receive(transfer(number, settled=settled), 1.0)
    assert len(link.take()) == link.unsettled == most
    for number in range(most, most + 2):
        engine.receive(transfer(number, settled=settled), 1.0)
    error = broken_off(engine, peer)
    assert error.condition == "amqp:link:transfer-limit-exceeded"
    assert "over 1020 messages on the link from 'node', with credit for 10" in str(error)


def test_messages_for_a_closed_link_end_the_connection_in_the_end() -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer, credit=10)
    link.close()
    for number in range(2 * 10 + _receiver.SURPLUS + 2):
        engine.receive(transfer(number, settled=False), 1.0)
    assert broken_off(engine, peer).condition == "amqp:link:transfer-limit-exceeded"


def kept(link: ReceiverLink) -> int:
    """Bytes that the engine keeps of what came on a link."""
    count: int = lib.pn_session_incoming_bytes(link._session)
    return count


@pytest.mark.parametrize("why", ["it sent too much", "nobody wants more"])
@pytest.mark.parametrize("more", [True, False])
def test_bytes_for_a_link_that_was_ended_are_not_kept_and_end_the_connection_in_the_end(
    why: str, more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer need not answer a detach; nor does it have to end its message."""
    monkeypatch.setattr(_receiver, "MESSAGE_MAX", 10_000)
    peer = Peer()
    engine = opened(peer)
    link, other = receiver(engine, peer, credit=10), receiver(engine, peer)
    engine.receive(transfer(0, settled=False, size=4_000, more=True), 1.0)
    if why == "nobody wants more":
        link.close()
    else:
        engine.receive(transfer(0, settled=False, size=4_000, more=True), 1.0)
        assert kept(link) == 0
        engine.receive(transfer(0, settled=False, size=4_000, more=True), 1.0)
        (ended,) = engine.events()
        assert isinstance(ended, LinkEnded)
        assert ended.error is link.lost
        assert kept(link) == 0
    sent, number = 0, 0
    happened: list[Event] = []
    while not any(isinstance(one, Ended) for one in happened):
        assert happened == []
        assert other.is_open
        engine.receive(transfer(number, settled=False, size=1_000, more=more), 1.0)
        happened = engine.events()
        number += not more
        assert kept(link) == 0
        sent += 1_000
        assert sent < 20_000
    assert sent > 5_000
    pump(engine, peer)
    told = peer.connection.remote_condition
    assert told is not None
    assert told.name == "amqp:link:message-size-exceeded"
    assert isinstance(other.lost, ConnectionLost)
    assert "bytes on the link from 'node', which was ended" in str(other.lost)


@pytest.mark.parametrize("closed", [True, False])
def test_a_link_that_has_ended_keeps_no_part_of_a_message(closed: bool) -> None:
    """The peer need not end its message, and whoever has the link may keep it."""
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    engine.receive(transfer(0, settled=False, size=60_000, more=True), 1.0)
    assert len(link._partial) > 60_000
    if closed:
        link.close()
        assert link.attached
    else:
        peer.links[0].close()
        pump(engine, peer)
        assert not link.attached
    assert not link._partial


def disposition(first: int, last: int) -> bytes:
    """The receiver's, of messages on a peer's first session: they are accepted, and settled."""
    fields = [_codec.encode(True), _codec.encode_uint(first), _codec.encode_uint(last)]
    fields += [_codec.encode(True), b"\x00\x53\x24\x45"]
    body = b"\x00\x53\x15" + _codec.encode_list(fields)
    return struct.pack(">IBBH", 8 + len(body), 2, 0, 0) + body


def test_what_is_said_late_of_messages_on_a_sender_that_has_ended_does_no_harm() -> None:
    peer = Peer()
    peer.on_delivery = lambda delivery: None
    engine = opened(peer)
    link, other = sender(engine, peer), sender(engine, peer)
    link.send(publications(2))
    pump(engine, peer)
    assert len(peer.messages) == 2
    peer.links[0].close()
    engine.receive(peer.data() + disposition(0, 1), 1.0)
    assert not link.attached
    pump(engine, peer)
    assert other.is_open


def test_the_rest_of_a_message_that_is_too_big_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was on its way before the peer knew; the link's end is told once."""
    monkeypatch.setattr(_receiver, "MESSAGE_MAX", 10_000)
    peer = Peer()
    engine = opened(peer)
    link, other = receiver(engine, peer), receiver(engine, peer)
    for _ in range(3):
        engine.receive(transfer(0, settled=False, size=4_000, more=True), 1.0)
    engine.receive(transfer(0, settled=False, size=1_000), 1.0)
    error = link.lost
    assert isinstance(error, ChannelLost)
    pump(engine, peer)
    assert [type(one) for one in engine.events()] == [LinkEnded]
    assert not link.attached
    assert link.lost is error
    assert other.is_open


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("settled", [True, False])
def test_a_message_on_a_link_that_was_refused_ends_the_connection(
    settled: bool, more: bool, size: int
) -> None:
    """It had no credit for it, and nobody would ever take it; an empty one takes memory, too."""
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    peer.links[0].session.sender("its own").open()
    engine.receive(peer.data(), 1.0)  # and it does not wait for what it is told
    assert link.is_open
    engine.receive(transfer(0, settled=settled, more=more, size=size, handle=1), 1.0)
    error = broken_off(engine, peer)
    assert error.condition == "amqp:link:transfer-limit-exceeded"
    assert "on a link that was refused" in str(error)


@pytest.mark.parametrize("what", ["sessions", "links"])
def test_sessions_and_links_of_a_peers_own_are_refused_and_have_a_bound(what: str) -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)

    def begin(count: int) -> None:
        for number in range(count):
            if what == "sessions":
                peer.connection.session().open()
            else:
                peer.links[0].session.sender(f"{peer.detached} {number}").open()
        pump(engine, peer)

    begin(_engine.UNINVITED_MAX)
    assert engine.events() == []
    assert link.is_open
    if what == "links":
        assert len(peer.detached) == _engine.UNINVITED_MAX
        assert peer.detached[0].remote_condition.name == "amqp:not-allowed"
    begin(1000)
    error = broken_off(engine, peer)
    assert error.condition == "amqp:resource-limit-exceeded"
    assert f"over 16 sessions or links of its own, at last {what}" in str(error)
    assert link.lost is error


def test_an_address_with_a_zero_byte_names_no_other_node() -> None:
    peer = Peer()
    engine = opened(peer)
    for open_link in (
        lambda: engine.open_sender("secret\0.allowed"),
        lambda: engine.open_receiver(Subscription(address="secret\0.allowed")),
    ):
        with pytest.raises(ChannelLost, match="has a zero byte") as caught:
            open_link()
        assert not caught.value.temporary
    pump(engine, peer)
    assert not peer.links


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_engines_that_are_gone_leave_nothing_behind() -> None:
    """A gateway that tries to connect for a year makes millions of them."""
    program = """
import gc
from pathlib import Path
from hypersocket.amqp.v10 import Engine

def pages():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1])

def make(count):
    for _ in range(count):
        engine = Engine(peer="peer", container_id="us")
        engine.data_to_send()
        engine.end_of_input()

make(500)
before = pages()
make(3000)
print((pages() - before) * 4096 // 3000)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert int(ran.stdout) < 1000  # bytes; each had left 3000
