"""One connection: bytes and the time in, bytes and events out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from ..._version import __version__
from .._types import (
    AmqpError,
    ChannelLost,
    ConnectionLost,
    NotSupported,
    Outcome,
    Publication,
    Subscription,
)
from . import _codec
from ._conditions import condition_of
from ._endings import Endings
from ._events import Ended, Event, LinkEnded, Opened, Settled
from ._links import Link
from ._peer import mapping, symbols
from ._proton import chars, constants, ffi, fill, lib
from ._quirks import NO_QUIRKS, Quirks, quirks_of
from ._receiver import ReceiverLink
from ._sender import SenderLink
from ._sessions import Sessions

_DELIVERY: int = constants.PN_DELIVERY
_RELAY = "ANONYMOUS-RELAY"
_OUTPUT_MAX = 262_144

_UNINVITED = "amqp:link:transfer-limit-exceeded", "a message on a link that was refused"

UNINVITED_MAX = 16
"""Sessions and links that a peer may begin, though nobody here has use for them: each takes memory
until the peer ends it."""


class Engine:
    """Qpid Proton's engine, as a client.

    The owner calls :meth:`receive` with what came, sends what :meth:`data_to_send` gives, and looks
    at :meth:`events` after any call. No call waits, and none raises because of a peer's bytes.

    Args:
        peer: what the peer is called in errors.
        container_id: our container's name (2.7.1).
        hostname: the open frame's hostname; brokers tell virtual hosts by it.
        sasl: the one mechanism that is offered; there is no falling back to another.
        username: for PLAIN.
        password: for PLAIN; it is not kept here.
        idle_timeout: seconds without traffic after which the peer counts as dead; 0 for never.
        frame_max: the largest frame that is taken, in bytes, at least 512.

    Attributes:
        properties: what the peer tells of itself, once it has opened.
        capabilities: what it offers.
    """

    def __init__(
        self,
        *,
        peer: str,
        container_id: str,
        hostname: str | None = None,
        sasl: Literal["PLAIN", "EXTERNAL", "ANONYMOUS"] = "ANONYMOUS",
        username: str = "",
        password: str = "",
        idle_timeout: float = 0,
        frame_max: int = 131_072,
    ) -> None:
        self.peer = peer
        self.properties: Mapping[str, Any] = MappingProxyType({})
        self.capabilities: frozenset[str] = frozenset()
        self.quirks: Quirks = NO_QUIRKS
        self.links: dict[Any, Link] = {}
        self.sessions = Sessions()
        self._events: list[Event] = []
        self._error: ConnectionLost | None = None
        self._sasl = sasl
        self._username = username
        self._endings = Endings(peer, sasl, username)
        self._tags = self._link_names = 0
        self._popped = 0
        self._uninvited = 0
        self._frame_max = frame_max
        self._make(container_id, hostname, password, idle_timeout)
        self._handlers: dict[int, Callable[[Any], None]] = {
            constants.PN_CONNECTION_REMOTE_OPEN: self._on_open,
            constants.PN_CONNECTION_REMOTE_CLOSE: self._on_close,
            constants.PN_SESSION_REMOTE_OPEN: self._on_begin,
            constants.PN_SESSION_REMOTE_CLOSE: self._on_end,
            constants.PN_LINK_REMOTE_OPEN: self._on_attach,
            constants.PN_LINK_REMOTE_CLOSE: self._on_detach,
            constants.PN_LINK_REMOTE_DETACH: self._on_detach,
            constants.PN_LINK_FLOW: self._on_flow,
            constants.PN_TRANSPORT_ERROR: self._on_transport,
            constants.PN_TRANSPORT_CLOSED: self._on_transport,
        }

    def _make(
        self, container_id: str, hostname: str | None, password: str, idle_timeout: float
    ) -> None:
        self._transport = lib.pn_transport()
        self.connection = lib.pn_connection()
        self._collector = lib.pn_collector()
        lib.pn_transport_trace(self._transport, constants.PN_TRACE_OFF)  # it would show passwords
        lib.pn_connection_collect(self.connection, self._collector)
        lib.pn_connection_set_container(self.connection, chars(container_id))
        lib.pn_connection_set_hostname(self.connection, chars(hostname))
        if self._sasl == "PLAIN":
            lib.pn_connection_set_user(self.connection, chars(self._username))
            lib.pn_connection_set_password(self.connection, chars(password))
        ours = {"product": "hypersocket", "version": __version__}
        pairs = [(_codec.encode_symbol(k), _codec.encode_string(v)) for k, v in ours.items()]
        fill(lib.pn_connection_properties(self.connection), _codec.encode_map(pairs))
        capabilities = lib.pn_connection_desired_capabilities(self.connection)
        fill(capabilities, _codec.encode_symbol(_RELAY))
        mechanisms = lib.pn_sasl(self._transport)
        lib.pn_sasl_allowed_mechs(mechanisms, chars(self._sasl))
        # Encryption is not the engine's affair here, so it takes every link for a clear one.
        lib.pn_sasl_set_allow_insecure_mechs(mechanisms, True)
        lib.pn_transport_set_max_frame(self._transport, self._frame_max)
        lib.pn_transport_set_idle_timeout(self._transport, round(idle_timeout * 1000))
        lib.pn_transport_bind(self._transport, self.connection)
        lib.pn_connection_open(self.connection)

    def __del__(self) -> None:
        transport = getattr(self, "_transport", None)
        if transport is not None and hasattr(self, "_collector"):
            lib.pn_transport_unbind(transport)
            lib.pn_connection_release(self.connection)
            lib.pn_decref(self.connection)
            lib.pn_decref(transport)
            lib.pn_collector_free(self._collector)

    # --- bytes and time -------------------------------------------------------------

    def receive(self, data: bytes | bytearray, now: float) -> None:
        """What came from the peer, at a time (seconds of any clock that does not go back)."""
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            capacity: int = lib.pn_transport_capacity(self._transport)
            if capacity <= 0:
                break
            part = view[at : at + capacity]
            done: int = lib.pn_transport_push(self._transport, ffi.from_buffer(part), len(part))
            if done <= 0:
                break
            at += done
        self._collect()
        self.tick(now)

    def end_of_input(self, reason: str = "") -> None:
        """Nothing more comes from the peer. ``reason`` is the way's own words for that."""
        if self._error is None:
            self._end(self._endings.silent(reason))
        lib.pn_transport_close_tail(self._transport)
        self._collect()

    def data_to_send(self) -> bytes:
        """The bytes to send next, some 256 KiB at most; empty if there are none.

        Tell :meth:`written` when they are with the kernel.
        """
        parts: list[bytearray] = []
        size = 0
        while size < _OUTPUT_MAX:
            pending: int = lib.pn_transport_pending(self._transport)
            if pending <= 0:
                break
            part = bytearray(pending)
            lib.pn_transport_peek(self._transport, ffi.from_buffer(part), pending)
            lib.pn_transport_pop(self._transport, pending)
            parts.append(part)
            size += pending
        self._popped += size
        self._collect()
        for link in self.links.values():
            if isinstance(link, SenderLink):
                link.framed(self._popped)
        return b"".join(parts)

    def written(self) -> None:
        """All that :meth:`data_to_send` has given is with the kernel."""
        for link in self.links.values():
            if isinstance(link, SenderLink):
                link.written(self._popped)

    def tick(self, now: float) -> float | None:
        """Let time pass: idle connections are kept alive, silent peers found dead (2.4.5).

        Returns:
            When to call this again at the latest; None if there is no need.
        """
        # 0 is "no time" to the engine.
        deadline: int = lib.pn_transport_tick(self._transport, max(1, int(now * 1000)))
        self._collect()
        return deadline / 1000 if deadline > 0 else None

    @property
    def output_ended(self) -> bool:
        """Whether nothing will ever have to be sent again."""
        pending: int = lib.pn_transport_pending(self._transport)
        return pending < 0

    # --- what the owner wants ---------------------------------------------------------

    def open_sender(self, address: str | None, *, confirm: bool = True) -> SenderLink:
        """Attach a sender, to an address, or (None) to the anonymous relay.

        Raises:
            ConnectionLost: the connection has ended.
            ChannelLost: there can be no such address, or no more links.
            NotSupported: the peer offers no anonymous relay.
        """
        self._check()
        _check_address(address)
        if address is None and _RELAY not in self.capabilities:
            raise NotSupported(
                f"{self.peer} offers no anonymous relay ({_RELAY}): give the sender an address"
            )
        return SenderLink(self, self._name(), address, confirm=confirm)

    def open_receiver(self, subscription: Subscription) -> ReceiverLink:
        """Attach a receiver; it gets nothing before :meth:`ReceiverLink.start`.

        Raises:
            ConnectionLost: the connection has ended.
            ChannelLost: there can be no such address, or no more links.
        """
        self._check()
        _check_address(subscription.address)
        return ReceiverLink(self, self._name(), subscription)

    def close(self) -> None:
        """Close in good order; :class:`Ended` comes when the peer has answered."""
        self._endings.closing = True
        lib.pn_connection_close(self.connection)

    def events(self) -> list[Event]:
        """What has happened since this was last asked."""
        happened, self._events = self._events, []
        return happened

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        most: int = lib.pn_transport_remote_channel_max(self._transport) + 1
        if len(self.sessions.links) >= most:  # the engine would try, and give up the connection
            raise ChannelLost(
                f"{self.peer} lets a connection have {most} links (sessions) and no more",
                condition="amqp:resource-limit-exceeded",
                temporary=True,
            )

    def _name(self) -> str:
        self._link_names += 1
        return f"hypersocket-{self._link_names}"

    # --- for links -------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def report(self, link: SenderLink, publication: Publication, outcome: Outcome) -> None:
        """Add an outcome, to the event before where that says the same."""
        last = self._events[-1] if self._events else None
        if type(last) is Settled and last.link is link and last.outcome == outcome:
            last.publications.append(publication)
        else:
            self._events.append(Settled(link, [publication], outcome))

    def next_tag(self) -> int:
        """A number that no delivery in flight has."""
        self._tags = (self._tags + 1) & 0xFFFF_FFFF
        return self._tags

    # --- what the engine tells ----------------------------------------------------------

    def _collect(self) -> None:
        """Look at everything that happened. After any call of the transport there may be some."""
        collector, links = self._collector, self.links
        while event := lib.pn_collector_peek(collector):
            kind: int = lib.pn_event_type(event)
            if kind == _DELIVERY:
                handle = lib.pn_event_delivery(event)
                link = links.get(lib.pn_delivery_link(handle))
                if link is not None:
                    link.updated(handle)
                elif lib.pn_delivery_readable(handle):  # no bytes need have come with it
                    self.break_off(*_UNINVITED)
            else:
                handler = self._handlers.get(kind)
                if handler is not None:
                    handler(event)
            lib.pn_collector_pop(collector)

    def _on_open(self, _: Any) -> None:
        self.properties = mapping(lib.pn_connection_remote_properties(self.connection))
        self.capabilities = symbols(lib.pn_connection_remote_offered_capabilities(self.connection))
        product, version = (str(self.properties.get(key, "")) for key in ("product", "version"))
        self.quirks = quirks_of(product, version)
        # RabbitMQ opens for anybody, and says at the first session whether the host may be used.
        self.sessions.try_one(lib.pn_session(self.connection))

    def _on_begin(self, event: Any) -> None:
        session = lib.pn_event_session(event)
        if session not in self.sessions.links:
            # A session of the peer's own: it is no client of ours.
            lib.pn_session_open(session)
            lib.pn_session_close(session)
            self._refused("sessions")
        elif self.sessions.links[session] is None:
            self.sessions.end(session)
            if not self._endings.is_open and self._error is None:
                self._endings.is_open = True
                self.tell(Opened())

    def _on_end(self, event: Any) -> None:
        session = lib.pn_event_session(event)
        ours = session in self.sessions.links
        link = self.sessions.links.pop(session, None)
        if link is not None and link.attached:
            error = link.reason(link.condition())
            self._link_ended(link, error)
        elif ours and link is None and not self._endings.is_open:
            condition = condition_of(lib.pn_session_remote_condition(session))
            self._end(self._endings.told("refused a session", condition))
        lib.pn_session_close(session)
        lib.pn_session_free(session)
        self.sessions.ended(session)

    def _on_attach(self, event: Any) -> None:
        handle = lib.pn_event_link(event)
        link = self.links.get(handle)
        if link is not None:
            link.opened()
        elif not lib.pn_link_state(handle) & constants.PN_LOCAL_CLOSED:  # it is not one of ours
            condition = lib.pn_link_condition(handle)
            lib.pn_condition_set_name(condition, chars("amqp:not-allowed"))
            lib.pn_link_open(handle)
            lib.pn_link_close(handle)
            self._refused("links")

    def _refused(self, what: str) -> None:
        self._uninvited += 1
        if self._uninvited > UNINVITED_MAX:
            text = f"over {UNINVITED_MAX} sessions or links of its own, at last {what}"
            self.break_off("amqp:resource-limit-exceeded", text)

    def break_off(self, condition: str, text: str) -> None:
        """End the connection, since the peer does what it must not: ``text`` says what."""
        if self._error is not None:
            return
        ours = lib.pn_connection_condition(self.connection)
        lib.pn_condition_set_name(ours, chars(condition))
        lib.pn_condition_set_description(ours, chars(text))
        lib.pn_connection_close(self.connection)
        self._end(self._endings.beyond_bounds(condition, text))

    def _on_detach(self, event: Any) -> None:
        link = self.links.get(lib.pn_event_link(event))
        if link is not None:
            self._link_ended(link, link.reason(link.condition()))

    def _on_flow(self, event: Any) -> None:
        link = self.links.get(lib.pn_event_link(event))
        if link is not None:
            link.flowed()

    def _link_ended(self, link: Link, error: AmqpError | None) -> None:
        told = link.lost is not None
        link.ended(error)
        if not told:
            self.tell(LinkEnded(link, error))

    def _on_close(self, _: Any) -> None:
        condition = condition_of(lib.pn_connection_remote_condition(self.connection))
        self._end(self._endings.told("closed the connection", condition))
        lib.pn_connection_close(self.connection)

    def _on_transport(self, _: Any) -> None:
        if self._error is None:
            condition = condition_of(lib.pn_transport_condition(self._transport))
            outcome: int = lib.pn_sasl_outcome(lib.pn_sasl(self._transport))
            self._end(self._endings.broken(condition, outcome))

    # --- how it ends -------------------------------------------------------------------

    def _end(self, error: ConnectionLost) -> None:
        if self._error is not None:
            return
        self._error = error
        for link in list(self.links.values()):
            self._link_ended(link, None if self._endings.closing and not link.alive else error)
        self.tell(Ended(error))


def _check_address(address: str | None) -> None:
    # The engine would end it there, and so name another node than was allowed.
    if address is not None and "\0" in address:
        raise ChannelLost(
            f"the address {address!r} has a zero byte in it", condition="amqp:invalid-field"
        )
