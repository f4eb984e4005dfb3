"""The end of a link that sends."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._types import CONFIRMED, NO_PROPERTIES, AmqpError, Outcome, Publication, Result
from ._codec import CodecError
from ._conditions import condition_of
from ._encoding import encode_data, encode_prefix
from ._events import CreditGiven, Settled
from ._links import Link
from ._proton import chars, constants, ffi, lib

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
        self._attach()

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
                    raise CodecError(f"{len(message)} bytes, and the peer takes {biggest}")
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
