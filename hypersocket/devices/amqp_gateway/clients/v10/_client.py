"""A client of AMQP 1.0: one connection, on trio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio
import trio.abc

from .....amqp import (
    Binding,
    ChannelLost,
    ConnectionLost,
    Declaration,
    NotSupported,
    Subscription,
)
from .....amqp.v10 import (
    CreditGiven,
    Ended,
    Engine,
    Event,
    LinkEnded,
    Opened,
    Received,
    ReceiverLink,
    SenderLink,
    Settled,
)
from ... import _client
from ..._client import BrokerAddress, OnSettled, ProtocolName
from ._links import DETACH_TIMEOUT, Receiver, Sender
from ._stream import name_of

CLOSE_TIMEOUT = 2.0
"""Seconds that a peer has to answer a close."""
FLUSH_TIMEOUT = 0.5
"""Seconds that a cancelled connection takes to write what was settled."""
VHOST = "vhost:"
"""What RabbitMQ wants before the name of a virtual host, in the hostname of an open frame."""
QUEUE = "/amq/queue/"
"""What begins RabbitMQ's addresses of queues that have to be there."""
_READ_MAX = 131_072


class IsRabbitMQ(Exception):
    """The peer is, and the virtual host was not named as it wants it."""


class Client:
    """One open connection to a broker that speaks AMQP 1.0. Made by :func:`connect`."""

    def __init__(self, address: BrokerAddress, stream: trio.abc.Stream) -> None:
        self._address = address
        self._stream = stream
        self._engine = Engine(
            peer=name_of(address),
            container_id=address.container_id,
            hostname=address.host if address.vhost is None else address.vhost,
            sasl=address.sasl,
            username=address.username,
            password=address.password,
            idle_timeout=address.heartbeat,
            frame_max=max(512, address.frame_max),
        )
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._flushed = trio.Event()
        self._work = trio.Event()
        self._lost: ConnectionLost | None = None
        self._abandoned = False
        self._links = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope(shield=True)

    # --- what the gateway asks -------------------------------------------------------

    @property
    def protocol(self) -> ProtocolName:
        """``"1.0"``."""
        return "1.0"

    @property
    def broker(self) -> Mapping[str, Any]:
        """The properties of the peer's open frame, and its ``capabilities``."""
        return {**self._engine.properties, "capabilities": sorted(self._engine.capabilities)}

    @property
    def blocked(self) -> str | None:
        """None: AMQP 1.0 has credit instead."""
        return None

    @property
    def lost(self) -> ConnectionLost | None:
        """Why the connection ended; None while it stands."""
        return self._lost

    async def wait_lost(self) -> ConnectionLost:
        """Wait until the connection has ended."""
        await self._ended.wait()
        assert self._lost is not None
        return self._lost

    def abandon(self, reason: str) -> None:
        """End the connection here and now; see the protocol ``Client``."""
        self._abandoned = True
        self._engine.end_of_input(reason)
        self._dispatch()

    async def declare(self, declarations: Sequence[Declaration]) -> list[str]:
        """Nothing can be declared.

        Raises:
            NotSupported: there is something to declare.
        """
        await trio.lowlevel.checkpoint()
        if declarations:
            raise NotSupported("AMQP 1.0 cannot declare exchanges, queues or bindings")
        return []

    async def bind(self, binding: Binding) -> None:
        """Raise NotSupported."""
        await trio.lowlevel.checkpoint()
        raise NotSupported(f"AMQP 1.0 cannot bind the queue {binding.queue!r} to an exchange")

    async def unbind(self, binding: Binding) -> None:
        """Raise NotSupported."""
        await trio.lowlevel.checkpoint()
        raise NotSupported(f"AMQP 1.0 cannot unbind the queue {binding.queue!r}")

    async def open_sender(
        self,
        on_settled: OnSettled,
        *,
        address: str | None = None,
        confirm: bool = True,
        mandatory: bool = True,
    ) -> Sender:
        """Attach a sender, to an address or to the anonymous relay. Cancelled, it is detached.

        ``mandatory`` has no meaning here: it is the node's affair what it does with a message that
        it cannot route.

        Raises:
            ChannelLost: refused, or not answered in ``connect_timeout``.
            ConnectionLost: the connection ended.
            NotSupported: no address, and the peer offers no anonymous relay.
        """
        del mandatory
        if address is not None:
            await self._look_for(address)
        link = self._engine.open_sender(address, confirm=confirm)
        await self._attached(link)
        return Sender(link, on_settled, self._kick)

    async def _look_for(self, address: str) -> None:
        """See whether a queue is there, where the peer tells readers alone."""
        if not (self._engine.quirks.unchecked_targets and address.startswith(QUEUE)):
            return
        link = self._engine.open_receiver(Subscription(address=address, credit=0))
        try:
            await self._attached(link)
        except ChannelLost as error:
            if error.condition == "amqp:not-found":
                raise
            # Who may write need not be one who may read.
        else:
            await Receiver(link, self._kick).aclose()

    async def open_receiver(
        self, subscription: Subscription, *, sender: _client.Sender | None = None
    ) -> Receiver:
        """Attach a receiver, and give the peer credit. Cancelled, it is detached.

        Args:
            subscription: what.
            sender: of no meaning here.

        Raises:
            ChannelLost: refused, or not answered in ``connect_timeout``.
            ConnectionLost: the connection ended.
            NotSupported: the peer does not apply the filter.
        """
        del sender
        link = self._engine.open_receiver(subscription)
        await self._attached(link)
        if not link.filtered:
            link.close()
            self._kick()
            raise NotSupported(
                f"{self._engine.peer} does not apply the filter to {subscription.address!r}"
            )
        return Receiver(link, self._kick)

    async def _attached(self, link: SenderLink | ReceiverLink) -> None:
        self._kick()
        try:
            with trio.move_on_after(self._address.connect_timeout):
                await self._begun(link)
                while link.alive and not link.is_open:
                    await self._links.park()
        except BaseException:
            link.close()
            self._kick()
            raise
        if link.lost is not None:
            raise link.lost
        if not link.is_open:
            link.close()
            self._kick()
            raise ChannelLost(
                f"{self._engine.peer} did not answer an attach within "
                f"{self._address.connect_timeout:g} s",
                temporary=True,
            )

    async def _begun(self, link: SenderLink | ReceiverLink) -> None:
        """Wait, but not for ever, until the peer has answered the end of earlier sessions."""
        with trio.move_on_after(min(DETACH_TIMEOUT, self._address.connect_timeout / 2)):
            while link.alive and not link.begun:
                await self._links.park()
        if not link.begun:
            self._engine.sessions.begin_anyway()
            self._kick()

    # --- how it begins and ends --------------------------------------------------------

    async def wait_open(self, deadline: float) -> None:
        """Wait until the connection is open.

        Raises:
            ConnectionLost: it was refused, or the deadline (trio's clock) has passed.
        """
        with trio.move_on_at(deadline):
            await self._opened.wait()
        vhost = self._address.vhost
        plain = vhost is not None and not vhost.startswith(VHOST)
        if plain and self._engine.properties.get("product") == "RabbitMQ":
            raise IsRabbitMQ  # which may have refused its default one, that was not asked for
        if self._lost is not None:
            raise self._lost
        if not self._opened.is_set():
            raise ConnectionLost(
                f"{self._engine.peer} did not open the connection within "
                f"{self._address.connect_timeout:g} s (login by {self._address.sasl}; "
                "a broker may be slow to refuse a wrong password)",
                temporary=True,
            )

    async def finish(self, *, in_haste: bool) -> None:
        """Close, and end the tasks. Takes a bounded time, and is not cancelled."""
        patience = FLUSH_TIMEOUT if in_haste else CLOSE_TIMEOUT
        if self._abandoned:
            patience = 0
        with trio.move_on_after(patience, shield=True):
            self._engine.close()
            self._dispatch()
            self._flushed = trio.Event()
            self._kick()
            await (self._flushed if in_haste else self._ended).wait()
        self._scope.cancel()

    async def run(self) -> None:
        """Run the connection's tasks, until :meth:`finish`, whatever is cancelled around them."""
        with self._scope:
            async with trio.open_nursery() as tasks:
                tasks.start_soon(self._read)
                tasks.start_soon(self._write)
                tasks.start_soon(self._tick)

    # --- tasks -------------------------------------------------------------------------

    def _kick(self) -> None:
        self._work.set()

    async def _read(self) -> None:
        engine, stream = self._engine, self._stream
        while self._lost is None:
            try:
                data, reason = await stream.receive_some(_READ_MAX), ""
            except trio.BrokenResourceError as error:
                data, reason = b"", str(error.__cause__ or error)
            if data:
                engine.receive(data, trio.current_time())
            else:
                engine.end_of_input(reason)
            self._dispatch()
            self._kick()

    async def _write(self) -> None:
        engine, stream = self._engine, self._stream
        while True:
            self._work = trio.Event()
            data = engine.data_to_send()
            self._dispatch()
            if data:
                try:
                    await stream.send_all(data)
                except trio.BrokenResourceError:
                    return  # the reader finds the end, after what the peer said before it
                engine.written()
                self._dispatch()
                for link in engine.links.values():
                    if link.context is not None:
                        link.context.wake()
            elif engine.output_ended:
                self._flushed.set()
                return
            else:
                self._flushed.set()
                await self._work.wait()

    async def _tick(self) -> None:
        await self._opened.wait()
        while self._lost is None:
            deadline = self._engine.tick(trio.current_time())
            self._dispatch()
            self._kick()
            if deadline is None:
                return
            await trio.sleep_until(deadline + 0.001)  # the engine counts whole milliseconds

    def _dispatch(self) -> None:
        """Pass on what the engine tells, after any call of it."""
        for event in self._engine.events():
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._opened.set()
        elif isinstance(event, Ended):
            self._lost = event.error
            self._opened.set()
            self._ended.set()
            self._links.unpark_all()
        elif isinstance(event, Settled):
            if event.link.context is not None:
                event.link.context.settled(event)
        else:
            self._on_link(event)

    def _on_link(self, event: Any) -> None:
        owner = event.link.context
        if isinstance(event, Received):
            if owner is not None:
                owner.received()
        elif isinstance(event, CreditGiven):
            if owner is not None:
                owner.credited()
        else:
            self._links.unpark_all()
            if owner is not None and isinstance(event, LinkEnded):
                owner.wake()
