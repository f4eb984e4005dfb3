"""The seam carries transports that deliver whole messages from many sources, as multicast does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket import DropReason, Reason, transports
from hypersocket import events as ev
from hypersocket.transports import Binding, Host, Peer, Pipe, Transport

from .virtual import event

SILENCE = 10.0
"""Seconds after which a source that says nothing is taken for gone."""


class Air(Transport):
    """Everybody who is tuned in to a name hears whoever speaks there; nobody answers."""

    def __init__(self) -> None:
        self.tuned: dict[str, list[Receiver]] = {}

    def check(self, address: str, *, binding: bool) -> None:
        if not address:
            raise hs.EndpointError("there is no name")

    async def bind(self, address: str, host: Host) -> Binding:
        return await self.connect(address, host)

    async def connect(self, address: str, host: Host) -> Binding:
        await trio.lowlevel.checkpoint()
        if host.socket_type in ("PUB", "XPUB"):
            return Speaker(self, address, host)
        return Receiver(self, address, host)

    def say(self, name: str, source: str, frames: list[bytes]) -> None:
        for receiver in self.tuned.get(name, []):
            receiver.hear(source, frames)


class Speaker(Binding):
    """The one pipe of a publisher: all who listen are one peer, which wants everything."""

    def __init__(self, air: Air, name: str, host: Host) -> None:
        self.endpoint = f"air://{name}"
        self._air = air
        self._name = name
        self._pipe = host.open_pipe(self.endpoint, dialled=True)
        self._pipe.link = self
        self._pipe.established(Peer("SUB", address=name))
        self._pipe.deliver_subscription(b"", True)
        self.source = f"source {id(self):x}"

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        return () if self._pipe.gone else (self._pipe,)

    def flush(self) -> None:
        self.outgoing()

    def outgoing(self) -> None:
        for message in self._pipe.take_outgoing(1 << 30, 1 << 30):
            frames = [message] if isinstance(message, bytes) else message
            self._air.say(self._name, self.source, list(frames))
            self._pipe.written(1, sum(map(len, frames)))

    def incoming_room(self) -> None:
        """Nothing comes back."""

    def subscription(self, topic: bytes, wanted: bool) -> None:
        """A publisher tells none."""

    def reset(self, reason: Reason) -> None:
        """There is no connection."""

    def close(self, reason: Reason = Reason.CLOSED_BY_US) -> None:
        self._pipe.finished(reason)

    async def aclose(self, deadline: float) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class Receiver(Binding):
    """What one subscriber hears: a pipe for each source, made when it is first heard."""

    def __init__(self, air: Air, name: str, host: Host) -> None:
        self.endpoint = f"air://{name}"
        self._host = host
        self._sources: dict[str, tuple[Pipe, trio.CancelScope]] = {}
        self._tuned = air.tuned.setdefault(name, [])
        self._tuned.append(self)

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        return tuple(pipe for pipe, _ in self._sources.values())

    def hear(self, source: str, frames: list[bytes]) -> None:
        if source not in self._sources:
            pipe = self._host.open_pipe(self.endpoint, dialled=False)
            pipe.link = Deaf(pipe)
            pipe.established(Peer("PUB", address=source))
            self._sources[source] = pipe, trio.CancelScope()
            self._host.start_soon(self._forget_when_silent, source)
        pipe, silence = self._sources[source]
        silence.deadline = trio.current_time() + SILENCE
        if pipe.room_in:
            pipe.deliver([frames[0] if len(frames) == 1 else list(frames)])  # each has its own
        else:
            pipe.drop(DropReason.HIGH_WATER_MARK)

    async def _forget_when_silent(self, source: str) -> None:
        pipe, silence = self._sources[source]
        with silence:
            await trio.sleep_forever()
        if self._sources.get(source, (None,))[0] is pipe:
            del self._sources[source]
            pipe.finished(Reason.HEARTBEAT_TIMEOUT, "silent for too long")

    def close(self) -> None:
        if self in self._tuned:
            self._tuned.remove(self)
        for pipe, silence in self._sources.values():
            silence.cancel()
            pipe.finished(Reason.CLOSED_BY_US)
        self._sources.clear()

    async def aclose(self, deadline: float) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class Deaf:
    """The link of a source's pipe: it cannot be told anything."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def outgoing(self) -> None:
        """A SUB sends nothing."""

    def flush(self) -> None:
        """A SUB sends nothing."""

    def incoming_room(self) -> None:
        """The next message finds the room."""

    def subscription(self, topic: bytes, wanted: bool) -> None:
        """The SUB filters by itself."""

    def reset(self, reason: Reason) -> None:
        """There is no connection."""

    def close(self, reason: Reason) -> None:
        self._pipe.finished(reason)


