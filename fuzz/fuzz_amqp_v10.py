"""Fuzz AMQP 1.0: our codec, our reading of messages, and the engine with whatever a peer sends.

The first octet of an input chooses what it is (:data:`WHAT`): one value, one message, or bytes of a
peer, at some point of the conversation. By its highest bit those bytes are cut into frames that are
well formed: for each, an octet with its channel, the code of a performative, how many fields there
are, the length of what follows (one octet each), and the fields. The second octet is the size of
the pieces in which the bytes arrive (0: all at once) and, by its highest bit, tight limits.

Values must be decoded, or be a ``CodecError``, and what was decoded and encoded again must say the
same. Messages can always be read. The peer's bytes are also fed whole: both ways must come to the
same events; nothing is raised; each publication has one outcome; and memory has its bound.

Usage: ``python fuzz/fuzz_amqp_v10.py -atheris_runs=20000 fuzz/corpus/amqp_v10``
"""

from __future__ import annotations

import sys
from collections import defaultdict

from hypersocket.amqp import (
    ConnectionLost,
    Outcome,
    Properties,
    Publication,
    Subscription,
    Target,
)
from hypersocket.amqp.v10 import (
    CodecError,
    Delivery,
    Ended,
    Engine,
    LinkEnded,
    LinkOpened,
    Opened,
    Received,
    ReceiverLink,
    Sections,
    SenderLink,
    Settled,
    _receiver,
    encode_data,
    encode_prefix,
)
from hypersocket.amqp.v10 import _codec as codec

SCENES = ("greeting", "logged in", "opened", "links", "closing")
"""How far the conversation has come when the input begins."""

WHAT = ("value", "message", *SCENES)

PUBLISHED = (
    Publication(Target(address="node"), b"first"),
    Publication(Target("", "key", "node"), b"", Properties(message_id="m", headers={"a": 1})),
    Publication(Target(address="node"), b"third"),
)
UNSETTLED = "0"
"""The receiver whose deliveries we settle."""

LARGEST, TIGHT = _receiver.MESSAGE_MAX, 200


Told = dict[str, list[object]]


def performative(channel: int, code: int, *fields: bytes, kind: int = 0) -> bytes:
    """A frame with one (2.3 and 2.7)."""
    return frame(channel, b"\0\x53" + bytes((code,)) + codec.encode_list(list(fields)), kind)


def frame(channel: int, payload: bytes, kind: int = 0) -> bytes:
    """A frame of any content."""
    return (8 + len(payload)).to_bytes(4, "big") + bytes((2, kind, 0, channel)) + payload


NULL, FALSE, TRUE = codec.encode(None), codec.encode(False), codec.encode(True)
UINT = codec.encode_uint
WINDOW = UINT(1000)
LOGGED_IN = (
    b"AMQP\x03\x01\x00\x00"
    + performative(0, 0x40, codec.encode_symbol("ANONYMOUS"), kind=1)
    + performative(0, 0x44, b"\x50\x00", kind=1),
    b"AMQP\x00\x01\x00\x00",
)
OPENED = (
    performative(0, 0x10, codec.encode_string("peer")),
    performative(0, 0x11, b"\x60\0\0", UINT(0), WINDOW, WINDOW) + performative(0, 0x17),
)
"""Each is an answer to what we said after the one before."""


def attached(number: int, role: bytes) -> bytes:
    """The peer's answers to the attach of a link with this number, which has its own session."""
    source = b"\0\x53\x28" + codec.encode_list([codec.encode_string("node")])
    target = b"\0\x53\x29" + codec.encode_list([codec.encode_string("node")])
    begin = performative(number, 0x11, b"\x60\0" + bytes((number,)), UINT(0), WINDOW, WINDOW)
    name = codec.encode_string(f"hypersocket-{number + 1}")
    sender = role == FALSE
    rest = (NULL, FALSE, UINT(0)) if sender else ()
    head = (name, UINT(0), role, b"\x50\x02", b"\x50\x00", source, target)
    attach = performative(number, 0x12, *head, *rest)
    if sender:
        return begin + attach
    credit = (UINT(0), WINDOW, UINT(0), WINDOW, UINT(0), UINT(0), UINT(2))
    return begin + attach + performative(number, 0x13, *credit)


