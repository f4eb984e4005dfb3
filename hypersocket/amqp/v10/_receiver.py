"""The end of a link that receives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._types import AmqpError, ChannelLost, Subscription
from . import _codec
from ._codec import is_map
from ._delivery import Delivery
from ._events import Received
from ._links import Link
from ._proton import chars, constants, encoded, ffi, fill, lib, text

if TYPE_CHECKING:
    from ._engine import Engine

_ACCEPTED: int = constants.PN_ACCEPTED
_REJECTED: int = constants.PN_REJECTED
_RELEASED: int = constants.PN_RELEASED

MESSAGE_MAX = 268_435_456
"""Bytes of a message that is taken. RabbitMQ refuses more than 128 MiB (0.5 GiB at most)."""

_TOO_BIG = "amqp:link:message-size-exceeded"
_TOO_MANY = "amqp:link:transfer-limit-exceeded"

SURPLUS = 1000
"""Messages that may be here beyond twice the credit that was given: a peer may count otherwise
(2.6.7), but not without a bound."""


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
        self._owed = 0
        # What came after we had closed the link: messages, and the bytes of whatever it was.
        self._late = self._late_bytes = 0
        self._window = max(0, subscription.credit)
        self._inbox: list[Delivery] = []
        self._partial = bytearray()
        self._filter = subscription.filter
        source = lib.pn_link_source(self._link)
        if subscription.dynamic:
            lib.pn_terminus_set_dynamic(source, True)
        else:
            lib.pn_terminus_set_address(source, chars(subscription.address))
        if subscription.filter:
            fill(lib.pn_terminus_filter(source), _selector(subscription.filter))
        mode = constants.PN_SND_SETTLED if self._settled else constants.PN_SND_UNSETTLED
        lib.pn_link_set_snd_settle_mode(self._link, mode)
        lib.pn_link_set_rcv_settle_mode(self._link, constants.PN_RCV_FIRST)
        lib.pn_link_set_max_message_size(self._link, MESSAGE_MAX)
        self._attach()

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
        return is_map(value) and self._filter in value.values()

    def start(self) -> None:
        """Give the peer its first credit."""
        if self.is_open and self._window:
            lib.pn_link_flow(self._link, self._window)

    def take(self) -> list[Delivery]:
        """All deliveries that are there."""
        taken, self._inbox = self._inbox, []
        if not self.alive:
            self.unsettled = 0
        elif self._settled:
            self._settle(taken, _ACCEPTED)
        return taken

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
            if delivery.settled:
                continue
            delivery.settled = True
            count += 1
            handle = delivery.handle
            if handle is not None:  # a peer may have settled it, whatever was asked for
                delivery.handle = None
                update(handle, state)
                settle(handle)
        if count:
            self.unsettled -= count
            self._owed += count
            self._top_up()

    def _top_up(self) -> None:
        """Give the credit that is owed."""
        if self._owed and not (
            self._engine.quirks.absolute_credit and lib.pn_link_credit(self._link) > 0
        ):
            lib.pn_link_flow(self._link, self._owed)
            self._owed = 0

    def close(self) -> None:
        """Give back what nobody took, and detach; what others hold the peer gives to others."""
        if self.alive:
            self._settle([one for one in self._inbox if one.handle is not None], _RELEASED)
            self._keep_settled()
            super().close()

    def ended(self, error: AmqpError | None) -> None:
        """What is not settled is the peer's again."""
        super().ended(error)
        self._keep_settled()

    def _keep_settled(self) -> None:
        """Keep nothing but what the peer has forgotten: no part of a message, either."""
        self._partial.clear()
        self._inbox = [one for one in self._inbox if one.handle is None and not one.settled]
        self.unsettled = len(self._inbox)

    def updated(self, handle: Any) -> None:
        """Bytes of a delivery came, or the peer has forgotten one."""
        if not self.attached:
            return
        if not self.alive:
            self._late += not lib.pn_delivery_partial(handle)
            self._late_bytes += self._discard()
        if self.unsettled + self._late > 2 * self._window + SURPLUS:
            text = f"over {2 * self._window + SURPLUS} messages on the link {self._wanted}"
            self._engine.break_off(_TOO_MANY, f"{text}, with credit for {self._window}")
        elif self._late_bytes > MESSAGE_MAX:
            text = f"over {MESSAGE_MAX} bytes on the link {self._wanted}, which was ended"
            self._engine.break_off(_TOO_BIG, text)
        elif self.alive and lib.pn_delivery_readable(handle):
            self._readable(handle)

    def _discard(self) -> int:
        """Take what came, and look at nothing of it; returns how many bytes it was."""
        count = 0
        while (handle := lib.pn_link_current(self._link)) != ffi.NULL:
            size: int = lib.pn_delivery_pending(handle)
            if size:
                lib.pn_link_recv(self._link, ffi.new("char[]", size), size)
                count += size
            if lib.pn_delivery_partial(handle):
                break
            lib.pn_link_advance(self._link)
        return count

    def _readable(self, handle: Any) -> None:
        """Bytes of a delivery came."""
        if lib.pn_delivery_aborted(handle):
            self._partial.clear()
            lib.pn_delivery_settle(handle)
            self._owed += 1
            self._top_up()
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
        self._top_up()

    def _too_big(self) -> None:
        """End the link, as 2.7.3 asks for. The engine tells the peer the limit, and no more."""
        text = f"a message of over {MESSAGE_MAX} bytes"
        condition = lib.pn_link_condition(self._link)
        lib.pn_condition_set_name(condition, chars(_TOO_BIG))
        lib.pn_condition_set_description(condition, chars(text))
        self._give_up(
            ChannelLost(
                f"{self._engine.peer} sent {text} on the link {self._wanted}", condition=_TOO_BIG
            )
        )
        self._keep_settled()
        self._late_bytes += self._discard()

    def _read(self, handle: Any) -> bytes | None:
        """The whole message, or None as long as there is more to come, or if it is too big."""
        size: int = lib.pn_delivery_pending(handle)
        if len(self._partial) + size > MESSAGE_MAX:
            self._too_big()
            return None
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
