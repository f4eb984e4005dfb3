"""A peer to test against: proton's engine as a server, in this process."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import proton
import trio
from proton import Collector, Connection, Delivery, Transport
from proton import Event as Happening

from hypersocket.amqp.v10 import Engine


class Peer:
    """Takes every link, gives senders credit, accepts all, unless told otherwise.

    Attributes:
        on_attach: what to do with a link instead of opening it.
        on_delivery: what to do with a delivery that is here whole, instead of accepting it.
        links: those attached, in order.
        messages: what came, as bytes.
        settled: what became of deliveries that this sent.
    """

    def __init__(
        self,
        *,
        mechanisms: str = "ANONYMOUS PLAIN EXTERNAL",
        offered: tuple[str, ...] = (),
        properties: dict[str, Any] | None = None,
        idle_timeout: float = 0,
        frame_max: int = 65_536,
        credit: int = 100,
        opens: bool = True,
    ) -> None:
        self.transport = Transport(Transport.SERVER)
        self.transport.max_frame_size = frame_max
        self.transport.idle_timeout = idle_timeout
        self.connection = Connection()
        self.collector = Collector()
        self.connection.collect(self.collector)
        self.connection.container = "peer"
        if offered:
            self.connection.offered_capabilities = [proton.symbol(one) for one in offered]
        if properties:
            self.connection.properties = properties
        sasl = self.transport.sasl()
        sasl.allowed_mechs(mechanisms)
        sasl.allow_insecure_mechs = True
        self.transport.bind(self.connection)
        self.credit = credit
        self.opens = opens
        self.on_attach: Callable[[Any], None] = self.attach
        self.on_delivery: Callable[[Delivery], None] = self.accept
        self.links: list[Any] = []
        self.messages: list[bytes] = []
        self.settled: list[tuple[Any, Any]] = []
        self.detached: list[Any] = []
        self.drained = 0
        self.kicked = trio.Event()
        self._partial = bytearray()

    def kick(self) -> None:
        """Have :func:`serve` look for what there is to send."""
        self.kicked.set()

    # --- what it does by itself ----------------------------------------------------------

    def attach(self, link: Any) -> None:
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.open()
        if link.is_receiver and self.credit:
            link.flow(self.credit)

    def refuse(self, condition: str, words: str) -> Callable[[Any], None]:
        def refuse(link: Any) -> None:
            link.source.type = link.target.type = proton.Terminus.UNSPECIFIED
            link.open()
            link.condition = proton.Condition(condition, words)
            link.close()

        return refuse

    def accept(self, delivery: Delivery) -> None:
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()

    def send(self, message: bytes, *, settled: bool = False, tag: str = "t") -> Delivery:
        sender = next(link for link in self.links if link.is_sender)
        delivery: Delivery = sender.delivery(tag)
        sender.stream(message)
        sender.advance()
        if settled:
            delivery.settle()
        return delivery

    # --- bytes ---------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        while data:
            capacity = self.transport.capacity()
            if capacity <= 0:
                break
            self.transport.push(data[:capacity])
            data = data[capacity:]
        self.work()

    def data(self) -> bytes:
        parts = []
        while (pending := self.transport.pending()) > 0:
            part = self.transport.peek(pending)
            self.transport.pop(pending)
            parts.append(bytes(part or b""))
        self.work()
        return b"".join(parts)

    def work(self) -> None:
        while (event := self.collector.peek()) is not None:
            self._on(event)
            self.collector.pop()

    def _on(self, event: Any) -> None:
        if event.type == Happening.CONNECTION_REMOTE_OPEN and self.opens:
            self.connection.open()
        elif event.type == Happening.CONNECTION_REMOTE_CLOSE:
            self.connection.close()
        elif event.type == Happening.SESSION_REMOTE_OPEN:
            event.session.open()
        elif event.type == Happening.SESSION_REMOTE_CLOSE:
            event.session.close()
        elif event.type == Happening.LINK_REMOTE_OPEN:
            self.links.append(event.link)
            self.on_attach(event.link)
        elif event.type in (Happening.LINK_REMOTE_CLOSE, Happening.LINK_REMOTE_DETACH):
            self.detached.append(event.link)
            event.link.close()
        elif event.type == Happening.LINK_FLOW and event.link.is_receiver:
            self.drained += event.link.drained()
        elif event.type == Happening.DELIVERY:
            self._on_delivery(event.delivery)

    def _on_delivery(self, delivery: Any) -> None:
        link = delivery.link
        if link.is_sender:
            if delivery.settled:
                self.settled.append((delivery.remote_state, delivery.remote.condition))
                delivery.settle()
            return
        if not delivery.readable:
            return
        self._partial += link.recv(delivery.pending) or b""
        if not delivery.partial:
            self.messages.append(bytes(self._partial))
            self._partial.clear()
            link.advance()
            self.on_delivery(delivery)


class SlowToEnd(Peer):
    """A peer that answers the end of sessions when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.ending: list[Any] = []
        self.begun = 0

    def _on(self, event: Any) -> None:
        if event.type == Happening.SESSION_REMOTE_CLOSE:
            self.ending.append(event.session)
            return
        self.begun += event.type == Happening.SESSION_REMOTE_OPEN
        super()._on(event)

    def end(self) -> None:
        while self.ending:
            self.ending.pop().close()


def pump(engine: Engine, peer: Peer, now: float = 1.0, step: int = 1 << 30) -> None:
    """Carry bytes both ways, at most ``step`` at a time, until neither has any."""
    peer.work()
    while True:
        out, back = engine.data_to_send(), peer.data()
        if not out and not back:
            return
        for at in range(0, len(out), step):
            peer.receive(out[at : at + step])
        engine.written()
        for at in range(0, len(back), step):
            engine.receive(back[at : at + step], now)


async def serve(peer: Peer, stream: trio.abc.Stream) -> None:
    """Let a peer talk over a stream until either side ends it."""
    async with trio.open_nursery() as tasks:
        tasks.start_soon(_listen, peer, stream, tasks.cancel_scope)
        with contextlib.suppress(trio.BrokenResourceError):
            await _talk(peer, stream)
        tasks.cancel_scope.cancel()


async def _listen(peer: Peer, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        while data := bytes(await stream.receive_some(65_536)):
            peer.receive(data)
            peer.kick()
    scope.cancel()


async def _talk(peer: Peer, stream: trio.abc.Stream) -> None:
    while True:
        peer.kicked = trio.Event()
        deadline = peer.transport.tick(trio.current_time() + 1) - 1
        if data := peer.data():
            await stream.send_all(data)
        elif peer.transport.pending() < 0:
            return
        else:
            with trio.move_on_at(deadline if deadline > 0 else math.inf):
                await peer.kicked.wait()
