"""Make the seeds of the AMQP fuzzers, by the codecs that the tests judge ours with.

AMQP 0-9-1 is written by pamqp, 1.0 by Qpid Proton as a server, which talks to our own engine.

Usage, in the repository: ``python -m fuzz.make_amqp_corpus``
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgpack
import proton
from pamqp import commands

from hypersocket.amqp import Properties
from hypersocket.amqp.v10 import Engine
from hypersocket.amqp.v10 import _codec as codec
from tests.amqp.v091 import peers
from tests.amqp.v10.messages import rich_message
from tests.amqp.v10.peer import Peer

from . import fuzz_amqp_v10 as target10
from .fuzz_amqp_v091 import CONSUMER, KINDS, PUBLISHER, SCENES

CORPUS = Path(__file__).parent / "corpus"
CONSUME, PUBLISH = CONSUMER, PUBLISHER


def save(target: str, name: str, data: bytes) -> None:
    """Write one seed."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(data)
    sys.stdout.write(f"{target}/{name}: {len(data)} bytes\n")


# --- 0-9-1 -------------------------------------------------------------------------------


def records(wire: bytes) -> bytes:
    """Frames in the form of which :func:`fuzz.fuzz_amqp_v091.framed` makes frames again."""
    parts: list[bytes] = []
    while wire:
        kind, channel, size = wire[0], wire[2], int.from_bytes(wire[3:7], "big")
        assert size < 250
        parts.append(bytes((KINDS.index(kind) | channel << 2, size)) + wire[7 : 7 + size])
        wire = wire[8 + size :]
    return b"".join(parts)


def v091(name: str, scene: str, wire: bytes) -> None:
    """Save bytes of a broker as they are, and as frames to be made of what is in them."""
    number = SCENES.index(scene)
    save("amqp_v091", name, bytes((number, 0)) + wire)
    save("amqp_v091", f"{name}.frames", bytes((number | 0x80, 7)) + records(wire))


EVERY_TYPE = {
    "text": "å",
    "bytes": bytearray(b"\xff\0"),
    "yes": True,
    "int": -5,
    "long": 1 << 40,
    "float": 1.5,
    "decimal": Decimal("1.25"),
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "list": [1, ["x"], {}],
    "table": {"null": None},
}


def make_v091() -> None:
    """All that a broker says."""
    method = peers.method
    start = peers.start(server_properties={"product": "S", "capabilities": {"basic.nack": True}})
    v091("handshake", "greeting", start + peers.tune() + peers.open_ok())
    v091("tuned-low", "log-in", peers.tune(0, 4096, 0) + peers.open_ok())
    save("amqp_v091", "other-version", bytes((0, 0)) + b"AMQP\0\1\0\0")
    save("amqp_v091", "tls-alert", bytes((0, 3)) + b"\x15\x03\x01\0\2\x02\x46")
    blocked = method(commands.Connection.Blocked("low on memory"))
    unblocked = method(commands.Connection.Unblocked())
    v091("blocked", "open", blocked + unblocked)
    refused = commands.Connection.Close(403, "ACCESS_REFUSED - no", 0, 0)
    v091("refused", "opening", method(refused))
    v091("closed", "closing", method(commands.Connection.CloseOk()))
    first = peers.deliver(1, b"hello", CONSUME)
    second = peers.deliver(2, b"in pieces", CONSUME, piece=4, headers={"x-delivery-count": 3})
    v091("deliveries", "channels", first + second + peers.deliver(1, b"", 3))
    v091("rich", "channels", peers.deliver(9, b"rich", CONSUME, headers=EVERY_TYPE))
    said = {
        "content_type": "text/plain",
        "content_encoding": "gzip",
        "delivery_mode": 2,
        "priority": 9,
        "correlation_id": "c",
        "reply_to": "q",
        "expiration": "1500",
        "message_id": "m",
        "timestamp": datetime(2026, 1, 2, tzinfo=UTC),
        "message_type": "t",
        "user_id": "u",
        "app_id": "a",
    }
    v091("properties", "channels", peers.deliver(3, b"x", CONSUME, **said))
    ack, nack = commands.Basic.Ack(2, True), commands.Basic.Nack(3, False)
    confirms = method(ack, PUBLISH) + method(nack, PUBLISH)
    v091("confirms", "channels", confirms + method(commands.Basic.Ack(4), PUBLISH))
    returned = commands.Basic.Return(312, "NO_ROUTE", "", "key")
    back = peers.content(returned, b"body", PUBLISH, message_id="m", headers={"a": 1})
    v091("returned", "channels", back + method(commands.Basic.Ack(0, True), PUBLISH))
    v091("returned-late", "channels given up", back)
    replies = (
        commands.Queue.DeclareOk("amq.gen-1", 0, 0),
        commands.Exchange.DeclareOk(),
        commands.Queue.BindOk(),
        commands.Basic.ConsumeOk("tag"),
        commands.Channel.Flow(False),
        commands.Basic.Cancel("tag"),
        commands.Basic.CancelOk("tag"),
    )
    v091("replies", "channels", b"".join(method(one, CONSUME) for one in replies))
    gone = commands.Channel.Close(404, "NOT_FOUND - no queue", 50, 10)
    v091("channel-closed", "channels", method(gone, CONSUME) + peers.deliver(1, b"", 3))
    late = peers.deliver(1, b"late", CONSUME) + back + method(commands.Basic.Ack(1), PUBLISH)
    ends = b"".join(method(commands.Channel.CloseOk(), one) for one in (1, 2, 3))
    v091("channels-closing", "closing channels", late + ends)


