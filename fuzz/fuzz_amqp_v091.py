"""Fuzz the AMQP 0-9-1 connection: whatever a broker sends makes events, and never an error.

The first octet of an input chooses how far the conversation has come (:data:`SCENES`). By its
highest bit the rest is cut into frames that are well formed, so that what is in them is reached:
for each, an octet with its kind and channel, one with its length, and the payload. The second octet
is the size of the pieces in which the bytes arrive (0: all at once) and, by its highest bit, the
smallest frames that can be agreed on.

The same bytes are also fed whole. Both ways must come to the same events, the same answers and the
same end; what is held for what is still to come has its bound; each publication has one outcome;
and what was delivered can be read, settled and, if it can be written at all, written again.

Usage: ``python fuzz/fuzz_amqp_v091.py -atheris_runs=20000 fuzz/corpus/amqp_v091``
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pamqp import base
from pamqp import frame as judge

from hypersocket.amqp import (
    NO_PROPERTIES,
    ConnectionLost,
    Outcome,
    Properties,
    Publication,
    Subscription,
    Target,
    v091,
)
from hypersocket.amqp.v091 import Channel, Connection, Event, Message, State
from hypersocket.amqp.v091 import _methods as methods
from hypersocket.amqp.v091._channel import MAX_BODY, SMALL_PIECE
from hypersocket.amqp.v091._methods import commands
from hypersocket.amqp.v091._properties import decode, encode

SCENES = (
    "greeting",
    "log-in",
    "opening",
    "open",
    "channels",
    "channels given up",
    "closing channels",
    "closing",
)
"""How far the conversation has come when the input begins."""

CONSUMER, PUBLISHER, UNANSWERED = 1, 2, 3
"""Channels: one that consumes, one with publications that wait, one that consumes without acks."""

KINDS = (methods.FRAME_METHOD, methods.FRAME_HEADER, methods.FRAME_BODY, methods.FRAME_HEARTBEAT)
PUBLISHED = (
    Publication(Target("", "key"), b"body"),
    Publication(Target("", "key"), b"body", Properties(message_id="m", headers={"a": 1})),
    Publication(Target("exchange", "other"), b"", Properties(durable=True)),
    Publication(Target("", "key"), b"body"),
)

_START = methods.write(
    commands.Connection.Start(0, 9, {"product": "Script"}, "PLAIN EXTERNAL", "en_US"), 0
)
_OPEN_OK = methods.write(commands.Connection.OpenOk(), 0)

Log = dict[int, list[object]]


class Owner:
    """Does with a connection what a client does, and writes down what it is told.

    Args:
        scene: how far to come before :meth:`receive`.
        frame_max: in bytes.
    """

    def __init__(self, scene: str, frame_max: int) -> None:
        settings = v091.Settings(peer="peer", username="me", frame_max=frame_max)
        self.connection = Connection(settings)
        self.log: Log = defaultdict(list)
        self.sent = bytearray()
        self.messages: dict[int, list[Message]] = defaultdict(list)
        self.outcomes: dict[int, Outcome] = {}
        self.published: list[Publication] = []
        self.ended: ConnectionLost | None = None
        level = SCENES.index(scene)
        tune = methods.write(commands.Connection.Tune(8, frame_max, 60), 0)
        for word in (_START, tune, _OPEN_OK)[:level]:
            self.receive(word)
        self.publisher = self._channels() if level > SCENES.index("open") else None
        if scene == "channels given up":
            assert self.publisher is not None
            assert self.publisher.confirms is not None
            assert self.publisher.confirms.abandon() == self.published
            self.published.clear()
        elif scene == "closing":
            self.connection.close()
        elif scene == "closing channels":
            for channel in list(self.connection._channels.values()):
                channel.close()
        self.log.clear()
        self._take()
        self.sent.clear()

    def _channels(self) -> Channel | None:
        """Open all; returns the one that publishes."""
        publisher = None
        for number in (CONSUMER, PUBLISHER, UNANSWERED):
            channel = self.connection.open_channel()
            assert channel is not None
            assert channel.number == number
            if number == PUBLISHER:
                publisher = channel
                channel.select_confirms()
                channel.start_publishing(mandatory=True)
                self.published = [
                    Publication(one.target, one.body, one.properties, place)
                    for place, one in enumerate(PUBLISHED)
                ]
                assert not channel.publish(self.published)
            else:
                channel.limit(10)
                subscription = Subscription(queue="queue")
                channel.consume(subscription, "tag", no_ack=number == UNANSWERED)
            self.receive(methods.write(commands.Channel.OpenOk(), number))
        return publisher

    def receive(self, data: bytes) -> None:
        """Feed bytes, and look at everything."""
        before = self.ended
        events = self.connection.receive(data)
        assert before is None or not events
        self._told(events)
        self._take()
        self._check_bounds()

    def finish(self) -> None:
        """The stream ends; settle what was delivered."""
        before = self.ended
        events = self.connection.eof("reset")
        assert before is None or not events
        self._told(events)
        assert self.ended is not None
        assert self.connection.receive(b"\0" * 9) == []
        assert self.connection.eof() == []
        self._take()
        for number, messages in self.messages.items():
            settlements = messages[0].owner
            assert isinstance(settlements, v091.Settlements)
            if number == UNANSWERED:
                assert settlements.unsettled == 0
                continue
            assert settlements.unsettled == len(messages)
            verdicts = (v091.ACCEPTED, v091.REJECTED, v091.RELEASED)
            for place, message in enumerate(messages):
                settlements.settle([message], verdicts[place % 3])
            well_formed(settlements.write(number))
            assert settlements.unsettled == 0
            assert not settlements.unwritten
        if self.publisher is not None:
            assert self.publisher.confirms is not None
            left = [one.context for one in self.publisher.confirms.abandon()]
            told = sorted([*left, *self.outcomes])
            assert told == [one.context for one in self.published]

    def _take(self) -> None:
        size = self.connection.unwritten
        out = b"".join(self.connection.take())
        assert len(out) == size
        assert self.connection.unwritten == 0
        self.sent += out

    def _told(self, events: Sequence[Event]) -> None:
        for event in events:
            assert self.ended is None
            match event:
                case v091.Delivered(channel, messages):
                    assert messages
                    self.messages[channel.number] += messages
                    self.log[channel.number] += [content_of(one) for one in messages]
                case v091.Settled(_, publications, outcome):
                    for one in publications:
                        assert one.context not in self.outcomes
                        self.outcomes[one.context] = outcome
                case v091.Ended(error):
                    self.ended = error
                    assert self.connection.state is State.CLOSED
                    self.log[0].append((error.condition, error.temporary, without_bytes(error)))
                case v091.Opened(broker, heartbeat):
                    self.log[0].append(("opened", repr(broker), heartbeat))
                case v091.Blocked(reason):
                    self.log[0].append(("blocked", reason))
                case v091.ChannelEnded(channel, error):
                    self.log[channel.number].append(("ended", repr(error), str(error)))
                case _:
                    said = [getattr(event, name) for name in event.__slots__[1:]]
                    self.log[event.channel.number].append((type(event), said))

    def _check_bounds(self) -> None:
        connection = self.connection
        assert (connection.state is State.CLOSED) == (self.ended is not None)
        assert not connection._busy
        if connection._rest:
            assert sum(map(len, connection._rest)) == connection._have
            assert connection._have < connection._need <= connection.frame_max
        for channel in connection._channels.values():
            assert not channel._delivered
            assert not channel._confirmed
            content = channel._content
            if content is not None:
                have = sum(map(len, content.body))
                assert have + content.missing == content.size <= MAX_BODY
                assert len(content.body) <= 2 * have / SMALL_PIECE + 1


def content_of(message: Message) -> tuple[object, ...]:
    """All that a message says. What it says can be written again, or is refused as declared."""
    assert repr(message)
    properties = message.properties
    with contextlib.suppress(ValueError, TypeError):
        wire = encode(properties)
        assert encode(decode(wire)) == wire
        assert properties is not NO_PROPERTIES or wire == b"\0\0"
    count = message.delivery_count
    head = (message.tag, message.redelivered, message.target, count)
    return (*head, repr(properties), message.body)


def without_bytes(text: object) -> str:
    """An error's text without what came, of which more or less was there to be shown."""
    return re.sub(r"(no frame begins with) .*", r"\1", str(text), flags=re.DOTALL)