@pytest.fixture
def air() -> Iterator[Air]:
    transport = Air()
    transports.register("air", transport)
    yield transport
    transports._registry._transports.pop("air", None)


async def test_many_sources_become_pipes_of_one_subscriber(air: Air) -> None:
    async with (
        hs.Sub(connect="air://x", subscribe=["news", ""]) as sub,
        hs.Pub(connect="air://x") as one,
        hs.Pub(bind="air://x") as other,
    ):
        await one.wait_subscribed("anything")
        await one.send(b"from one")
        await other.send_multipart([b"from", b"other"])
        await sub.wait_connected(2)
        got = sorted([await sub.recv_multipart(), await sub.recv_multipart()])
        assert got == [[b"from", b"other"], [b"from one"]]
        peers = sub.stats().peers
        assert len({peer.address for peer in peers}) == 2
        assert {peer.socket_type for peer in peers} == {"PUB"}
        assert [peer.messages_in for peer in peers] == [1, 1]


async def test_the_subscriber_filters_what_everybody_hears(air: Air) -> None:
    async with hs.Sub(connect="air://x", subscribe="a") as sub, hs.Sub(connect="air://x") as none:
        for text in (b"apple", b"pear", b"apricot"):
            air.say("x", "tree", [text])
        assert [await sub.recv(), await sub.recv()] == [b"apple", b"apricot"]
        sub.subscribe("p")
        air.say("x", "tree", [b"pear"])
        assert await sub.recv() == b"pear"
        with pytest.raises(trio.WouldBlock):
            none.recv_nowait()


async def test_many_subscribers_have_messages_of_their_own(air: Air) -> None:
    async with (
        hs.Sub(connect="air://x", subscribe="") as one,
        hs.Sub(connect="air://x", subscribe="") as other,
        hs.Pub(connect="air://x") as pub,
    ):
        await pub.send_multipart([b"a", b"b"])
        (await one.recv_multipart()).clear()
        assert await other.recv_multipart() == [b"a", b"b"]


async def test_fairness_among_sources(air: Air) -> None:
    async with hs.Sub(connect="air://x", subscribe="") as sub:
        for number in range(3):
            for source in (b"a", b"b", b"c"):
                air.say("x", source.decode(), [source + b"%d" % number])
        got = [await sub.recv() for _ in range(9)]
        assert got == [b"a0", b"b0", b"c0", b"a1", b"b1", b"c1", b"a2", b"b2", b"c2"]


async def test_what_finds_no_room_is_dropped_and_told(air: Air) -> None:
    async with hs.Sub(connect="air://x", subscribe="", rcvhwm=2) as sub, sub.monitor() as events:
        for number in range(5):
            air.say("x", "loud", [b"%d" % number])
        assert [await sub.recv(), await sub.recv()] == [b"0", b"1"]
        assert sub.stats().drops == {DropReason.HIGH_WATER_MARK: 3}
        dropped = await event(events, ev.MessagesDropped)
        assert dropped.address == "loud"


async def test_a_silent_source_goes_and_its_messages_stay(
    autojump_clock: MockClock, air: Air
) -> None:
    async with hs.Sub(connect="air://x", subscribe="") as sub, sub.monitor() as events:
        air.say("x", "old", [b"last words"])
        gone = await event(events, ev.Disconnected)
        assert (gone.address, gone.reason) == ("old", Reason.HEARTBEAT_TIMEOUT)
        assert gone.time == pytest.approx(SILENCE)
        assert sub.stats().peers == ()
        assert await sub.recv() == b"last words"
        air.say("x", "old", [b"back"])
        assert await sub.recv() == b"back"
        assert sub.stats().connects == 2


async def test_closing_ends_every_source(air: Air) -> None:
    async with hs.Sub(connect="air://x", subscribe="") as sub:
        for number in range(10):
            air.say("x", str(number), [b"x"])
        await sub.disconnect("air://x")
        assert sub.stats().peers == ()
        assert len([await sub.recv() for _ in range(10)]) == 10
        await sub.connect("air://x")
        assert len(air.tuned["x"]) == 1
    assert air.tuned["x"] == []
