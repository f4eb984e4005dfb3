"""The two ends of a link, each in a session of its own.

RabbitMQ answers a refused attach by ending the session, so a session has one link, and whatever
ends it ends nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._types import (
    CONFIRMED,
    NO_PROPERTIES,
    AmqpError,
    ChannelLost,
    Outcome,
    Publication,
    Result,
    Subscription,
)
from . import _codec
from ._codec import CodecError
from ._conditions import Condition, condition_of
from ._delivery import Delivery
from ._events import CreditGiven, LinkOpened, Received, Settled
from ._message import encode_data, encode_prefix
from ._proton import chars, constants, encoded, ffi, fill, lib, text

if TYPE_CHECKING:
    from ._engine import Engine

_ACCEPTED: int = constants.PN_ACCEPTED
_REJECTED: int = constants.PN_REJECTED
_RELEASED: int = constants.PN_RELEASED
_MODIFIED: int = constants.PN_MODIFIED
_TERMINAL = frozenset({_ACCEPTED, _REJECTED, _RELEASED, _MODIFIED})

UNFRAMED_MAX = 262_144
"""Bytes that a sender hands to the engine before it waits for them to be framed: enough to keep a
socket busy through one round of the writer, and what a stalled peer can make a sender hold."""

MESSAGE_MAX = 268_435_456
"""Bytes of a message that is taken. RabbitMQ refuses more than 128 MiB (0.5 GiB at most)."""


class Link:
    """What both ends have in common. Made by :class:`~hypersocket.amqp.v10.Engine`.

    Attributes:
        context: whatever its owner wants to find again when an event comes.
        lost: why it ended; None while it stands, or if we closed it.
        is_open: whether the peer has attached its end, and nobody has ended it.
    """

    _new: Callable[[Any, Any], Any]

    def __init__(self, engine: Engine, name: str, wanted: str) -> None:
        self.context: Any = None
        self.lost: AmqpError | None = None
        self.is_open = False
        self._engine = engine
        self._wanted = wanted
        self._closing = False
        self._session = lib.pn_session(engine.connection)
        lib.pn_session_open(self._session)
        self._link = type(self)._new(self._session, chars(name))
        engine.links[self._link] = self
        engine.sessions[self._session] = self

    @property
    def alive(self) -> bool:
        """Whether it can be used, or is being opened."""
        return self._link is not None and not self._closing

    @property
    def attached(self) -> bool:
        """Whether the engine still knows it."""
        return self._link is not None

    def close(self) -> None:
        """Detach, and end the session. :class:`LinkEnded` comes when the peer has answered."""
        if not self.alive:
            return
        self._closing = True
        self.is_open = False
        lib.pn_link_close(self._link)

    def opened(self) -> None:
        """The peer attached its end. A null terminus announces that it will detach (2.6.3)."""
        if self.is_open or not self.alive:
            return
        if lib.pn_terminus_get_type(self._remote_terminus()) != constants.PN_UNSPECIFIED:
            self._ready()

    def _ready(self) -> None:
        self.is_open = True
        self._engine.tell(LinkOpened(self))

    def _remote_terminus(self) -> Any:
        raise NotImplementedError

    def condition(self) -> Condition | None:
        """Why the peer detached, or ended the session."""
        found = condition_of(lib.pn_link_remote_condition(self._link))
        return found or condition_of(lib.pn_session_remote_condition(self._session))

    def reason(self, condition: Condition | None) -> ChannelLost | None:
        """The error for an end by the peer; None if we had closed the link."""
        if self._closing:
            return None
        what = "ended" if self.is_open else "refused"
        words = str(condition) if condition else "without giving a reason"
        return ChannelLost(
            f"{self._engine.peer} {what} the link {self._wanted}: {words}",
            condition=condition.name if condition else "",
            temporary=condition.temporary if condition else True,
        )

    def ended(self, error: AmqpError | None) -> None:
        """Forget the engine's objects: after this nothing here touches them."""
        del self._engine.links[self._link]
        link, self._link = self._link, None
        self.is_open = False
        self.lost = error
        lib.pn_link_close(link)
        lib.pn_link_free(link)
        lib.pn_session_close(self._session)

    def updated(self, handle: Any) -> None:
        """Something became of a delivery."""
        raise NotImplementedError

    def flowed(self) -> None:
        """The peer told its end's state of flow."""