def well_formed(data: bytes) -> list[object]:
    """What we wrote, as somebody else's codec reads it."""
    frames: list[object] = []
    while data:
        size, channel, value = judge.unmarshal(data)
        said: dict[str, object] = dict(value) if isinstance(value, base.Frame) else {}
        if isinstance(value, commands.Connection.Close):
            said["reply_text"] = without_bytes(value.reply_text)
        frames.append((channel, value.name, repr(said)))
        data = data[size:]
    return frames


def framed(data: bytes) -> bytes:
    """Frames out of what the fuzzer gives."""
    parts: list[bytes] = []
    at = 0
    while at + 2 <= len(data):
        head, size = data[at], data[at + 1]
        size = size if size < 250 else (size - 249) << 8
        payload = data[at + 2 : at + 2 + size]
        parts.append(methods.frame(KINDS[head & 3], head >> 2 & 3, payload))
        at += 2 + size
    return b"".join(parts)


def play(scene: str, data: bytes, piece: int, frame_max: int) -> tuple[Any, ...]:
    """Feed ``data`` in pieces; return what was told of each channel, the outcomes, the answers."""
    owner = Owner(scene, frame_max)
    for at in range(0, len(data), piece):
        owner.receive(data[at : at + piece])
    owner.finish()
    return dict(owner.log), owner.outcomes, well_formed(bytes(owner.sent))


def test_one_input(data: bytes) -> None:
    """What the fuzzer calls with each input."""
    if len(data) < 2:
        return
    scene = SCENES[data[0] & 7]
    frame_max = 4096 if data[1] & 0x80 else 131_072
    wire = framed(data[2:]) if data[0] & 0x80 else data[2:]
    whole = play(scene, wire, len(wire) or 1, frame_max)
    assert play(scene, wire, data[1] & 0x7F or 1, frame_max) == whole


def main() -> None:
    """Run the fuzzer with the command line's arguments."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