class Owner:
    """Does with an engine what a client does, and writes down what it is told."""

    def __init__(self, scene: str) -> None:
        self.engine = Engine(peer="peer", container_id="us", idle_timeout=30)
        self.log: defaultdict[str, list[object]] = defaultdict(list)
        self.links: list[ReceiverLink | SenderLink] = []
        self.outcomes: dict[int, Outcome] = {}
        self.unsettled: list[tuple[ReceiverLink, Delivery]] = []
        self.published = 0
        self.ended: ConnectionLost | None = None
        level = SCENES.index(scene)
        self.take()
        for word in LOGGED_IN * (level > 0) + OPENED * (level > 1):
            self.receive(word)
            self.take()
        if level > SCENES.index("opened"):
            assert self.log[""] == ["opened"]
            self._open_links()
        if scene == "closing":
            self.engine.close()
            self.take()
        self.log.clear()

    def _open_links(self) -> None:
        engine = self.engine
        subscription = Subscription(address="node", credit=10)
        settled = Subscription(address="node", credit=10, settled=True)
        self.links = [
            engine.open_receiver(subscription),
            engine.open_receiver(settled),
            engine.open_sender("node"),
            engine.open_sender("node", confirm=False),
        ]
        self.take()
        self.receive(b"".join(attached(n, FALSE if n < 2 else TRUE) for n in range(4)))
        assert [link.is_open for link in self.links] == [True] * 4
        for link in self.links:
            if isinstance(link, SenderLink):
                mine = [
                    Publication(one.target, one.body, one.properties, self.published + place)
                    for place, one in enumerate(PUBLISHED)
                ]
                assert link.credit == 2
                self.published += link.send(mine)
        self.take()

    def receive(self, data: bytes) -> None:
        """Feed bytes, and look at everything."""
        self.engine.receive(data, 1.0)
        self._look()

    def finish(self) -> None:
        """The stream ends."""
        self.engine.end_of_input("reset")
        self._look()
        assert self.ended is not None
        self.engine.receive(b"\0" * 9, 1.0)
        self.engine.end_of_input()
        assert self.engine.events() == []
        assert not self.engine.links
        assert sorted(self.outcomes) == list(range(self.published))
        for link in self.links:
            assert not link.alive
            assert link.unsettled == (link.waiting if isinstance(link, ReceiverLink) else 0)
        for link, delivery in self.unsettled:
            link.accept([delivery])
            assert link.unsettled == 0
        self.take()

    def take(self) -> None:
        """Send what there is to be sent."""
        for _ in range(1000):
            if not self.engine.data_to_send():
                break
        else:
            raise AssertionError("there is always more to send")
        self.engine.written()
        self._look()

    def _look(self) -> None:
        while events := self.engine.events():
            for event in events:
                assert self.ended is None
                self._told(event)
        for link in self.links:
            if isinstance(link, ReceiverLink):
                assert len(link._partial) <= _receiver.MESSAGE_MAX

    def _told(self, event: object) -> None:
        match event:
            case Opened():
                self.log[""].append("opened")
            case Ended(error):
                self.ended = error
                self.log[""].append("ended")
                assert str(error)
            case LinkOpened(link):
                self.log[self._name(link)].append("opened")
                if isinstance(link, ReceiverLink):
                    assert isinstance(link.address, str)
                    assert link.filtered
                    link.start()
            case LinkEnded(link, error):
                self.log[self._name(link)].append(("ended", type(error)))
                assert error is None or str(error)
            case Received(link):
                for delivery in link.take():
                    self._received(link, delivery)
                if link.alive:
                    assert link.unsettled >= 0
            case Settled(_, publications, outcome):
                for one in publications:
                    assert one.context not in self.outcomes
                    self.outcomes[one.context] = outcome

    def _received(self, link: ReceiverLink, delivery: Delivery) -> None:
        log = self.log[self._name(link)]
        assert len(delivery._raw) <= _receiver.MESSAGE_MAX
        log.append(said_by(delivery))
        which = len(log) % 4
        if which == 0:
            self.unsettled.append((link, delivery))
        else:
            (link.accept, link.reject, link.release)[which - 1]([delivery])

    def _name(self, link: object) -> str:
        return str(next(n for n, one in enumerate(self.links) if one is link))


