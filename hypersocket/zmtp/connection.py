"""One ZMTP connection, sans-I/O: bytes and the time in, events and bytes out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .._errors import HandshakeError, ProtocolError
from .._message import Buffer, Message
from .._reasons import Reason
from .._speedups import COMMAND, FrameDecoder, encode_command
from . import commands
from .codec import PlainCodec, WrappedCodec, make_decoder
from .events import Cancel, Event, HandshakeSucceeded, Subscribe, find_topics
from .greeting import GREETING_SIZE, check_mechanism, encode_greeting, parse_greeting
from .heartbeat import Heartbeat, Pulse
from .limits import Limits
from .mechanism import HandshakeContext, Mechanism, Null, Progress
from .metadata import PeerInfo, describe_peer, encode_metadata, own_properties, parse_metadata
from .states import Input, State, step

_MANY = 1 << 62

# A peer that sends PINGs and does not read our replies must not fill our memory with them. No
# sane peer has so many on their way: RFC 37 asks for "a small number".
MAX_PENDING_PONGS = 256

_LIMITS = Limits()
_NO_HEARTBEAT = Heartbeat()


class Connection:
    """The wire protocol of one connection.

    Args:
        socket_type: our type, in capitals.
        as_server: whether this side plays the server, if the mechanism has one.
        now: the time in seconds, by the clock that every later call uses.
        mechanism: for this connection alone; NULL when None.
        limits: what the peer may cost us.
        heartbeat: how to find out that the peer is gone. A peer of version 3.0 knows no PING
            (RFC 23), so it gets none and no reply is expected of it.
        routing_id: what a ROUTER is to call us; sent by REQ, DEALER and ROUTER.
        metadata: further properties to announce.

    Raises:
        ValueError: an argument cannot be sent.

    Attributes:
        state: where the connection is; see :data:`~hypersocket.zmtp.states.TRANSITIONS`.
        peer: who the peer is; None until the handshake succeeded.
        ignored_commands: how many commands of unknown name came in traffic. They are ignored,
            as in libzmq, so that later versions of the protocol can add some.
    """

    def __init__(
        self,
        socket_type: str,
        *,
        as_server: bool,
        now: float,
        mechanism: Mechanism | None = None,
        limits: Limits = _LIMITS,
        heartbeat: Heartbeat = _NO_HEARTBEAT,
        routing_id: bytes = b"",
        metadata: Mapping[str, bytes] | None = None,
    ) -> None:
        self.state = State.GREETING
        self.peer: PeerInfo | None = None
        self.ignored_commands = 0

        self._socket_type = socket_type
        self._as_server = as_server
        self._mechanism = Null() if mechanism is None else mechanism
        self._limits = limits
        self._metadata = encode_metadata(own_properties(socket_type, routing_id, metadata))
        self._takes_topics = socket_type in commands.WITH_SUBSCRIBERS
        self._peer_version: tuple[int, int] = (0, 0)

        self._decoder = make_decoder(limits, socket_type)
        self._codec: PlainCodec | WrappedCodec = PlainCodec(self._decoder)
        self._has_more = False
        self._peer_closed = False
        self._error: ProtocolError | None = None
        self._error_told = False

        self._now = now
        self._ttl = heartbeat.ttl
        self._pulse = Pulse(heartbeat)

        as_server_bit = as_server and self._mechanism.has_roles
        self._out = [encode_greeting(self._mechanism.name, as_server_bit)]
        self._pongs = 0

    # Bytes in, events out

    def receive(self, data: Buffer, now: float) -> None:
        """Store what the peer sent; ``b""`` says that it closed its side.

        Nothing is looked at before :meth:`next_events`. Call that after each call of this, and
        stop reading while it leaves input behind, or while :attr:`state` is PENDING: then no more
        than one read is ever stored beyond the bounds.
        """
        self._now = now
        if self._error is not None or self._peer_closed:
            return
        if len(data) == 0:
            self._peer_closed = True
        else:
            self._pulse.heard()
            self._decoder.feed(data)
        self._has_more = True

    @property
    def has_pending_input(self) -> bool:
        """Whether :meth:`next_events` may have something to say without further bytes."""
        if self._error is not None:
            return not self._error_told
        if self.state is State.PENDING:
            return self._peer_closed
        return self._has_more

    @property
    def between_messages(self) -> bool:
        """Whether nothing is held of a message, be it uncut or only not yet whole."""
        return self._codec.between_messages()

    def next_events(self, max_messages: int = _MANY) -> list[Event]:
        """Cut events out of what was received.

        Args:
            max_messages: how many events to return at most, at least 1. What is beyond stays in
                the buffer as it came.

        Returns:
            The events in the peer's order; an empty list when there is none yet, or none any
            more.

        Raises:
            ProtocolError: the peer broke a rule or a bound. Events that came before are returned
                first, and this is raised by the next call. Then it is raised by every call.
            HandshakeError: the same, before the handshake was complete.
            ValueError: ``max_messages`` is below 1.
        """
        if max_messages < 1:
            raise ValueError(f"max_messages={max_messages}: at least 1 is needed")
        self._raise_error()
        events: list[Event] = []
        try:
            self._advance(events, max_messages)
        except ProtocolError as error:
            self._fail(error)
            if not events:
                self._raise_error()
        return events

    def resume_handshake(self) -> None:
        """The verdict that the mechanism waits for has come.

        Call :meth:`next_events` afterwards: it has the outcome, be it success or refusal.

        Raises:
            RuntimeError: the mechanism waits for none.
        """
        if self._error is not None:
            return
        self.state = step(self.state, Input.VERDICT_GIVEN)
        self._has_more = True
        try:
            self._send(self._mechanism.resume())
        except ProtocolError as error:
            self._fail(error)

    def _advance(self, events: list[Event], max_messages: int) -> None:
        if self.state is State.GREETING:
            self._greeting()
        if self.state is State.HANDSHAKE:
            self._handshake(events)
        ran_dry = True
        if self.state is State.TRAFFIC:
            ran_dry = self._traffic(events, max_messages)
        self._has_more = not ran_dry
        if self._peer_closed and ran_dry and self.state is not State.CLOSED:
            if self.state is not State.TRAFFIC:
                hint = (
                    "; perhaps it asks for another security mechanism than "
                    f"{self._mechanism.name}, or for another version"
                    if self.state is State.GREETING
                    else ""
                )
                raise HandshakeError(
                    f"the peer closed the connection during the handshake{hint}",
                    Reason.CLOSED_BY_PEER,
                )
            self._pulse.stop()
            self.state = step(self.state, Input.PEER_CLOSED)

    def _greeting(self) -> None:
        greeting = parse_greeting(self._decoder.peek(GREETING_SIZE))
        if greeting is None:
            return
        check_mechanism(greeting, self._mechanism.name)
        self._decoder.skip(GREETING_SIZE)
        self._peer_version = greeting.version
        self.state = step(self.state, Input.GREETED)
        self._send(
            self._mechanism.start(
                HandshakeContext(
                    as_server=self._as_server,
                    peer_as_server=greeting.as_server,
                    peer_version=greeting.version,
                    metadata=self._metadata,
                    limits=self._limits,
                )
            )
        )

    def _handshake(self, events: list[Event]) -> None:
        while self._mechanism.progress is Progress.CONTINUE:
            frame = self._decoder.next_frame(
                self._limits.max_command_size, Reason.COMMAND_TOO_LARGE
            )
            if frame is None:
                return
            flags, body = frame
            if not flags & COMMAND:
                raise HandshakeError("a message came before the handshake was complete")
            name, data = commands.split_command(body)
            if name == commands.ERROR:
                raise commands.refusal(data)
            self.state = step(self.state, Input.COMMAND)
            self._send(self._mechanism.receive(name, data))
        if self._mechanism.progress is Progress.PENDING:
            self.state = step(self.state, Input.VERDICT_NEEDED)
            return
        found = parse_metadata(self._mechanism.peer_metadata, self._limits.max_metadata_size)
        self.peer = describe_peer(
            self._socket_type, self._peer_version, self._mechanism.name, found
        )
        self.state = step(self.state, Input.AGREED)
        if not self._mechanism.transparent:
            self._codec = WrappedCodec(
                self._decoder, self._mechanism, self._limits, self._socket_type
            )
        if self._peer_version >= (3, 1):
            self._pulse.start(self._now)
        events.append(HandshakeSucceeded(self.peer))

    def _traffic(self, events: list[Event], max_messages: int) -> bool:
        """Cut what is there; return whether nothing more can be cut."""
        while len(events) < max_messages:
            self.state = step(self.state, Input.FRAME)
            before = len(events)
            try:
                command = self._codec.decode(events, max_messages - before)
            finally:
                if self._takes_topics:
                    find_topics(events, before)
            if command is not None:
                self._command(command, events)
            elif len(events) < max_messages:
                return True
        return not self._codec.has_data()

    def _command(self, body: bytes, events: list[Event]) -> None:
        # Commands may come between the frames of a message: libzmq sends its PING there, and
        # takes ours.
        name, data = commands.split_command(body)
        if name in (commands.SUBSCRIBE, commands.CANCEL):
            commands.check_topic(name, data, self._socket_type, self._limits.max_topic_size)
            events.append(Subscribe(data) if name == commands.SUBSCRIBE else Cancel(data))
            return
        if len(body) > self._limits.max_command_size:
            # The decoder had to let it pass: it might have been a topic.
            raise ProtocolError(
                f"{len(body)} bytes of command, {self._limits.max_command_size} allowed",
                Reason.COMMAND_TOO_LARGE,
            )
        if name == commands.PING:
            ttl, context = commands.parse_ping(data)
            self._pulse.expect_within(self._now, ttl)
            if self._pongs < MAX_PENDING_PONGS:
                self._pongs += 1
                self._send_traffic(commands.encode_named(commands.PONG, context))
        elif name == commands.PONG:
            commands.check_pong(data)
        elif name == commands.ERROR:
            # With READY on its way both ways at once, a refusal can arrive after ours.
            raise commands.refusal(data)
        else:
            self.ignored_commands += 1

    # Plain traffic, which somebody else may cut

    @property
    def is_plain(self) -> bool:
        """Whether messages travel in plain frames: no mechanism wraps them."""
        return self.state is State.TRAFFIC and isinstance(self._codec, PlainCodec)

    def plain_decoder(self) -> FrameDecoder | None:
        """The decoder for one who cuts plain messages himself from now on.

        He tells :meth:`receive` of no bytes any more but of their end, and has commands looked at
        by :meth:`receive_command`.

        Returns:
            None where messages may be subscriptions, which are looked for here.
        """
        if self._takes_topics or not self.is_plain:
            return None
        self._has_more = False
        return self._decoder

    def receive_command(self, body: bytes, now: float) -> list[Event]:
        """Look at a command that came between messages.

        Returns:
            What it says, as :meth:`next_events`.

        Raises:
            ProtocolError: it breaks a rule or a bound.
        """
        self._now = now
        events: list[Event] = []
        try:
            self._command(body, events)
        except ProtocolError as error:
            self._fail(error)
            self._raise_error()
        return events

    def heard(self) -> None:
        """Bytes came from the peer since the last call: it lives."""
        self._pulse.heard()

    # Bytes out

    def data_to_send(self) -> bytes:
        """What the protocol itself has to send since the last call: write it before messages."""
        out = b"".join(self._out)
        self._out.clear()
        self._pongs = 0
        return out

    def encode(self, messages: Iterable[Message], out: list[bytes]) -> None:
        """Append to ``out`` buffers that carry ``messages``, to be written in order.

        Small frames are joined; a body of 64 KiB or more is appended as itself, not copied.

        Raises:
            RuntimeError: the handshake is not complete, or the connection has ended.
            ProtocolError: the connection failed.
        """
        self._need_traffic()
        self._codec.encode(messages, out)

    def encode_subscription(self, message: bytes) -> bytes:
        r"""The bytes that subscribe (``message`` is ``b"\x01topic"``) or cancel (``\x00``).

        A peer of version 3.1 or later gets a command, an older one the message itself.

        Raises:
            ValueError: ``message`` begins with neither octet.
            RuntimeError: the handshake is not complete, or the connection has ended.
            ProtocolError: the connection failed.
        """
        self._need_traffic()
        if message[:1] not in (b"\0", b"\1"):
            raise ValueError(f"not a subscription: {message[:20]!r}")
        if self._peer_version >= (3, 1):
            name = commands.SUBSCRIBE if message[0] else commands.CANCEL
            return self._codec.encode_command(commands.encode_named(name, message[1:]))
        out: list[bytes] = []
        self._codec.encode((message,), out)
        return b"".join(out)

    def error_reply(self, text: str) -> bytes:
        """An ERROR command with ``text``, or ``b""`` where the protocol has no place for one."""
        if self.state is State.HANDSHAKE or self.state is State.PENDING:
            body = self._mechanism.refuse(text)
            return encode_command(body) if body else b""
        return b""

    def _send(self, bodies: Iterable[bytes]) -> None:
        self._out.extend(map(encode_command, bodies))

    def _send_traffic(self, body: bytes) -> None:
        self._out.append(self._codec.encode_command(body))

    # Time

    @property
    def deadline(self) -> float:
        """When to call :meth:`on_timer`; infinite when no timer runs."""
        return math.inf if self._error is not None else self._pulse.deadline

    def on_timer(self, now: float) -> None:
        """Look at the clock; calling early does no harm. May add to :meth:`data_to_send`.

        Raises:
            ProtocolError: the peer was silent for too long, or the connection failed before.
        """
        self._raise_error()
        self._now = now
        try:
            if self._pulse.on_timer(now):
                self._send_traffic(commands.encode_ping(self._ttl))
        except ProtocolError as error:
            self._fail(error)
            self._raise_error()

    def pause(self, now: float) -> None:
        """The caller stops reading: silence proves nothing until :meth:`resume`."""
        self._now = now
        self._pulse.pause()

    def resume(self, now: float) -> None:
        """The caller reads again."""
        self._now = now
        self._pulse.resume(now)

    # Ends

    def _need_traffic(self) -> None:
        self._raise_error()
        if self.state is not State.TRAFFIC:
            raise RuntimeError(f"nothing can be sent in state {self.state.value!r}")

    def _raise_error(self) -> None:
        if self._error is not None:
            self._error_told = True
            # The same object is raised again and again: it must not gather frames.
            raise self._error.with_traceback(None)

    def _fail(self, error: ProtocolError) -> None:
        if self.state is not State.TRAFFIC and not isinstance(error, HandshakeError):
            error = HandshakeError(str(error), error.reason)
        if self.state is State.HANDSHAKE and error.reason not in commands.UNTOLD:
            self._out.append(self.error_reply(str(error)))
        self._error = error
        self._pulse.stop()
        left = error.reason is Reason.CLOSED_BY_PEER
        self.state = step(self.state, Input.PEER_CLOSED if left else Input.VIOLATION)