# --- 1.0 ---------------------------------------------------------------------------------


def v10(name: str, what: str, data: bytes, how: int = 0) -> None:
    """Save a value, a message, or bytes of a peer."""
    save("amqp_v10", f"{what}.{name}", bytes((target10.WHAT.index(what), how)) + data)


def v10_frames(name: str, what: str, *frames: tuple[int, int, list[bytes], bytes]) -> None:
    """Save performatives (channel, code, fields, payload) as bytes, and to be made into frames."""
    wire = b"".join(
        target10.frame(channel, b"\0\x53" + bytes((code,)) + codec.encode_list(fields) + payload)
        for channel, code, fields, payload in frames
    )
    v10(name, what, wire)
    said = b"".join(
        bytes((channel, code, len(fields), len(b"".join(fields) + payload)))
        + b"".join(fields)
        + payload
        for channel, code, fields, payload in frames
    )
    head = bytes((target10.WHAT.index(what) | 0x80, 0x85))
    save("amqp_v10", f"{what}.{name}.frames", head + said)


def by_proton(kind: str, value: object) -> bytes:
    """A value as proton writes it."""
    data = proton.Data()
    getattr(data, f"put_{kind}")(value)
    return bytes(data.encode())


def make_values() -> None:
    """One value of each kind, lists of them, and a message with all its sections."""
    kinds: dict[str, object] = {
        "ubyte": 200,
        "short": -300,
        "uint": 7,
        "ulong": 2**64 - 1,
        "long": -1,
        "float": 0.5,
        "double": 1.25,
        "char": "å",
        "timestamp": 1_700_000_000_000,
        "symbol": "sym",
        "string": "text",
        "binary": b"\xff\0",
        "decimal128": bytes(16),
        "object": {"list": [1, None, True], "map": {"k": b"v"}},
    }
    v10("all", "value", codec.encode_list([by_proton(*one) for one in kinds.items()]))
    v10("array", "value", by_proton("object", proton.Array("what", proton.Data.INT, 1, -2, 3)))
    v10("described", "value", by_proton("object", proton.Described("what", [1, "two"])))
    v10("rich", "message", bytes(rich_message().encode()))
    bodies = {"text": "text", "map": {"a": [1.5, b"x"]}, "list": [1, 2], "null": None}
    for name, body in bodies.items():
        v10(name, "message", bytes(proton.Message(body=body).encode()))


