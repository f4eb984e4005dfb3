"""Fuzz what the AMQP gateway makes of messages: ØMQ peers' metadata frames, brokers' properties.

The first octet of an input chooses which (:data:`WHAT`); its bits 0x10 and 0x20 are for msgpack in
place of JSON, and 1.0 in place of 0-9-1; 0x40 and 0x80 for a routing key from the metadata, or from
a frame. The second octet is the number of frames of the message. The rest is

- out: the metadata frame. It is refused as declared, or the broker's codec can say all of it, and a
  gateway at the other side makes the same frames of it. What is refused can be a dead letter.
- in: the properties (0-9-1), or the whole message (1.0), of any client of the broker. It is passed
  on with a frame of metadata that can be read, or is refused as declared.
- lengths: the header that says how a body is cut, and after an octet of zero the body.

Usage: ``python fuzz/fuzz_metadata.py -atheris_runs=20000 fuzz/corpus/metadata``
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import msgpack  # type: ignore[import-untyped]

from hypersocket.amqp import Properties, Publication
from hypersocket.amqp import v091 as old
from hypersocket.amqp import v10 as new
from hypersocket.amqp.v091 import _properties as codec
from hypersocket.devices.amqp_gateway._client import Delivery, ProtocolName
from hypersocket.devices.amqp_gateway._counters import Counters
from hypersocket.devices.amqp_gateway._policy import Guard
from hypersocket.devices.amqp_gateway._spec import Metadata, RouteSocket, RouteSpec
from hypersocket.devices.amqp_gateway.messages import _multipart, _packing, _unpacking
from hypersocket.devices.amqp_gateway.messages._metadata import MetadataError, PropertyMap
from hypersocket.devices.amqp_gateway.routes._letters import Letter

WHAT = ("out", "in", "lengths")
FRAME_MAX = 131_072
REASONS = {"malformed", "looped", "policy", "oversize", "poisonous"}
VIA, LENGTHS = "x-hypersocket-via", _multipart.HEADER

Key = Literal["fixed", "template", "frame"]


def spec(kind: Literal["in", "out"], metadata: Metadata, key: Key = "fixed") -> RouteSpec:
    """A route of which nothing is needed but what becomes of messages."""
    return RouteSpec(
        name="r",
        kind=kind,
        socket=RouteSocket(type="PULL", bind=("inproc://x",)),
        exchange="ex",
        routing_key="k.{header[a]}.{property[type]}" if key == "template" else "key",
        key_frame=0 if key == "frame" else None,
        metadata=metadata,
        max_deliveries=3,
    )


@cache
def packer(metadata: Metadata, protocol: ProtocolName, key: Key) -> _packing.Packer:
    """Of a gateway that publishes."""
    route = spec("out", metadata, key)
    return _packing.Packer(route, "here", protocol, Guard(route.policy))


@cache
def unpacker(metadata: Metadata, protocol: ProtocolName) -> _unpacking.Unpacker:
    """Of a gateway that receives."""
    route = spec("in", metadata)
    return _unpacking.Unpacker(route, "there", protocol, Guard(route.policy), Counters())


@cache
def mapping(metadata: Metadata, protocol: ProtocolName) -> PropertyMap:
    """Reads frames as a gateway does that would pass them on."""
    return PropertyMap(spec("out", metadata), "here", protocol)


def through(one: Publication, protocol: ProtocolName) -> Delivery:
    """What comes out of a broker for what was published; all of it can be said to the broker."""
    if protocol == "0-9-1":
        said = codec.encode(one.properties)
        assert len(said) + 20 < FRAME_MAX
        envelope = bytes((len(one.target.exchange),)) + one.target.exchange.encode()
        key = one.target.routing_key.encode()
        envelope += bytes((len(key),)) + key
        return old.Message(None, 1, False, envelope, said, one.body)
    prefix = new.encode_prefix(one.properties, one.target.routing_key, one.target.exchange)
    return new.Delivery(prefix + new.encode_data(one.body) + one.body, None, new.NO_QUIRKS)


def out(frame: bytes, count: int, metadata: Metadata, protocol: ProtocolName, key: Key) -> None:
    """A message with a frame of metadata goes out, and comes in at another gateway."""
    frames = [b"%d" % n * n for n in range(count)]
    try:
        sent = packer(metadata, protocol, key).pack([frame, *frames])
    except _packing.Unfit as error:
        refused(error, protocol)
        return
    came = through(sent, protocol)
    try:
        message = unpacker(metadata, protocol).unpack(came)
    except _unpacking.Unfit as error:
        told_by(error)
        return
    assert isinstance(message, list)
    assert message[1:] == (frames[1:] if key == "frame" else frames)
    # What was said arrives, and can be said again. 1.0 has one field for the type and the key.
    said = without_ours(mapping(metadata, protocol).read(message[0]).properties)
    assert repr(said) == repr(without_ours(came.properties))


def refused(error: _packing.Unfit, protocol: ProtocolName) -> None:
    """What could be made of a message that is not published can be a dead letter."""
    told_by(error)
    one = error.publication
    letter = Letter(error.reason, str(error), one.body, one.properties, one.target)
    headers = {**one.properties.headers, **letter.headers("here", "r")}
    properties = replace(one.properties, headers=headers)
    buried = through(Publication(one.target, one.body, properties), protocol)
    assert buried.body == one.body
    assert buried.properties.headers.keys() == headers.keys()


def told_by(error: _packing.Unfit | _unpacking.Unfit) -> None:
    """Why a message does not go on."""
    assert error.reason in REASONS
    assert str(error)


def without_ours(said: Properties) -> Properties:
    """Properties without the headers that gateways add."""
    headers = {name: one for name, one in said.headers.items() if name not in {VIA, LENGTHS}}
    return replace(said, headers=headers)


def come_in(data: bytes, metadata: Metadata, protocol: ProtocolName) -> None:
    """A message of anybody's comes from the broker."""
    came: Delivery
    if protocol == "0-9-1":
        came = old.Message(None, 1, True, b"\x02ex\x03key", data, b"body")
    else:
        came = new.Delivery(data, None, new.NO_QUIRKS)
    try:
        message = unpacker(metadata, protocol).unpack(came)
    except _unpacking.Unfit as error:
        told_by(error)
        return
    assert isinstance(message, list)
    assert b"".join(message[1:]) == came.body
    table: Any = json.loads(message[0]) if metadata == "json" else msgpack.unpackb(message[0])
    assert isinstance(table, dict)
    assert table["redelivered"] is came.redelivered
    try:
        mapping(metadata, protocol).read(message[0])
    except MetadataError:
        return  # something that a broker has passed on to us, and would not take from us


def lengths(data: bytes) -> None:
    """A body is cut, or taken whole."""
    header, _, body = data.partition(b"\0")
    frames, wrong = _multipart.split_or_whole(body, header)
    assert b"".join(frames) == body
    if wrong:
        assert frames == [body]
    elif len(frames) > 1:
        assert _multipart.split(*_multipart.join(frames)) == frames


def test_one_input(data: bytes) -> None:
    """What the fuzzer calls with each input."""
    if len(data) < 2:
        return
    how, rest = data[0], data[2:]
    what = WHAT[(how & 0xF) % len(WHAT)]
    metadata: Metadata = "msgpack" if how & 0x10 else "json"
    protocol: ProtocolName = "1.0" if how & 0x20 else "0-9-1"
    if what == "out":
        key: Key = "frame" if how & 0x80 else "template" if how & 0x40 else "fixed"
        out(rest, data[1] & 7, metadata, protocol, key)
    elif what == "in":
        come_in(rest, metadata, protocol)
    else:
        lengths(rest)


def main() -> None:
    """Run the fuzzer with the command line's arguments."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
