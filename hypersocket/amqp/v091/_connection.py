"""A connection from its first byte to its last, without I/O (AMQP 0-9-1, 2.2 and 4.2)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from .._types import ConnectionLost
from . import _methods as methods
from ._channel import Channel, ChannelState
from ._errors import Malformed, connection_closed
from ._events import Blocked, Ended, Event, Opened
from ._methods import (
    FRAME_BODY,
    FRAME_END,
    FRAME_HEADER,
    FRAME_HEARTBEAT,
    FRAME_METHOD,
    commands,
)

MIN_FRAME: Final = 4096  # what everybody takes before something else is agreed on

_unpack_head = struct.Struct("!BHI").unpack_from
_KINDS: Final = {FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a connection is to be.

    Attributes:
        peer: the broker's name in errors, such as ``"broker.example:5672"``.
        vhost: the virtual host.
        mechanism: ``"PLAIN"`` or ``"EXTERNAL"``.
        username: for PLAIN.
        password: for PLAIN.
        heartbeat: seconds between heartbeats that we ask for; 0 for none.
        frame_max: the largest frame that we take, in bytes; at least 4096.
        name: the connection's, for the broker's operator.
        version: ours.
    """

    peer: str
    vhost: str = "/"
    mechanism: Literal["PLAIN", "EXTERNAL"] = "PLAIN"
    username: str = ""
    password: str = field(default="", repr=False)
    heartbeat: int = 0
    frame_max: int = 131_072
    name: str = "hypersocket"
    version: str = ""


class State(enum.Enum):
    """Of a connection's life."""

    START = "the broker's greeting"
    TUNE = "the answer to the log-in"
    OPENING = "the virtual host to open"
    OPEN = "open"
    CLOSING = "the broker to close the connection"
    CLOSED = "closed"


