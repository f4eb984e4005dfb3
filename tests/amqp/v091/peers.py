"""A broker made of bytes, which pamqp writes and reads; and the shortest way to a connection."""

from __future__ import annotations

from typing import Any

from pamqp import base, body, commands, frame, header

from hypersocket.amqp import Publication, Target
from hypersocket.amqp.v091 import Channel, Connection, Event, Opened, Settings

SERVER = {"product": "Script", "version": "1"}


def settings(**changes: Any) -> Settings:
    said: dict[str, Any] = {"peer": "broker:5672", "username": "me", "password": "secret"}
    return Settings(**(said | changes))


def method(value: base.Frame, channel: int = 0) -> bytes:
    return frame.marshal(value, channel)


def start(**changes: Any) -> bytes:
    said: dict[str, Any] = {"server_properties": dict(SERVER), "mechanisms": "PLAIN EXTERNAL"}
    return method(commands.Connection.Start(**(said | changes)))


def tune(channel_max: int = 2047, frame_max: int = 131_072, heartbeat: int = 60) -> bytes:
    return method(commands.Connection.Tune(channel_max, frame_max, heartbeat))


def open_ok() -> bytes:
    return method(commands.Connection.OpenOk())


def content(first: base.Frame, data: bytes, channel: int = 1, piece: int = 0, **said: Any) -> bytes:
    """A method, its header, and its body in pieces."""
    parts = [
        method(first, channel),
        frame.marshal(
            header.ContentHeader(0, len(data), commands.Basic.Properties(**said)), channel
        ),
    ]
    size = piece or len(data)
    pieces = [data[at : at + size] for at in range(0, len(data), size or 1)]
    parts += [frame.marshal(body.ContentBody(one), channel) for one in pieces]
    return b"".join(parts)


def deliver(
    tag: int, data: bytes = b"body", channel: int = 1, piece: int = 0, **said: Any
) -> bytes:
    first = commands.Basic.Deliver("consumer", tag, False, "exchange", "key")
    return content(first, data, channel, piece, **said)


def returned(key: str, data: bytes, exchange: str = "", **said: Any) -> bytes:
    return content(commands.Basic.Return(312, "NO_ROUTE", exchange, key), data, 1, **said)


def read(data: bytes) -> list[Any]:
    """What was written to the broker: frames without their channels."""
    frames: list[Any] = []
    while data:
        size, _, value = frame.unmarshal(data)
        frames.append(value)
        data = data[size:]
    return frames


def taken(connection: Connection) -> bytes:
    return b"".join(connection.take())


def opened(**changes: Any) -> Connection:
    """A connection that is open, and has nothing to write."""
    connection = Connection(settings(**changes))
    events = connection.receive(start() + tune() + open_ok())
    assert [type(event) for event in events] == [Opened]
    connection.take()
    return connection


def channel_of(connection: Connection) -> Channel:
    """A channel that is open, and of which nothing is left to write."""
    channel = connection.open_channel()
    assert channel is not None
    connection.receive(method(commands.Channel.OpenOk(), channel.number))
    connection.take()
    return channel


def publishing(connection: Connection) -> Channel:
    channel = channel_of(connection)
    channel.select_confirms()
    channel.start_publishing(mandatory=True)
    connection.receive(method(commands.Confirm.SelectOk(), channel.number))
    connection.take()
    return channel


def publication(data: bytes = b"body", key: str = "key", **rest: Any) -> Publication:
    return Publication(Target(routing_key=key), data, **rest)


def in_pieces(connection: Connection, data: bytes, at: int) -> list[Event]:
    return connection.receive(data[:at]) + connection.receive(data[at:])
