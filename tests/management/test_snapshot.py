"""What a subscriber makes of a feed: rates, what is gone, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.management import FeedError, Snapshot, Topic, parse_report


def message(
    device: str = "d", socket: str = "", peer: str = "", event: str = "stats", **more: Any
) -> list[bytes]:
    body = {
        "schema": 1,
        "run": "r",
        "time": 0.0,
        "monotonic": 0.0,
        "interval_seconds": 1.0,
    } | more
    topic = Topic(device=device, socket=socket, peer=peer, event=event)
    return [bytes(topic), json.dumps(body).encode()]


def counted(at: float, number: int, **more: Any) -> list[bytes]:
    return message(monotonic=at, counters={"n": number}, **more)


def test_rates_need_two_statistics_of_one_run() -> None:
    snapshot = Snapshot()
    snapshot.take(counted(10, 100), now=0)
    device = snapshot.devices["d"]
    assert device.own is not None
    assert (device.own.rate("n"), device.settled) == (None, False)
    snapshot.take(counted(12, 150), now=2)
    assert (device.own.rate("n"), device.settled) == (25.0, True)
    assert (device.own.counter("n"), device.own.counter("m"), device.own.rate("m")) == (150, 0, 0.0)
    snapshot.take(counted(1, 5, run="next"), now=3)
    assert (device.own.rate("n"), device.own.counter("n")) == (None, 5)
    snapshot.take(counted(2, 6, run="next"), now=4)
    assert device.own.rate("n") == 1.0


def test_a_device_is_settled_when_its_sockets_are() -> None:
    snapshot = Snapshot()
    for at in (1, 2):
        snapshot.take(counted(at, 1, sockets=["in"]), now=at)
        assert not snapshot.devices["d"].settled
        snapshot.take(counted(at, 1, socket="in"), now=at)
    assert snapshot.devices["d"].settled


def test_an_answer_to_a_new_subscriber_makes_no_odd_rate() -> None:
    snapshot = Snapshot()
    snapshot.take(counted(10, 100), now=0)
    snapshot.take(counted(11, 200), now=1)
    snapshot.take(counted(11.25, 350), now=1.25)  # because somebody else has subscribed
    own = snapshot.devices["d"].own
    assert own is not None
    assert own.rate("n") == 200.0
    snapshot.take(counted(12, 500), now=2)
    assert own.rate("n") == 200.0


def test_a_counter_that_goes_back_has_no_negative_rate() -> None:
    snapshot = Snapshot()
    for at, number in ((1, 100), (2, 50), (2, 60)):
        snapshot.take(counted(at, number), now=at)
    own = snapshot.devices["d"].own
    assert own is not None
    assert own.rate("n") == 0.0


def test_what_is_gone_is_forgotten() -> None:
    snapshot = Snapshot()
    for socket in ("a", "b"):
        snapshot.take(message(socket=socket), now=0)
        snapshot.take(message(socket=socket, peer="p"), now=0)
    snapshot.take(message(sockets=["a"]), now=0)
    assert list(snapshot.devices["d"].sockets) == ["a"]
    snapshot.take(message(socket="a"), now=2)
    assert list(snapshot.devices["d"].sockets["a"].peers) == ["p"]
    snapshot.take(message(socket="a"), now=4)
    assert snapshot.devices["d"].sockets["a"].peers == {}
    snapshot.take(message("e"), now=9)
    snapshot.forget(silent_since=9)
    assert list(snapshot.devices) == ["e"]


def test_stopping_is_noticed_and_starting_again_too() -> None:
    snapshot = Snapshot()
    snapshot.take(message(event="stopped"), now=0)
    assert snapshot.devices == {}
    snapshot.take(message(), now=0)
    snapshot.take(message(event="stopped"), now=1)
    assert snapshot.devices["d"].stopped
    snapshot.take(message(run="next"), now=2)
    assert not snapshot.devices["d"].stopped


def test_a_publisher_cannot_fill_the_memory() -> None:
    snapshot = Snapshot(max_views=10)
    for number in range(100):
        snapshot.take(message(f"d{number}"), now=0)
        snapshot.take(message("d0", f"s{number}"), now=0)
        snapshot.take(message("d0", "s0", f"p{number}"), now=0)
    assert snapshot.refused == 290
    snapshot.take(message("d0"), now=100)  # what is known is still kept up to date
    assert snapshot.refused == 290
    snapshot.forget(silent_since=50)
    snapshot.take(message("new"), now=100)
    assert "new" in snapshot.devices


WRONG = [
    ([b"hs1/d///stats/"], "not 1 frames"),
    ([b"hs1/d///stats/", b"{}", b""], "not 3 frames"),
    ([b"weather", b"{}"], "does not begin with"),
    ([b"hs1/d///stats/", b"{"], "not JSON"),
    ([b"hs1/d///stats/", b"\xff"], "not JSON"),
    ([b"hs1/d///stats/", b"[" * 100_000], "not JSON"),
    ([b"hs1/d///stats/", b"[]"], "not a JSON object"),
    ([b"hs1/d///stats/", b" " * 2_000_000], "2000000 bytes"),
    (message(schema=2), "schema=2 .* expected 1, which is understood"),
    (message(run=None), "run=None"),
    (message(time="now"), "time='now'"),
    (message(monotonic=True), "monotonic=True"),
    (message(interval_seconds=None), "interval_seconds=None"),
    (message(monotonic=float("inf")), "Infinity"),
    (message(monotonic=10**400), "monotonic=1000"),
    (message(counters=[]), "counters"),
    (message(counters={"n": "1"}), "counters"),
    (message(gauges={"n": None}), "gauges"),
]


@pytest.mark.parametrize(("frames", "said"), WRONG, ids=map(str, range(len(WRONG))))
def test_what_is_no_message_of_a_feed(frames: list[bytes], said: str) -> None:
    with pytest.raises(FeedError, match=said) as caught:
        Snapshot().take(frames, now=0)
    assert len(str(caught.value)) < 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("schema", "run", "counters", "gauges", "sockets", "kind", "endpoints"), json_values
        ),
    )
)
@example({"sockets": [None, 1, {}]})
@example({"counters": {"n": 10**400}})
def test_any_body_is_taken_or_refused(more: dict[str, Any]) -> None:
    snapshot = Snapshot()
    snapshot.take(message(socket="s"), now=0)
    try:
        report = parse_report(message(**more))
    except FeedError:
        return
    snapshot.take(message(**more), now=1)
    own = snapshot.devices["d"].own
    assert own is not None
    assert own.report == report