class SenderLink(Link):
    """Publishes to one address, or (``address`` None) to each publication's own."""

    _new = lib.pn_sender

    def __init__(self, engine: Engine, name: str, address: str | None, *, confirm: bool) -> None:
        super().__init__(engine, name, "for any address" if address is None else f"to {address!r}")
        self.taken = 0
        self.confirm = confirm
        self._address = address
        self._unsettled: dict[Any, Publication] = {}
        self._unwritten: deque[Publication] = deque()
        self._marks: deque[tuple[int, int]] = deque()
        self._handed = self._framed = 0
        self._prefix: tuple[Any, str, str, bytes] = (NO_PROPERTIES, "", "", b"")
        lib.pn_terminus_set_address(lib.pn_link_target(self._link), chars(address))
        mode = constants.PN_SND_UNSETTLED if confirm else constants.PN_SND_SETTLED
        lib.pn_link_set_snd_settle_mode(self._link, mode)
        lib.pn_link_set_rcv_settle_mode(self._link, constants.PN_RCV_FIRST)
        lib.pn_link_open(self._link)

    @property
    def unsettled(self) -> int:
        """Publications taken, whose outcome is not known."""
        return len(self._unsettled) + len(self._unwritten)

    @property
    def credit(self) -> int:
        """How many more the peer takes now."""
        return lib.pn_link_credit(self._link) if self.is_open else 0

    def send(self, publications: Sequence[Publication], start: int = 0) -> int:
        """Take publications from a position on, as many as credit and memory allow.

        Returns:
            How many were taken. One that cannot be encoded, or that is bigger than the peer takes,
            counts, and is told as :attr:`~hypersocket.amqp.Result.REJECTED`.
        """
        if not self.is_open:
            return 0
        link = self._link
        credit: int = lib.pn_link_credit(link)
        room: int = UNFRAMED_MAX - lib.pn_session_outgoing_bytes(self._session)
        biggest: int = lib.pn_link_remote_max_message_size(link)
        at, end = start, len(publications)
        while at < end and credit > 0 and room > 0:
            publication = publications[at]
            at += 1
            try:
                message = self._encode(publication)
                if 0 < biggest < len(message):
                    raise CodecError(f"{len(message)} bytes, and the peer takes {biggest}")  # noqa: TRY301
            except CodecError as error:
                self._engine.report(self, publication, Outcome(Result.REJECTED, str(error)))
                continue
            credit -= 1
            room -= len(message)
            self._transfer(publication, message)
        if at == end and lib.pn_link_get_drain(link):
            lib.pn_link_drained(link)
        self.taken += at - start
        return at - start

    def _encode(self, publication: Publication) -> bytes:
        target = publication.target
        to = target.address if self._address is None else ""
        last, subject, last_to, prefix = self._prefix
        properties = publication.properties
        if properties is not last or target.routing_key != subject or to != last_to:
            subject = target.routing_key
            prefix = encode_prefix(properties, subject, to, self._engine.quirks)
            self._prefix = (properties, subject, to, prefix)
        body = publication.body
        return b"".join((prefix, encode_data(body), body))

    def _transfer(self, publication: Publication, message: bytes) -> None:
        tag = b"%x" % self._engine.next_tag()
        handle = lib.pn_delivery(self._link, (len(tag), ffi.from_buffer(tag)))
        lib.pn_link_send(self._link, ffi.from_buffer(message), len(message))
        if self.confirm:
            lib.pn_link_advance(self._link)
            self._unsettled[handle] = publication
        else:
            lib.pn_delivery_settle(handle)
            self._unwritten.append(publication)
            self._handed += 1

    def framed(self, position: int) -> None:
        """What is now in the output ends at this position of the connection's bytes."""
        if self._unwritten and self._link is not None:
            framed = self._handed - lib.pn_link_queued(self._link)
            if framed > self._framed:
                self._marks.append((position, framed - self._framed))
                self._framed = framed

    def written(self, position: int) -> None:
        """The connection's bytes up to a position are with the kernel."""
        while self._marks and self._marks[0][0] <= position:
            _, count = self._marks.popleft()
            for _ in range(count):
                self._engine.report(self, self._unwritten.popleft(), CONFIRMED)

    def updated(self, handle: Any) -> None:
        """The peer told what became of a publication."""
        state: int = lib.pn_delivery_remote_state(handle)
        if state not in _TERMINAL and not lib.pn_delivery_settled(handle):
            return
        publication = self._unsettled.pop(handle, None)
        if publication is None:
            return
        outcome = CONFIRMED if state == _ACCEPTED else _outcome(handle, state)
        lib.pn_delivery_settle(handle)
        self._engine.report(self, publication, outcome)

    def flowed(self) -> None:
        """There may be credit."""
        if self.is_open:
            self._engine.tell(CreditGiven(self))

    def drain_if_idle(self) -> None:
        """Give the credit back if the peer wants that (2.6.7), since nothing waits to be sent."""
        if self.is_open and lib.pn_link_get_drain(self._link):
            lib.pn_link_drained(self._link)

    def abandon(self, reason: str) -> None:
        """Tell that nobody will know what became of what is unsettled."""
        left = [*self._unsettled.values(), *self._unwritten]
        self._unsettled.clear()
        self._unwritten.clear()
        self._marks.clear()
        if left:
            self._engine.tell(Settled(self, left, Outcome(Result.UNKNOWN, reason)))

    def ended(self, error: AmqpError | None) -> None:
        """No more outcomes come."""
        super().ended(error)
        self.abandon(str(error) if error else "the link was closed")

    def _remote_terminus(self) -> Any:
        return lib.pn_link_remote_target(self._link)


