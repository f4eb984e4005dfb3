"""One channel: what was asked of it, what is published and delivered on it (AMQP 0-9-1, 2.2)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import Final, Protocol

from .._types import (
    CONFIRMED,
    Binding,
    ChannelLost,
    Exchange,
    Outcome,
    Publication,
    Queue,
    Result,
    Subscription,
)
from . import _methods as methods
from ._confirms import ConfirmWindow
from ._errors import Malformed, channel_closed, words
from ._events import Cancelled, ChannelEnded, Delivered, Event, Flow, Replied, Settled
from ._message import Message
from ._methods import commands
from ._properties import decode, encode
from ._publishing import Publisher
from ._settlements import Settlements
from ._values import Truncated, read_short, text

MAX_BODY: Final = 512 * 1024 * 1024  # RabbitMQ can be told to take this much, and no more

SMALL_PIECE: Final = 4096
"""Bytes up to which pieces of a body are joined as they come. Buffers that grow are far slower."""

_DELIVER: Final = 0x3C003C
_ACK: Final = 0x3C0050
_NACK: Final = 0x3C0078
_RETURN: Final = 0x3C0032

_unpack_index = struct.Struct("!I").unpack_from
_unpack_answer = struct.Struct("!QB").unpack_from
_unpack_delivery = struct.Struct("!Q?").unpack_from
_unpack_size = struct.Struct("!Q").unpack_from
_unpack_code = struct.Struct("!H").unpack_from

NACKED: Final = Outcome(Result.REJECTED, "basic.nack")

_GRANTS: Final = (
    commands.Channel.OpenOk,
    commands.Exchange.DeclareOk,
    commands.Queue.BindOk,
    commands.Queue.UnbindOk,
    commands.Basic.QosOk,
    commands.Confirm.SelectOk,
)


class ChannelState(enum.Enum):
    """Of a channel's life."""

    OPEN = "open"
    """Usable: requests may follow Channel.Open at once."""
    CLOSING = "closing"
    """Channel.Close is on its way; what still comes is passed over."""
    CLOSED = "closed"