def make_conversations() -> None:
    """What a peer says from its greeting on, and on links."""
    peer = Peer(properties={"product": "RabbitMQ", "version": "3.10"}, offered=("ANONYMOUS-RELAY",))
    engine = Engine(peer="peer", container_id="us")
    came = [b""]
    for _ in range(6):
        peer.receive(engine.data_to_send())
        came.append(peer.data())
        engine.receive(came[-1], 1.0)
    v10("proton", "greeting", b"".join(came))
    v10("proton", "logged in", b"".join(came[2:]))
    uint, null, yes, no = codec.encode_uint, codec.encode(None), target10.TRUE, target10.FALSE

    def transfer(link: int, number: int, *more: bytes, body: bytes) -> tuple[int, int, list, bytes]:
        tag = codec.encode_binary(b"t%d" % number)
        return link, 0x14, [uint(0), uint(number), tag, uint(0), *more], body

    said = target10.encode_prefix(Properties(message_id="m", headers={"a": 1}))
    data = target10.encode_data(b"hello") + b"hello"
    v10_frames(
        "transfers",
        "links",
        transfer(0, 0, body=data),
        transfer(0, 1, no, yes, body=said),
        transfer(0, 1, no, no, body=data),
        transfer(1, 0, yes, body=said + data),
        transfer(0, 2, no, yes, body=said),
        transfer(0, 2, no, no, null, null, null, yes, body=b""),
    )

    def state(code: int, *fields: bytes) -> bytes:
        return b"\0\x53" + bytes((code,)) + codec.encode_list(list(fields))

    error = state(0x1D, codec.encode_symbol("amqp:not-allowed"), codec.encode_string("no"))
    v10_frames(
        "outcomes",
        "links",
        (2, 0x15, [yes, uint(0), uint(0), yes, state(0x24)], b""),
        (2, 0x15, [yes, uint(1), uint(1), yes, state(0x25, error)], b""),
        (2, 0x13, [uint(2), uint(100), uint(0), uint(100), uint(0), uint(2), uint(5)], b""),
        (3, 0x15, [yes, uint(0), uint(1), no, state(0x26)], b""),
    )
    v10_frames(
        "ends",
        "links",
        (0, 0x16, [uint(0), yes, error], b""),
        (1, 0x17, [error], b""),
        (2, 0x13, [uint(2), uint(9), uint(0), uint(9), uint(0), uint(2), uint(9), null, yes], b""),
        (0, 0x18, [error], b""),
    )
    v10_frames("close", "closing", (0, 0x18, [], b""))
    begin = [null, uint(0), uint(100), uint(100)]
    terminus = state(0x28, codec.encode_string("x"))
    attach = [codec.encode_string("theirs"), uint(5), no, null, null, terminus, state(0x29)]
    v10_frames("of-the-peer", "opened", (5, 0x11, begin, b""), (5, 0x12, attach, b""))


# --- metadata ----------------------------------------------------------------------------


def make_metadata() -> None:
    """Frames that say all there is, in both formats, and what comes from brokers."""
    said: dict[str, Any] = {
        "content_type": "text/plain",
        "headers": {
            "a": 1,
            "b": {"base64": "AAE="},
            "id": {"uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
            "at": {"datetime": "2026-01-02T03:04:05+00:00"},
            "price": {"decimal": "1.10"},
            "no": {"float": "nan"},
        },
        "annotations": {"x-opt-a": "b"},
        "durable": False,
        "priority": 3,
        "correlation_id": {"base64": "/w=="},
        "message_id": 7,
        "ttl": 1.5,
        "timestamp": 1700000000,
        "type": "t",
        "exchange": "ex",
        "redelivered": True,
    }
    nested = {"headers": {"l": [1, None, {"table": {"uuid": 1}}], "x-hypersocket-via": "a,b"}}
    for name, table in {"all": said, "nested": nested}.items():
        for protocol in (0, 0x20):
            save("metadata", f"{name}.json.{protocol}", bytes((protocol, 2)) + json_of(table))
            packed: bytes = msgpack.packb(table)
            save("metadata", f"{name}.msgpack.{protocol}", bytes((protocol | 0x10, 1)) + packed)
    save("metadata", "template.json", b"\x40\x01" + json_of({"headers": {"a": 1}, "type": "t"}))
    save("metadata", "key.json", b"\x80\x03" + json_of({"type": "t"}))
    rich = commands.Basic.Properties(headers=EVERY_TYPE, expiration="15", message_id="m").marshal()
    via = {"x-hypersocket-via": "a,b", "x-hypersocket-frames": "1,3", "x-delivery-count": 1}
    framed = commands.Basic.Properties(headers=via).marshal()
    message = (CORPUS / "amqp_v10" / "message.rich.bin").read_bytes()[2:]
    for form in (0, 0x10):
        save("metadata", f"in.rich.{form}", bytes((1 | form, 0)) + rich)
        save("metadata", f"in.frames.{form}", bytes((1 | form, 0)) + framed)
        save("metadata", f"in.message.{form}", bytes((0x21 | form, 0)) + message)
    save("metadata", "lengths", b"\x02\x001,0,3\0abcd")


def json_of(table: object) -> bytes:
    """As JSON."""
    return json.dumps(table, separators=(",", ":")).encode()


def main() -> None:
    """Make all seeds anew."""
    make_v091()
    make_values()
    make_conversations()
    make_metadata()


if __name__ == "__main__":
    main()