def _outcome(handle: Any, state: int) -> Outcome:
    """What the states other than accepted mean (3.4)."""
    disposition = lib.pn_delivery_remote(handle)
    if state == _REJECTED:
        condition = condition_of(lib.pn_disposition_condition(disposition))
        return Outcome(Result.REJECTED, str(condition) if condition else "rejected")
    if state == _RELEASED:
        return Outcome(Result.RETURNED, "released")
    if state == _MODIFIED:
        if lib.pn_disposition_is_undeliverable(disposition):
            return Outcome(Result.REJECTED, "modified: undeliverable here")
        return Outcome(Result.FAILED, "modified")
    return Outcome(Result.UNKNOWN, "settled without an outcome")


class ReceiverLink(Link):
    """Receives, and keeps the peer's credit such that at most so many are unsettled.

    Attributes:
        unsettled: deliveries that came and are not settled, those not taken included.
        undecodable: messages that could not be decoded, and are given out as they are.
    """

    _new = lib.pn_receiver

    def __init__(self, engine: Engine, name: str, subscription: Subscription) -> None:
        where = "a node of its making" if subscription.dynamic else repr(subscription.address)
        super().__init__(engine, name, f"from {where}")
        self.unsettled = 0
        self.undecodable = 0
        self._settled = subscription.settled
        self._window = max(1, subscription.credit)
        self._inbox: list[Delivery] = []
        self._partial = bytearray()
        self._filter = subscription.filter
        source = lib.pn_link_source(self._link)
        if subscription.dynamic:
            lib.pn_terminus_set_dynamic(source, True)  # noqa: FBT003 - C has no keywords
        else:
            lib.pn_terminus_set_address(source, chars(subscription.address))
        if subscription.filter:
            fill(lib.pn_terminus_filter(source), _selector(subscription.filter))
        mode = constants.PN_SND_SETTLED if self._settled else constants.PN_SND_UNSETTLED
        lib.pn_link_set_snd_settle_mode(self._link, mode)
        lib.pn_link_set_rcv_settle_mode(self._link, constants.PN_RCV_FIRST)
        lib.pn_link_set_max_message_size(self._link, MESSAGE_MAX)
        lib.pn_link_open(self._link)

    @property
    def address(self) -> str:
        """The node's address; the one that the peer named, if it chose."""
        return (
            text(lib.pn_terminus_get_address(self._remote_terminus())) or "" if self.is_open else ""
        )

    @property
    def filtered(self) -> bool:
        """Whether the peer applies the filter that was asked for (3.5.3: it repeats it)."""
        if not self._filter:
            return True
        data = encoded(lib.pn_terminus_filter(self._remote_terminus())) if self.is_open else b""
        value = _codec.decode(data)[0] if data else None
        return isinstance(value, dict) and self._filter in value.values()

    def start(self) -> None:
        """Give the peer its first credit."""
        if self.is_open:
            lib.pn_link_flow(self._link, self._window)

    def take(self) -> list[Delivery]:
        """All deliveries that are there."""
        taken, self._inbox = self._inbox, []
        if self._settled and taken:
            self.unsettled -= len(taken)
            if self.is_open:
                lib.pn_link_flow(self._link, len(taken))
        return taken

    @property
    def settles_itself(self) -> bool:
        """Whether deliveries count as settled when they are sent."""
        return self._settled

    @property
    def waiting(self) -> int:
        """How many deliveries there are to take."""
        return len(self._inbox)

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle as accepted. What is settled already, or was of a link that ended, stays so."""
        self._settle(deliveries, _ACCEPTED)

    def reject(self, deliveries: Sequence[Delivery]) -> None:
        """Settle as rejected."""
        self._settle(deliveries, _REJECTED)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Settle as released: the peer may give it to anybody."""
        self._settle(deliveries, _RELEASED)

    def _settle(self, deliveries: Sequence[Delivery], state: int) -> None:
        if not self.alive:
            return
        update, settle = lib.pn_delivery_update, lib.pn_delivery_settle
        count = 0
        for delivery in deliveries:
            handle = delivery.handle
            if handle is not None:
                delivery.handle = None
                update(handle, state)
                settle(handle)
                count += 1
        if count:
            self.unsettled -= count
            lib.pn_link_flow(self._link, count)

    def close(self) -> None:
        """Give back what nobody took, and detach; what others hold the peer gives to others."""
        if self.alive:
            self._settle([one for one in self._inbox if not self._settled], _RELEASED)
            super().close()

    def updated(self, handle: Any) -> None:
        """Bytes of a delivery came, or the peer has forgotten one."""
        if not self.alive or not lib.pn_delivery_readable(handle):
            return
        if lib.pn_delivery_aborted(handle):
            self._partial.clear()
            lib.pn_delivery_settle(handle)
            lib.pn_link_flow(self._link, 1)
            return
        raw = self._read(handle)
        if raw is None:
            return
        lib.pn_link_advance(self._link)
        held: Any = handle
        if self._settled or lib.pn_delivery_settled(handle):
            lib.pn_delivery_update(handle, _ACCEPTED)
            lib.pn_delivery_settle(handle)
            held = None
        self._arrived(Delivery(raw, held, self._engine.quirks))

    def _read(self, handle: Any) -> bytes | None:
        """The whole message, or None as long as there is more to come."""
        size: int = lib.pn_delivery_pending(handle)
        buffer = ffi.new("char[]", size) if size else b""
        if size:
            lib.pn_link_recv(self._link, buffer, size)
        if lib.pn_delivery_partial(handle):
            self._partial += ffi.buffer(buffer) if size else b""
            return None
        raw = bytes(ffi.buffer(buffer)) if size else b""
        if self._partial:
            raw = bytes(self._partial) + raw
            self._partial.clear()
        return raw

    def _arrived(self, delivery: Delivery) -> None:
        if delivery.problem is not None:
            self.undecodable += 1
        self.unsettled += 1
        if not self._inbox:
            self._engine.tell(Received(self))
        self._inbox.append(delivery)

    def _remote_terminus(self) -> Any:
        return lib.pn_link_remote_source(self._link)


def _selector(expression: str) -> bytes:
    """A filter set with one selector (the filter specification of Apache's registry)."""
    kind = _codec.encode_symbol("apache.org:selector-filter:string")
    value = b"\x00" + kind + _codec.encode_string(expression)
    return _codec.encode_map([(_codec.encode_symbol("selector"), value)])
