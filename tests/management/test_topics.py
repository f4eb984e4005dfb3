"""Topics: prefixes that mean whole names, and names that can be anything."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.management import FeedError, Topic, parse_topic, topic_prefix

encodable = st.text(st.characters(codec="utf-8"), max_size=50)
names = encodable.filter(bool)


def test_what_a_topic_looks_like() -> None:
    topic = Topic(device="orders", socket="in", peer="10.0.0.7:4711", event="disconnected")
    assert bytes(topic) == b"hs1/orders/in/10.0.0.7:4711/disconnected/"
    assert bytes(Topic(device="orders", event="stats")) == b"hs1/orders///stats/"
    assert bytes(Topic(device="a/b c", socket="%", peer="[::1]:5", event="stats")) == (
        b"hs1/a%2Fb%20c/%25/[::1]:5/stats/"
    )


@given(names, encodable, encodable, names)
@example("a", "", "", "stats")
@example("a/", "/", "//", "%2F")
def test_a_topic_is_read_as_it_was_written(device: str, socket: str, peer: str, event: str) -> None:
    topic = Topic(device=device, socket=socket, peer=peer, event=event)
    assert parse_topic(bytes(topic)) == topic


@given(names, names, encodable, encodable, encodable)
@example("a", "ab", "", "", "")
@example("a", "a/", "", "", "")
@example("a", "a", "b", "bc", "")
def test_a_prefix_matches_whole_names_alone(
    device: str, other: str, socket: str, other_socket: str, peer: str
) -> None:
    topic = bytes(Topic(device=other, socket=other_socket, peer=peer, event="stats"))
    assert topic.startswith(topic_prefix())
    assert topic.startswith(topic_prefix(device)) == (device == other)
    assert topic.startswith(topic_prefix(device, socket)) == (
        (device, socket) == (other, other_socket)
    )
    assert topic.startswith(topic_prefix(other, other_socket, peer))


def test_a_prefix_for_a_level_alone() -> None:
    of_device = bytes(Topic(device="d", event="stats"))
    of_socket = bytes(Topic(device="d", socket="s", event="stats"))
    of_peer = bytes(Topic(device="d", socket="s", peer="p", event="stats"))
    assert [one.startswith(topic_prefix("d", "")) for one in (of_device, of_socket, of_peer)] == [
        True, False, False,
    ]  # fmt: skip
    assert [
        one.startswith(topic_prefix("d", "s", "")) for one in (of_device, of_socket, of_peer)
    ] == [False, True, False]
    with pytest.raises(ValueError, match="give both"):
        topic_prefix("d", None, "p")
    with pytest.raises(ValueError, match="give both"):
        topic_prefix(socket="s")


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (b"", "does not begin with hs1/"),
        (b"hs2/a///stats/", "does not begin with hs1/"),
        (b"hs1/a///stats", "is not hs1/DEVICE/SOCKET/PEER/EVENT/"),
        (b"hs1/a//stats/", "is not hs1/DEVICE/SOCKET/PEER/EVENT/"),
        (b"hs1/a////stats/", "is not hs1/DEVICE/SOCKET/PEER/EVENT/"),
        (b"hs1////stats/", "is not hs1/DEVICE/SOCKET/PEER/EVENT/"),
        (b"hs1/a////", "is not hs1/DEVICE/SOCKET/PEER/EVENT/"),
        (b"hs1/%FF///stats/", "not UTF-8"),
        (b"hs1/" + bytes(1000), r"\.\.\."),
        (b"hs1/a/b/" + b"c" * 10_000 + b"/stats/", "10015 bytes"),
    ],
)
def test_what_is_no_topic(topic: bytes, said: str) -> None:
    with pytest.raises(FeedError, match=said) as caught:
        parse_topic(topic)
    assert len(str(caught.value)) < 500


@given(st.binary(max_size=60) | st.binary(max_size=60).map(b"hs1/".__add__))
@example(b"hs1/a/b/c/d/")
def test_any_bytes_are_a_topic_or_are_refused(topic: bytes) -> None:
    try:
        parsed = parse_topic(topic)
    except FeedError:
        return
    assert parse_topic(bytes(parsed)) == parsed