class Connection:
    """One connection: bytes in by :meth:`receive`, events out; bytes out by :meth:`take`.

    Attributes:
        state: of its life.
        channel_max: how many channels were agreed on.
        frame_max: the largest frame that was agreed on.
        unwritten: bytes that wait for :meth:`take`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.state = State.START
        self.channel_max = 0
        self.frame_max = max(settings.frame_max, MIN_FRAME)
        self.unwritten = 0
        self._out: list[bytes | memoryview] = []
        self._rest: list[bytes] = []  # the beginning of a frame, as it came
        self._have = 0
        self._need = 0  # bytes of that frame, as far as is known
        self._heartbeat = settings.heartbeat
        self._channels: dict[int, Channel] = {}
        self._busy: dict[int, Channel] = {}  # those with something to flush
        self._next_channel = 1
        self._broker: Mapping[str, Any] = {}
        self.write(methods.PROTOCOL_HEADER)

    # --- out ---------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        self._out.append(data)
        self.unwritten += len(data)

    def write_parts(self, parts: list[bytes | memoryview], size: int) -> None:
        """Queue bytes in pieces, ``size`` together."""
        self._out += parts
        self.unwritten += size

    def take(self) -> list[bytes | memoryview]:
        """Everything queued, to be written in this order."""
        out, self._out = self._out, []
        self.unwritten = 0
        return out

    def put_back(self, rest: memoryview) -> None:
        """What was taken and not written, to be taken again before all else."""
        self._out.insert(0, rest)
        self.unwritten += len(rest)

    def heartbeat(self) -> None:
        """Queue a heartbeat."""
        self.write(methods.HEARTBEAT)

    def open_channel(self) -> Channel | None:
        """A new channel, of which the first reply is still to come; None if no number is free."""
        assert self.state is State.OPEN
        if len(self._channels) >= self.channel_max:
            return None
        # Numbers go round, so that a late frame for a closed channel meets no new one.
        number = self._next_channel
        while number in self._channels:
            number = number % self.channel_max + 1
        self._next_channel = number % self.channel_max + 1
        user_id = self._settings.username if self._settings.mechanism == "PLAIN" else None
        channel = Channel(number, self, self.frame_max, user_id)
        self._channels[number] = channel
        return channel

    def close(self) -> None:
        """Ask for the end; :class:`Ended` follows when the broker has agreed."""
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self.write(methods.write(commands.Connection.Close(200, "", 0, 0), 0))

    # --- in ----------------------------------------------------------------------------

    def receive(self, data: bytes | bytearray) -> list[Event]:
        """Read what came.

        Returns:
            What happened, in order. Nothing that a peer sends raises: what is not AMQP 0-9-1, or
            comes out of turn, is :class:`Ended`, after which nothing more is read.
        """
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        if self._rest:
            self._rest.append(bytes(data))
            self._have += len(data)
            if self._have < self._need:
                return events
            data = b"".join(self._rest)
            self._rest = []
        try:
            self._cut(bytes(data), events)
        except Malformed as error:
            self._flush(events)
            code, text = error.code, str(error)
            self.write(methods.write(commands.Connection.Close(code, text[:200], 0, 0), 0))
            text = f"{self._settings.peer} broke AMQP 0-9-1: {text}"
            self._end(ConnectionLost(text, temporary=self.state is not State.START), events)
        else:
            self._flush(events)
        return events

    def eof(self, reason: str = "") -> list[Event]:
        """Nothing comes any more: the stream has ended, or failed for ``reason``."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        peer, why = self._settings.peer, f" ({reason})" if reason else ""
        if self.state is State.TUNE:
            # Brokers that do not say why end connections so when they refuse a log-in (2.2.4).
            text = f"{peer} hung up at the log-in; it may have refused it{why}"
        elif self.state in {State.START, State.OPENING}:
            text = f"{peer} hung up; waited for {self.state.value}{why}"
        else:
            text = f"the connection to {peer} broke{why}"
        self._end(ConnectionLost(text, temporary=True), events)
        return events

    def _cut(self, data: bytes, events: list[Event]) -> None:
        """Take whole frames off the front, and keep the rest."""
        at, size = 0, len(data)
        if self.state is State.START and data[:1] == b"A":
            self._other_version(data)
            return
        limit = self.frame_max - 8
        need = 7
        while size - at >= 7:
            kind, number, length = _unpack_head(data, at)
            if kind not in _KINDS or length > limit:
                raise _garbage(data[at : at + 16], kind in _KINDS, length, limit)
            end = at + 7 + length
            if end >= size:
                need = 8 + length
                break
            if data[end] != FRAME_END:
                raise Malformed(f"a frame ends with {data[end]:#04x}, not 0xce")
            if number:
                self._on_channel(kind, number, data, at + 7, end, events)
            else:
                self._on_connection(kind, data[at + 7 : end], events)
                if self.state is State.CLOSED:
                    return
                limit = self.frame_max - 8
            at = end + 1
            need = 7
        if at < size:
            if data[at] not in _KINDS:
                raise _garbage(data[at:], False, 0, limit)
            self._keep(data[at:], need)

    def _keep(self, data: bytes, need: int) -> None:
        """The beginning of a frame, to be looked at when there are ``need`` bytes of it."""
        self._rest, self._have, self._need = [data], len(data), need

    def _on_channel(
        self, kind: int, number: int, data: bytes, start: int, end: int, events: list[Event]
    ) -> None:
        channel = self._channels.get(number)
        if channel is None:
            raise Malformed(f"a frame came on channel {number}, which is not open", 504)
        self._busy[number] = channel
        if channel.state is not ChannelState.OPEN:
            channel.on_closing(kind, data, start, end, events)
        elif kind == FRAME_METHOD:
            channel.on_method(data, start, end, events)
        elif kind == FRAME_HEADER:
            channel.on_header(data, start, end, events)
        elif kind == FRAME_BODY:
            channel.on_body(data, start, end, events)
        else:
            raise Malformed("a heartbeat came on a channel of its own")
        if channel.state is ChannelState.CLOSED:
            del self._channels[number]
            self._busy.pop(number, None)

    def _flush(self, events: list[Event]) -> None:
        for channel in self._busy.values():
            channel.flush(events)
        self._busy.clear()

    def _end(self, error: ConnectionLost, events: list[Event]) -> None:
        self.state = State.CLOSED
        self._channels.clear()
        events.append(Ended(error))

    # --- channel 0 ---------------------------------------------------------------------

    def _other_version(self, data: bytes) -> None:
        """A broker that speaks something else answers with its own header (4.2.2)."""
        if len(data) < 8:
            if not b"AMQP".startswith(data[:4]):
                raise _garbage(data, False, 0, 0)
            self._keep(data, len(data) + 1)
            return
        if data[:4] != b"AMQP":
            raise _garbage(data[:16], False, 0, 0)
        version = ".".join(str(number) for number in data[5:8])
        raise Malformed(f"it does not speak it here, but AMQP {version} (protocol id {data[4]})")

    def _on_connection(self, kind: int, payload: bytes, events: list[Event]) -> None:
        if kind == FRAME_HEARTBEAT:
            return
        if kind != FRAME_METHOD:
            raise Malformed("a message came on channel 0", 504)
        method = methods.read(payload)
        if isinstance(method, commands.Connection.Close):
            self._flush(events)
            self.write(methods.write(commands.Connection.CloseOk(), 0))
            code, text = method.reply_code or 0, method.reply_text
            self._end(connection_closed(self._settings.peer, code, text), events)
        elif self.state is State.CLOSING:
            if isinstance(method, commands.Connection.CloseOk):
                self._flush(events)
                text = f"the connection to {self._settings.peer} was closed"
                self._end(ConnectionLost(text, temporary=True), events)
        elif self.state is State.OPEN:
            self._on_open_connection(method, events)
        elif self.state is State.START and isinstance(method, commands.Connection.Start):
            self._on_start(method, events)
        elif self.state is State.TUNE and isinstance(method, commands.Connection.Tune):
            self._on_tune(method)
        elif self.state is State.OPENING and isinstance(method, commands.Connection.OpenOk):
            self.state = State.OPEN
            events.append(Opened(self._broker, self._heartbeat))
        else:
            raise Malformed(f"{method.name} came, where {self.state.value} was due", 503)

    def _on_open_connection(self, method: object, events: list[Event]) -> None:
        if isinstance(method, commands.Connection.Blocked):
            events.append(Blocked(method.reason or "blocked"))
        elif isinstance(method, commands.Connection.Unblocked):
            events.append(Blocked(None))
        else:
            raise Malformed(f"{type(method).__qualname__} came on an open connection", 503)

    def _on_start(self, method: commands.Connection.Start, events: list[Event]) -> None:
        settings = self._settings
        offered = str(method.mechanisms).split()
        if settings.mechanism not in offered:
            text = f"{settings.peer} does not offer {settings.mechanism}, but {', '.join(offered)}"
            self._end(ConnectionLost(text), events)
            return
        self._broker = dict(method.server_properties or {})
        response = ""
        if settings.mechanism == "PLAIN":
            response = f"\0{settings.username}\0{settings.password}"
        properties: Any = methods.client_properties(settings.name, settings.version)
        locale = str(method.locales).split()[0] if method.locales else "en_US"
        answer = commands.Connection.StartOk(properties, settings.mechanism, response, locale)
        self.write(methods.write(answer, 0))
        self.state = State.TUNE

    def _on_tune(self, method: commands.Connection.Tune) -> None:
        """0 means that there is no limit (1.4.2.5)."""
        self.channel_max = method.channel_max or methods.MAX_CHANNELS
        self.frame_max = min(method.frame_max or self.frame_max, self.frame_max)
        if self.frame_max < MIN_FRAME:
            raise Malformed(f"frame_max = {self.frame_max}: it must be {MIN_FRAME} at least", 530)
        if method.heartbeat and self._heartbeat:
            self._heartbeat = min(method.heartbeat, self._heartbeat)
        tuned = commands.Connection.TuneOk(self.channel_max, self.frame_max, self._heartbeat)
        self.write(methods.write(tuned, 0))
        self.write(methods.write(commands.Connection.Open(self._settings.vhost), 0))
        self.state = State.OPENING


def _garbage(data: bytes, is_frame: bool, length: int, limit: int) -> Malformed:
    if is_frame:
        return Malformed(f"a frame of {length} bytes; at most {limit} were agreed on")
    hint = " (a TLS alert?)" if data[:2] == b"\x15\x03" else ""
    return Malformed(f"no frame begins with {bytes(data[:16])!r}{hint}")
