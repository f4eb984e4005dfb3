"""Holes that other implementations had, by their CVE numbers: none of them is here."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from hypersocket import _errors
from hypersocket._reasons import Reason
from hypersocket.zmtp import Cancel, Limits, State, Subscribe

from .mechanisms import Xor
from .peers import (
    GREETING_3_1,
    TIGHT,
    command,
    connection,
    feed,
    frame,
    in_traffic,
    prop,
    ready,
)


@pytest.mark.parametrize("size", [2**64 - 1, 2**64 - 9, 2**63, 2**63 - 1, 2**62], ids=hex)
@pytest.mark.parametrize("flags", [2, 3, 6])
def test_cve_2019_6250_size_of_64_bits(size: int, flags: int) -> None:
    """libzmq 4.2 and 4.3.0 added a frame's 64-bit size to a pointer, which wrapped around.

    The bounds check passed then, and the peer wrote over memory of its choice. Here a size is
    compared with a bound as it is, on the header alone.
    """
    header = bytes((flags,)) + size.to_bytes(8, "big")
    for conn in (in_traffic(), in_traffic("XPUB"), connection()):
        start = GREETING_3_1 if conn.state is State.GREETING else b""
        tracemalloc.start()
        with pytest.raises(_errors.ProtocolError):
            feed(conn, start + header + b"x")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20


def test_cve_2019_6250_sum_of_sizes() -> None:
    """The same by addition: frames that fit one by one, and together do not."""
    limit = TIGHT.max_message_size
    conn = in_traffic(limits=TIGHT)
    with pytest.raises(_errors.MessageTooLarge):
        feed(conn, frame(bytes(limit), 1) + b"\x02" + (2**63 - limit).to_bytes(8, "big"))


@pytest.mark.parametrize("raw", [b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"])
def test_cve_2020_15166_raw_bytes(raw: bytes) -> None:
    """Before libzmq 4.3.3, a raw TCP connection without handshake stalled all other clients.

    It took part in the socket's queues though it never authenticated. Here there is no peer
    before the handshake: raw bytes are refused at the first octet.
    """
    conn = connection()
    with pytest.raises(_errors.HandshakeError) as caught:
        feed(conn, raw)
    assert caught.value.reason is Reason.BAD_GREETING
    assert conn.peer is None


def test_cve_2020_15166_silence() -> None:
    """A peer that stays silent is no peer, and nothing can be sent to it.

    How long it may stay is for the caller to say, who has the clock: no timer runs here.
    """
    conn = connection()
    assert conn.next_events() == []
    assert conn.peer is None
    assert conn.deadline == math.inf
    with pytest.raises(RuntimeError):
        conn.encode([b"x"], [])


def test_cve_2021_20236_long_topic() -> None:
    """Before libzmq 4.3.3, PUB removed subscriptions recursively, one call for each octet.

    A long topic, subscribed to and given up, overflowed the stack. Here a topic has a bound, in
    the form of a command as in that of a message, checked before the topic is stored.
    """
    for ours in ("PUB", "XPUB"):
        for wire in (
            b"\x06" + (10 + (1 << 30)).to_bytes(8, "big") + b"\x09SUBSCRIBE",
            b"\x06" + (7 + (1 << 30)).to_bytes(8, "big") + b"\x06CANCEL",
            b"\x02" + (1 + (1 << 27)).to_bytes(8, "big") + b"\x01",
            b"\x02" + (1 + (1 << 27)).to_bytes(8, "big") + b"\x00",
        ):
            with pytest.raises(_errors.ProtocolError) as caught:
                feed(in_traffic(ours), wire)
            assert caught.value.reason in (Reason.TOPIC_TOO_LONG, Reason.COMMAND_TOO_LARGE)


def test_cve_2021_20236_longest_topic_is_just_bytes() -> None:
    """What the bound lets pass is one event, however long."""
    topic = bytes(64 * 1024)
    wire = command(b"SUBSCRIBE", topic) + command(b"CANCEL", topic)
    roomy = in_traffic("PUB", limits=Limits(max_topic_size=len(topic)))
    assert feed(roomy, wire) == [Subscribe(topic), Cancel(topic)]


def test_cve_2021_20236_before_the_handshake() -> None:
    """No subscription reaches a publisher that has not agreed to talk."""
    for early in (frame(b"\1topic"), command(b"SUBSCRIBE", b"topic")):
        with pytest.raises(_errors.HandshakeError):
            feed(connection("PUB"), GREETING_3_1 + early)


def test_cve_2019_13132_metadata_is_bounded() -> None:
    """Before libzmq 4.3.2, a CURVE server copied a client's metadata to a buffer of fixed size.

    The client chose how much, and overflowed the stack before it was authenticated. Here metadata
    has a bound of its own, whatever the mechanism that brings it.
    """
    large = prop(b"X-Large", bytes(TIGHT.max_metadata_size))
    with pytest.raises(_errors.HandshakeError) as caught:
        feed(connection(limits=TIGHT), GREETING_3_1 + ready("PUSH", large))
    assert caught.value.reason is Reason.METADATA_TOO_LARGE

    greeting = GREETING_3_1.replace(b"NULL", b"XOR\0")
    initiate = command(b"INITIATE", Xor._mask(ready("PUSH", large)[8:]))
    with pytest.raises(_errors.HandshakeError) as caught:
        feed(connection(limits=TIGHT, mechanism=Xor()), greeting + initiate)
    assert caught.value.reason is Reason.METADATA_TOO_LARGE


def test_cve_2021_20234_unfinished_message() -> None:
    """Before libzmq 4.3.3, a message that a server left unfinished leaked in its client.

    Here it is dropped with the connection, and is never an event.
    """
    conn = in_traffic()
    assert feed(conn, frame(b"begun", 1), b"") == []
    assert conn.state is State.CLOSED
    assert conn.next_events() == []


def test_cve_2021_20235_old_protocol() -> None:
    """Before libzmq 4.3.3, a malformed packet of ZMTP 1.0 overflowed the heap.

    Here no decoder for the old protocols exists: their peers are refused in the greeting.
    """
    for old in (b"\x01\x00", b"\xff" + bytes(8) + b"\x00", b"\xff" + bytes(8) + b"\x7f\x01\x05"):
        with pytest.raises(_errors.HandshakeError) as caught:
            feed(connection(), old)
        assert caught.value.reason in (Reason.BAD_GREETING, Reason.VERSION_TOO_OLD)


def test_cve_2021_20237_messages_to_a_publisher() -> None:
    """Before libzmq 4.3.3, PUB kept what clients sent to it beside subscriptions, for ever.

    Here nothing of it stays: it is an event like any other, bounded as a topic is, and it is the
    caller's to drop.
    """
    conn = in_traffic("PUB")
    wire = frame(b"\2" * 100) * 100
    for _ in range(10):
        assert feed(conn, wire) == [b"\2" * 100] * 100
    assert not conn._decoder.has_data()
    with pytest.raises(_errors.ProtocolError) as caught:
        feed(conn, b"\x02" + (1 << 27).to_bytes(8, "big"))
    assert caught.value.reason is Reason.TOPIC_TOO_LONG