class Wire(Protocol):
    """What a channel needs of its connection."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        ...

    def write_parts(self, parts: list[bytes | memoryview], size: int) -> None:
        """Queue bytes in pieces, ``size`` together."""
        ...


class _Content:
    """A message of which the method came, and header or body are still to come."""

    __slots__ = ("body", "envelope", "missing", "reason", "redelivered", "said", "size", "tag")

    def __init__(self, tag: int, redelivered: bool, envelope: bytes, reason: str) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.envelope = envelope
        self.reason = reason  # of a return; empty for a delivery
        self.said: bytes | None = None
        self.size = 0
        self.missing = 0
        self.body: list[bytes] = []


class Channel:
    """One channel. Requests are answered in order, by :class:`Replied` or :class:`ChannelEnded`.

    Attributes:
        number: its number on the connection.
        state: of its life.
        settlements: of what was delivered on it.
        confirms: of what was published on it, once :meth:`select_confirms` was called.
    """

    def __init__(self, number: int, wire: Wire, frame_max: int, user_id: str | None) -> None:
        self.number = number
        self.state = ChannelState.OPEN
        self.settlements = Settlements()
        self.confirms: ConfirmWindow | None = None
        self._no_ack = False
        self._wire = wire
        self._frame_max = frame_max
        self._user_id = user_id
        self._publisher: Publisher | None = None
        self._content: _Content | None = None
        self._delivered: list[Message] = []
        self._confirmed: list[Publication] = []
        wire.write(methods.write(commands.Channel.Open(), number))

    # --- asking ------------------------------------------------------------------------

    def declare_exchange(self, exchange: Exchange) -> None:
        """Ask for an exchange. ValueError or TypeError: it cannot be written."""
        self._wire.write(methods.exchange_declare(self.number, exchange))

    def declare_queue(self, queue: Queue) -> None:
        """Ask for a queue; the reply has its name. ValueError or TypeError as above."""
        self._wire.write(methods.queue_declare(self.number, queue))

    def bind(self, binding: Binding) -> None:
        """Ask for a binding. ValueError or TypeError as above."""
        self._wire.write(methods.queue_bind(self.number, binding))

    def unbind(self, binding: Binding) -> None:
        """Ask to undo a binding. ValueError or TypeError as above."""
        self._wire.write(methods.queue_unbind(self.number, binding))

    def limit(self, credit: int) -> None:
        """Ask that at most so many deliveries are unsettled."""
        self._wire.write(methods.basic_qos(self.number, credit))

    def consume(self, subscription: Subscription, tag: str, *, no_ack: bool) -> None:
        """Ask for messages. One consumer at a time; ValueError or TypeError as above."""
        self._wire.write(methods.basic_consume(self.number, subscription, tag, no_ack=no_ack))
        self._no_ack = no_ack

    def cancel(self, tag: str) -> None:
        """Ask for no more messages."""
        self._wire.write(methods.write(commands.Basic.Cancel(tag), self.number))

    def select_confirms(self) -> None:
        """Ask for the outcomes of all that is published from now on."""
        self._wire.write(methods.write(commands.Confirm.Select(), self.number))
        self.confirms = ConfirmWindow()

    def close(self) -> None:
        """End it; the answer is :class:`ChannelEnded` without an error."""
        if self.state is ChannelState.OPEN:
            self.state = ChannelState.CLOSING
            self._wire.write(methods.write(commands.Channel.Close(200, "", 0, 0), self.number))

    # --- publishing and settling -------------------------------------------------------

    def start_publishing(self, *, mandatory: bool) -> None:
        """Before the first :meth:`publish`: whether what cannot be routed is to come back."""
        self._publisher = Publisher(
            self.number, self._frame_max, mandatory=mandatory, user_id=self._user_id
        )

    def publish(self, publications: Sequence[Publication]) -> list[tuple[Publication, str]]:
        """Publish in order; returns what AMQP 0-9-1 cannot carry, each with the reason."""
        assert self._publisher is not None, "start_publishing() comes first"
        parts: list[bytes | memoryview] = []
        size, refused = self._publisher.pack(publications, parts)
        if refused:
            without = {id(one) for one, _ in refused}
            publications = [one for one in publications if id(one) not in without]
        if self.confirms is not None:
            self.confirms.add(publications)
        self._wire.write_parts(parts, size)
        return refused

    def write_settlements(self) -> None:
        """Queue what was settled since the last time."""
        if self.settlements.unwritten and self.state is ChannelState.OPEN:
            self._wire.write(self.settlements.write(self.number))

    # --- what the broker says ----------------------------------------------------------

    def on_method(self, data: bytes, start: int, end: int, events: list[Event]) -> None:
        """A method's frame, whose payload is ``data[start:end]``."""
        if self._content is not None:
            raise Malformed("a method came where the rest of a message was due", 505)
        if end - start < 4:
            raise Malformed("a method's frame is too short")
        index: int = _unpack_index(data, start)[0]
        if index == _DELIVER:
            self._on_deliver(data, start + 4, end)
        elif index in {_ACK, _NACK}:
            self._on_answer(index == _ACK, data, start + 4, end, events)
        elif index == _RETURN:
            self._on_return(data[start + 4 : end])
        else:
            self._on_rare(data[start:end], events)

    def on_header(self, data: bytes, start: int, end: int, events: list[Event]) -> None:
        """A content header's frame."""
        content = self._content
        if content is None or content.said is not None:
            raise Malformed("a content header came out of turn", 505)
        if end - start < 14:
            raise Malformed("a content header is too short")
        size: int = _unpack_size(data, start + 4)[0]
        if size > MAX_BODY:
            raise Malformed(f"a message of {size} bytes; at most {MAX_BODY} are taken")
        content.said = data[start + 12 : end]
        content.size = content.missing = size
        if not size:
            self._complete(content, b"", events)

    def on_body(self, data: bytes, start: int, end: int, events: list[Event]) -> None:
        """A body's frame."""
        content = self._content
        if content is None or content.said is None:
            raise Malformed("a piece of a body came out of turn", 505)
        size = end - start
        if size > content.missing:
            raise Malformed("a body is longer than its header said")
        if size == content.size:
            self._complete(content, data[start:end], events)
            return
        body = content.body
        if body and len(body[-1]) + size <= SMALL_PIECE:
            body[-1] += data[start:end]  # each piece costs more than a few bytes in it
        elif size:
            body.append(data[start:end])
        content.missing -= size
        if not content.missing:
            self._complete(content, b"".join(body), events)

    def _on_deliver(self, data: bytes, start: int, end: int) -> None:
        """Basic.Deliver: consumer tag, delivery tag, redelivered, exchange, routing key."""
        try:
            at = start + 1 + data[start]
            tag, redelivered = _unpack_delivery(data, at)
            key = at + 10 + data[at + 9]
            whole = key + 1 + data[key] == end
        except (IndexError, struct.error):
            whole = False
            tag = at = 0
            redelivered = False
        if not whole:
            raise Malformed("Basic.Deliver cannot be read", 502)
        self._content = _Content(tag, redelivered, data[at + 9 : end], "")

    def _on_answer(self, ack: bool, data: bytes, start: int, end: int, events: list[Event]) -> None:
        """Basic.Ack or Basic.Nack of publications."""
        if end - start < 9:
            raise Malformed("a confirmation is too short", 502)
        if self.confirms is None:
            raise Malformed("a confirmation came that nobody asked for", 503)
        tag, bits = _unpack_answer(data, start)
        found = self.confirms.settle(tag, bool(bits & 1))
        if ack:
            self._confirmed += found
        elif found:
            events.append(Settled(self, found, NACKED))

    def _on_return(self, payload: bytes) -> None:
        """Basic.Return: code, text, exchange, routing key."""
        try:
            reason, at = read_short(payload, 2)
            code: int = _unpack_code(payload)[0]
            _, key = read_short(payload, at)
            _, end = read_short(payload, key)
        except (Truncated, struct.error):
            raise Malformed("Basic.Return cannot be read", 502) from None
        self._content = _Content(0, False, payload[at:end], words(code, text(reason)))

    def _complete(self, content: _Content, body: bytes, events: list[Event]) -> None:
        assert content.said is not None
        self._content = None
        if content.reason:
            self._on_returned(content, body, events)
            return
        self._delivered.append(
            Message(
                self.settlements,
                content.tag,
                content.redelivered,
                content.envelope,
                content.said,
                body,
            )
        )

    def _on_returned(self, content: _Content, body: bytes, events: list[Event]) -> None:
        said = content.said or b""
        message = Message(None, 0, False, content.envelope, said, body)
        target = message.target

        def same_properties(one: Publication) -> bool:
            mine = encode(one.properties)
            return mine == said or decode(mine) == message.properties

        one = None
        if self.confirms is not None:
            one = self.confirms.returned(target.exchange, target.routing_key, body, same_properties)
        if one is None:
            if self.state is ChannelState.CLOSING:
                return  # its sender has given it up
            raise Malformed("a message was returned that was never published", 503)
        events.append(Settled(self, [one], Outcome(Result.RETURNED, content.reason)))

    def _on_rare(self, payload: bytes, events: list[Event]) -> None:
        method = methods.read(payload)
        self.flush(events)
        if isinstance(method, commands.Channel.Close):
            self._wire.write(methods.write(commands.Channel.CloseOk(), self.number))
            error = channel_closed(method.reply_code or 0, method.reply_text)
            self._end(error, events)
        elif isinstance(method, commands.Queue.DeclareOk):
            events.append(Replied(self, method.queue or ""))
        elif isinstance(method, commands.Basic.ConsumeOk | commands.Basic.CancelOk):
            events.append(Replied(self, method.consumer_tag or ""))
        elif isinstance(method, commands.Basic.Cancel):
            if not method.nowait:
                answer = commands.Basic.CancelOk(method.consumer_tag or "")
                self._wire.write(methods.write(answer, self.number))
            events.append(Cancelled(self))
        elif isinstance(method, commands.Channel.Flow):
            self._wire.write(methods.write(commands.Channel.FlowOk(method.active), self.number))
            events.append(Flow(self, bool(method.active)))
        elif isinstance(method, _GRANTS):
            events.append(Replied(self))
        else:
            raise Malformed(f"{method.name} came on a channel, where it has no meaning", 503)

    def on_closing(self, kind: int, data: bytes, start: int, end: int, events: list[Event]) -> None:
        """Any frame after :meth:`close`: only the ends count, and outcomes that still come."""
        if kind == methods.FRAME_HEADER:
            self.on_header(data, start, end, events)
        elif kind == methods.FRAME_BODY:
            self.on_body(data, start, end, events)
        elif kind == methods.FRAME_METHOD and end - start >= 4:
            index: int = _unpack_index(data, start)[0]
            if index in {_ACK, _NACK, _DELIVER, _RETURN}:
                self.on_method(data, start, end, events)
            elif index >> 16 == 20:
                self._on_closing_rare(data[start:end], events)
        self._delivered = []  # nobody takes them, so that the broker has them again

    def _on_closing_rare(self, payload: bytes, events: list[Event]) -> None:
        method = methods.read(payload)
        if isinstance(method, commands.Channel.Close):
            self._wire.write(methods.write(commands.Channel.CloseOk(), self.number))
        elif isinstance(method, commands.Channel.CloseOk):
            self.flush(events)
            self._end(None, events)

    def flush(self, events: list[Event]) -> None:
        """Hand on what has gathered while the bytes of one receive were cut."""
        if self._delivered:
            messages, self._delivered = self._delivered, []
            if not self._no_ack:
                self.settlements.add(messages)
            events.append(Delivered(self, messages))
        if self._confirmed:
            publications, self._confirmed = self._confirmed, []
            events.append(Settled(self, publications, CONFIRMED))

    def _end(self, error: ChannelLost | None, events: list[Event]) -> None:
        self.state = ChannelState.CLOSED
        self._content = None
        events.append(ChannelEnded(self, error))
