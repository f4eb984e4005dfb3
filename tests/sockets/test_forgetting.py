"""What a peer subscribed to is forgotten bit by bit, and counts for nothing from the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

import hypersocket as hs
from hypersocket._reasons import Reason
from hypersocket.sockets import _publisher
from hypersocket.transports import Peer, Pipe

from .worlds import drain, eventually

TOPICS = [b"%03d" % number for number in range(100)]


@pytest.fixture
def one_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_publisher, "FORGOTTEN_AT_ONCE", 1)
        yield


@pytest.mark.usefixtures("one_at_once")
@pytest.mark.parametrize("kind", [hs.Pub, hs.XPub])
async def test_a_peer_that_is_back_before_it_is_forgotten(kind: type[hs.Pub | hs.XPub]) -> None:
    """The same pipe has another connection: what it had goes on being forgotten bit by bit."""
    async with kind(connect="inproc://p") as pub:
        async with hs.Sub(bind="inproc://p", subscribe=TOPICS):
            await eventually(lambda: len(pub._tree) == len(TOPICS))
        async with hs.Sub(bind="inproc://p", subscribe=[TOPICS[-1], b"new"]) as sub:
            await pub.wait_subscribed(b"new")
            assert pub.stats().peers[0].subscriptions == 2
            fewest, left = len(pub._tree), len(pub._tree)
            while pub._leaving:
                assert len(pub._tree) > left - 10  # two turns of a task may adjoin
                left = len(pub._tree)
                assert not pub._matching(TOPICS[-2])
                assert len(pub._matching(TOPICS[-1])) == len(pub._matching(b"new")) == 1
                await pub.send_many([TOPICS[-2], TOPICS[-1], b"new"])
                await trio.lowlevel.checkpoint()
            assert fewest > len(TOPICS) // 2  # there was something to forget
            assert set(drain(sub.recv_nowait)) == {TOPICS[-1], b"new"}
            assert sorted(pub._tree) == [TOPICS[-1], b"new"]
            assert pub._publish_paths[0].is_plain
        await eventually(lambda: not len(pub._tree))


FEW = [b"", b"a", b"ab", b"abc", b"b", b"new", b"newer"]
which = st.integers(0, 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("subscribe"), which, st.sampled_from(FEW)),
        st.tuples(st.just("subscribe"), which, st.sampled_from(FEW)),
        st.tuples(st.just("cancel"), which, st.sampled_from(FEW)),
        st.tuples(st.just("come"), which, st.just(b"")),
        st.tuples(st.just("leave"), which, st.just(b"")),
        st.tuples(st.just("turn"), which, st.just(b"")),
    ),
    max_size=40,
)


class Scene:
    """A publisher that was told of peers, and what it should say of them."""

    def __init__(self, pub: Any) -> None:
        self.pub = pub
        self.pipes: list[Pipe] = [pub._host.open_pipe("x://", dialled=True) for _ in range(2)]
        self.held: list[Counter[bytes]] = [Counter(), Counter()]
        self.told: Counter[bytes] = Counter()  # by an XPUB

    async def step(self, name: str, number: int, topic: bytes) -> None:
        pipe, held = self.pipes[number], self.held[number]
        if name == "turn":
            await trio.lowlevel.checkpoint()
        elif name == "come" and not pipe.connected:
            pipe.established(Peer("SUB"))
        elif name == "leave" and pipe.connected:
            pipe.interrupted(Reason.CLOSED_BY_PEER)
            held.clear()
        elif name == "subscribe" and pipe.connected:
            pipe.deliver_subscription(topic, True)
            held[topic] += 1
        elif name == "cancel" and pipe.connected:
            pipe.deliver_subscription(topic, False)
            held[topic] -= held[topic] > 0
        self.check()

    def check(self) -> None:
        for data in FEW:
            wanting = [
                pipe
                for pipe, held in zip(self.pipes, self.held, strict=True)
                if any(count and data.startswith(topic) for topic, count in held.items())
            ]
            assert {*self.pub._matching(data)} == {*wanting}
        for pipe, held in zip(self.pipes, self.held, strict=True):
            assert pipe.subscriptions == held.total()

    async def settle(self) -> None:
        """All is forgotten that is not held."""
        await eventually(lambda: not self.pub._leaving)
        self.check()
        holding = {topic for held in self.held for topic in +held}
        assert {*self.pub._tree} == holding
        assert self.pub._publish_paths[0].is_plain
        if isinstance(self.pub, hs.XPub):
            for notice in drain(self.pub.recv_nowait):
                self.told[notice[1:]] += 1 if notice[:1] == b"\1" else -1
                assert self.told[notice[1:]] in {0, 1}
            assert {*+self.told} == holding


BACK_TWICE = [
    ("come", 0, b""),
    *[("subscribe", 0, topic) for topic in FEW],
    ("leave", 0, b""),
    ("come", 0, b""),
    *[("subscribe", 0, topic) for topic in (b"b", b"b", b"new", b"newer")],
    ("cancel", 0, b"a"),
    ("leave", 0, b""),
    ("come", 0, b""),
    ("subscribe", 0, b"abc"),
    ("cancel", 0, b"ab"),
]


@pytest.mark.parametrize("kind", [hs.Pub, hs.XPub])
@settings(max_examples=150, deadline=None)
@example(BACK_TWICE)
@given(steps)
def test_whoever_comes_and_goes(
    kind: type[hs.Pub | hs.XPub], steps: list[tuple[str, int, bytes]]
) -> None:
    async def main() -> None:
        async with kind() as pub:
            scene = Scene(pub)
            for step in steps:
                await scene.step(*step)
            await scene.settle()
            for number in range(2):
                await scene.step("leave", number, b"")
            await scene.settle()
            assert not pub._held

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_publisher, "FORGOTTEN_AT_ONCE", 1)
        trio.run(main)
