"""No library but a codec: frames of AMQP 0-9-1 by pamqp, over bare sockets.

The caller is a bare trio task that writes a request and waits for its reply, without confirms or
heartbeats. The service, which answers the gateway's and everybody's requests, blocks. So does the
publisher, which has all packed before it begins: what it reaches is what the broker can take.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import trio

from .. import amqp, stamp
from ..job import Job
from ..latencies import Latencies
from ..speak import say, wait_told
from ._python import PythonPeer

REPLY_TO = "amq.rabbitmq.reply-to"
_HEAD = 7
_FRAME_MAX = 131_072


class BareAmqp(PythonPeer):
    """Sockets of the standard library, and pamqp."""

    name = "bare-amqp"
    title = "bare AMQP"
    speaks_zmtp = False
    sockets = False
    distribution = "pamqp"
    module = "pamqp"

    def missing(self) -> str | None:
        return amqp.missing()

    def version(self) -> str:
        return f"pamqp {super().version()} under trio"

    @property
    def roles(self) -> dict[str, Callable[[Job], None]]:
        """What it does here."""
        return {
            "amqp_service": _service,
            "amqp_caller": lambda job: trio.run(_caller, job),
            "amqp_publisher": lambda job: _publisher(job, amqp.TRANSIENT),
            "amqp_publisher_persistent": lambda job: _publisher(job, amqp.PERSISTENT),
        }


class _Connection:
    """One channel, opened with blocking calls; then whoever has it reads and writes."""

    def __init__(self, url: str) -> None:
        from pamqp import commands

        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname or "", where.port or 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.wait(commands.Connection.Start)
        login = f"\0{where.username}\0{where.password}"
        self.send(commands.Connection.StartOk({}, "PLAIN", login, "en_US"), channel=0)
        self.wait(commands.Connection.Tune)
        self.send(commands.Connection.TuneOk(1, _FRAME_MAX, 0), channel=0)
        self.send(commands.Connection.Open(unquote(where.path[1:])), channel=0)
        self.wait(commands.Connection.OpenOk)
        self.send(commands.Channel.Open())
        self.wait(commands.Channel.OpenOk)

    def send(self, *frames: Any, channel: int = 1) -> None:
        self.socket.sendall(packed(*frames, channel=channel))

    def wait(self, kind: type) -> Any:
        """The next frame of a kind."""
        while True:
            frame = self.frame()
            while frame is None:
                self.fed(self.socket.recv(65_536))
                frame = self.frame()
            if isinstance(frame, kind):
                return frame

    def fed(self, data: bytes) -> None:
        if not data:
            raise ConnectionError("the broker has closed the connection")
        self._buffer += data

    def frame(self) -> Any:
        """The next whole frame; None if there is none yet."""
        from pamqp import frame

        buffer = self._buffer
        if len(buffer) < _HEAD:
            return None
        end = _HEAD + int.from_bytes(buffer[3:_HEAD], "big") + 1
        if len(buffer) < end:
            return None
        found = frame.unmarshal(bytes(buffer[:end]))[2]
        del buffer[:end]
        return found

    def message(self) -> tuple[Any, bytes] | None:
        """The next delivery's properties and body, which is in one frame; None if not yet there."""
        from pamqp import body, header

        while (found := self.frame()) is not None:
            if isinstance(found, header.ContentHeader):
                self._properties = found.properties
            elif isinstance(found, body.ContentBody):
                return self._properties, found.value
        return None

    def consume(self, queue: str) -> None:
        from pamqp import commands

        self.send(commands.Basic.Consume(queue=queue, no_ack=True))
        self.wait(commands.Basic.ConsumeOk)


def packed(*frames: Any, channel: int = 1) -> bytes:
    from pamqp import frame

    return b"".join(frame.marshal(each, channel) for each in frames)


def publication(queue: str, data: bytes, properties: Any) -> bytes:
    """A message to a queue, as bytes."""
    from pamqp import body, commands, header

    return packed(
        commands.Basic.Publish(routing_key=queue),
        header.ContentHeader(body_size=len(data), properties=properties),
        body.ContentBody(data),
    )


def _publisher(job: Job, delivery_mode: int) -> None:
    """Publishes ``job.count`` messages with confirms, of which PREFETCH may be outstanding."""
    from pamqp import commands

    properties = commands.Basic.Properties(delivery_mode=delivery_mode)
    plain = publication(amqp.TARGET, stamp.plain(job.size), properties)

    def packed_chunk(number: int) -> bytes:
        first = stamp.stamped(amqp.kind(number, job), number, job.size)
        rest = min(job.chunk, job.count - number) - 1
        return publication(amqp.TARGET, first, properties) + rest * plain

    chunks = [packed_chunk(number) for number in range(0, job.count, job.chunk)]
    connection = _Connection(job.broker)
    connection.send(commands.Confirm.Select())
    connection.wait(commands.Confirm.SelectOk)
    say("ready", endpoint=job.broker)
    confirms = Confirms()
    for number, chunk in enumerate(chunks):
        sent = number * job.chunk
        while sent + job.chunk - confirms.count > amqp.PREFETCH:
            confirms.took(connection.wait(commands.Basic.Ack))
        connection.socket.sendall(chunk)
    while confirms.count < job.count:
        confirms.took(connection.wait(commands.Basic.Ack))
    wait_told()


class Confirms:
    """Counts what the broker has confirmed, one by one and all up to one.

    Attributes:
        count: how many publications that are.
    """

    def __init__(self) -> None:
        self.count = 0
        self._up_to = 0
        self._beyond: set[int] = set()

    def took(self, ack: Any) -> None:
        """A Basic.Ack came."""
        if ack.multiple:
            self._up_to = max(self._up_to, ack.delivery_tag)
            self._beyond = {tag for tag in self._beyond if tag > self._up_to}
        else:
            self._beyond.add(ack.delivery_tag)
        self.count = self._up_to + len(self._beyond)


def _service(job: Job) -> None:
    """Answers each request with its own body."""
    from pamqp import commands

    connection = _Connection(job.broker)
    connection.consume(amqp.SOURCE)
    say("ready", endpoint=job.broker)
    while True:
        while (found := connection.message()) is not None:
            asked, data = found
            answer = commands.Basic.Properties(correlation_id=asked.correlation_id)
            connection.socket.sendall(publication(asked.reply_to, data, answer))
        connection.fed(connection.socket.recv(65_536))


async def _caller(job: Job) -> None:
    from pamqp import commands

    connection = _Connection(job.broker)
    connection.consume(REPLY_TO)
    stream = connection.socket
    stream.setblocking(False)
    latencies = Latencies(job)
    for number, request in enumerate(latencies):
        properties = commands.Basic.Properties(correlation_id=str(number), reply_to=REPLY_TO)
        stream.send(publication(amqp.SOURCE, request, properties))
        while (found := connection.message()) is None:
            await trio.lowlevel.wait_readable(stream)
            connection.fed(stream.recv(65_536))
        latencies.replied(found[1])
    say("result", **latencies.facts())
    wait_told()
