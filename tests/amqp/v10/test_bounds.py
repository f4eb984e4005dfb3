"""What the engine may cost: bytes of a message that is too big, and connections that are gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hypersocket.amqp import ChannelLost
from hypersocket.amqp.v10 import LinkEnded, Received, _receiver

from .engines import data, opened, receiver
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