def said_by(message: Sections) -> tuple[object, ...]:
    """All that a message says."""
    properties = message.read_properties()
    return (
        message.body,
        repr(properties),
        message.read_target(),
        message.read_delivery_count(),
        message.read_first_acquirer(),
    )


def one_value(data: bytes) -> None:
    """Decode; what came of it can be encoded, and decoded to the same."""
    try:
        value, end = codec.decode(data)
    except CodecError:
        return
    assert 0 < end <= len(data)
    try:
        wire = codec.encode(value)
    except CodecError:
        return
    again, end = codec.decode(wire)
    assert end == len(wire)
    assert repr(again) == repr(value)


def one_message(data: bytes) -> None:
    """Read; what it says, where it can be said by us, is read the same again."""
    message = Sections(data)
    said = said_by(message)
    assert message.problem is None or isinstance(message.problem, str)
    try:
        properties, target = message.read_properties(), message.read_target()
        prefix = encode_prefix(properties, target.routing_key, target.address)
        wire = prefix + encode_data(message.body) + message.body
    except CodecError:
        return
    again = Sections(wire)
    assert again.problem is None
    assert again.body == said[0]
    first = again.read_properties()
    target = again.read_target()
    prefix = encode_prefix(first, target.routing_key, target.address)
    second = Sections(prefix + encode_data(again.body) + again.body)
    assert said_by(second) == said_by(again)


def framed(data: bytes) -> bytes:
    """Frames out of what the fuzzer gives."""
    parts: list[bytes] = []
    at = 0
    while at + 4 <= len(data):
        channel, code, count, size = data[at : at + 4]
        content = data[at + 4 : at + 4 + size]
        at += 4 + size
        if code == 0x14:  # a transfer's payload follows its fields
            end = fields_end(content, count)
            fields, payload = content[:end], content[end:]
        else:
            fields, payload = content, b""
        wide = b"\xd0" + (len(fields) + 4).to_bytes(4, "big") + count.to_bytes(4, "big")
        parts.append(frame(channel & 7, b"\0\x53" + bytes((code,)) + wide + fields + payload))
    return b"".join(parts)


def fields_end(data: bytes, count: int) -> int:
    """Where so many values end; the end of all, if they are none."""
    at = 0
    try:
        for _ in range(count):
            at = codec.decode(data, at)[1]
    except CodecError:
        return len(data)
    return at


def compare(parted: Told, whole: Told) -> None:
    """Both came to the same."""
    assert parted.keys() == whole.keys()
    for name, log in whole.items():
        if name == UNSETTLED:
            # What its link's end finds untaken, and unsettled, is the peer's again.
            rest = iter(parted[name])
            assert all(one in rest for one in log)
            assert parted[name][-1] == log[-1]
        else:
            assert parted[name] == log


def play(scene: str, data: bytes, piece: int, *, talk: bool = False) -> Told:
    """Feed ``data`` in pieces; return what was told of each link.

    Left out are outcomes, and the words for an end: a peer may say something else about the same
    before we have looked.

    What is an answer depends on what was said before: with ``talk`` we speak after each piece, and
    otherwise not before the end.
    """
    owner = Owner(scene)
    for at in range(0, len(data), piece):
        owner.receive(data[at : at + piece])
        if talk:
            owner.take()
    owner.finish()
    return dict(owner.log)


def test_one_input(data: bytes) -> None:
    """What the fuzzer calls with each input."""
    if len(data) < 2:
        return
    what = WHAT[(data[0] & 0x7F) % len(WHAT)]
    if what == "value":
        one_value(data[2:])
    elif what == "message":
        one_message(data[2:])
    else:
        _receiver.MESSAGE_MAX = TIGHT if data[1] & 0x80 else LARGEST
        try:
            wire = framed(data[2:]) if data[0] & 0x80 else data[2:]
            piece = data[1] & 0x7F or 1
            compare(play(what, wire, piece), play(what, wire, len(wire) or 1))
            play(what, wire, piece, talk=True)
        finally:
            _receiver.MESSAGE_MAX = LARGEST


def main() -> None:
    """Run the fuzzer with the command line's arguments."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
