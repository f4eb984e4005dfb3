"""What stands behind every socket: its pipes, its endpoints, its tasks, its counters.

Transports see it as :class:`hypersocket.transports.Host`, pipes as their owner. It keeps the books
that all socket types share, and hands on to the socket what depends on the type.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import trio

from .. import _events as events
from .._errors import HypersocketError
from .._option_groups import SocketOptions
from .._reasons import DropReason, Reason
from .._stats import Counters, SocketStats
from ..transports import Binding, Pipe, resolve
from ..transports._poller import Poller

if TYPE_CHECKING:
    from ._socket import Socket

logger = logging.getLogger("hypersocket")


class SocketHost:
    """The transports' and pipes' view of one socket."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.monitors = events.Monitors()
        self.pipes: dict[Pipe, None] = {}  # an ordered set
        self.bound: dict[str, Binding] = {}
        self.dialled: dict[str, list[Binding]] = {}
        self.poller = Poller(self.start_soon)
        self.tasks: trio.Nursery | None = None
        self.closing = False
        self._flushing = 0  # calls that wait to have something written
        self._losses_told = 0
        self._closed = trio.Event()
        self._closing_scope = trio.CancelScope()
        self._draining: list[Pipe] = []  # gone, with messages that can still be received
        self._draining_bound = 16
        self._settling: list[Pipe] = []  # gone, with messages under way when they went
        self._past = Counters()  # of pipes that are gone, and of no pipe
        self._handshake_failures = 0
        self._failures_told: set[tuple[str, Reason]] = set()
        self._changed = trio.lowlevel.ParkingLot()

    # As its transports see it

    @property
    def socket_type(self) -> str:
        """The ZMTP name."""
        return self._socket.socket_type

    @property
    def options(self) -> SocketOptions:
        """The socket's options."""
        return self._socket

    @property
    def announced_routing_id(self) -> bytes:
        """What peers are told as Identity."""
        return getattr(self._socket, "routing_id", b"")

    def open_pipe(self, endpoint: str, *, dialled: bool) -> Pipe:
        """Make a pipe. A dialled one is the socket's at once, the other when it is established."""
        socket = self._socket
        pipe = Pipe(
            self,
            endpoint=endpoint,
            dialled=dialled,
            sndhwm=getattr(socket, "sndhwm", 0),
            rcvhwm=getattr(socket, "rcvhwm", 1000),
            conflate=getattr(socket, "conflate", False),
        )
        pipe.inlet = socket._inlet
        if dialled:
            socket._pipe_opened(pipe)
            self.pipes[pipe] = None
        return pipe

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task until the socket closes."""
        assert self.tasks is not None
        self.tasks.start_soon(self._run_task, function, args)

    @trio.lowlevel.enable_ki_protection
    async def _run_task(
        self, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        try:
            await function(*args)
        except Exception:
            # Whatever went wrong concerns one endpoint or peer; the program goes on.
            logger.exception("%s: a task failed", self._socket)

    def tell(self, make: events.Make) -> None:
        """Tell the monitors."""
        self.monitors.tell(make)

    def log(
        self, level: int, text: str, *args: object, exc_info: BaseException | None = None
    ) -> None:
        """Log with the socket's type before the text."""
        if logger.isEnabledFor(level):
            logger.log(level, "%s " + text, self.socket_type, *args, exc_info=exc_info)  # noqa: G003

    def handshake_failed(
        self, endpoint: str, reason: Reason, detail: str, *, address: str = "", dialled: bool = True
    ) -> None:
        """Count a handshake that failed, and tell."""
        self._handshake_failures += 1
        # Whoever calls again and again is told of once: a peer must not be able to fill the log.
        first = (endpoint, reason) not in self._failures_told
        self._failures_told.add((endpoint, reason))
        self.log(
            # Whoever looks at an open port and leaves is no news; who leaves when called is.
            logging.WARNING
            if first and (dialled or reason not in _ORDINARY_ENDS)
            else logging.DEBUG,
            "%s: handshake with %s failed: %s",
            endpoint,
            address or "peer",
            detail or reason,
        )
        self.tell(
            lambda: events.HandshakeFailed(
                time=trio.current_time(),
                endpoint=endpoint,
                address=address,
                reason=reason,
                detail=detail or str(reason),
            )
        )

    # As its pipes see it

    def pipe_connected(self, pipe: Pipe) -> None:
        """A peer has shaken hands; the socket may refuse it."""
        self._socket._pipe_connected(pipe)
        self.pipes[pipe] = None
        self._failures_told = {told for told in self._failures_told if told[0] != pipe.endpoint}
        self._changed.unpark_all()

    def pipe_disconnected(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        """A dialled pipe has lost its connection."""
        self._tell_disconnected(pipe, reason, detail)
        self._socket._pipe_disconnected(pipe)
        self._changed.unpark_all()  # what it was writing may have been given up with it

    def pipe_gone(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        """A pipe has ended."""
        known = pipe in self.pipes
        self.pipes.pop(pipe, None)
        self._settling.append(pipe)
        self._settle()
        if pipe.readable:
            if len(self._draining) >= self._draining_bound:
                self._forget_drained()
            self._draining.append(pipe)
        if pipe.connected:
            self._tell_disconnected(pipe, reason, detail)
        if known:
            self._socket._pipe_gone(pipe)
        self._changed.unpark_all()

    def pipe_readable(self, pipe: Pipe) -> None:
        """A pipe has messages."""
        self._socket._pipe_readable(pipe)

    def pipe_writable(self, pipe: Pipe) -> None:
        """A pipe has room."""
        self._socket._pipe_writable(pipe)
        if self._flushing:
            self._changed.unpark_all()

    def pipe_flushed(self, pipe: Pipe) -> None:  # noqa: ARG002
        """A pipe has written everything, which was waited for."""
        self._changed.unpark_all()

    def pipe_subscription(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:
        """A peer told of a subscription."""
        self._socket._pipe_subscription(pipe, topic, wanted)

    def pipe_dropped(self, pipe: Pipe, reason: DropReason, count: int) -> None:
        """A pipe has begun to drop messages."""
        peer = pipe.peer
        self._tell_dropped(
            reason,
            count,
            endpoint=pipe.endpoint,
            address=peer.address if peer else "",
            socket_type=peer.socket_type if peer else "",
            routing_id=pipe.routing_id,
        )

    # As the socket uses it

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count messages that were dropped for want of a peer."""
        if self._past.drop(reason, count):
            self._tell_dropped(reason, count, endpoint="")

    def _tell_dropped(
        self,
        reason: DropReason,
        count: int,
        *,
        endpoint: str,
        address: str = "",
        socket_type: str = "",
        routing_id: bytes = b"",
    ) -> None:
        # Some are asked for; everything else somebody should look at.
        self.log(
            logging.DEBUG if reason in _ORDINARY_DROPS else logging.WARNING,
            "%s: dropping messages%s: %s (%d so far; more are counted in stats())",
            endpoint or "no peer",
            f" of {address}" if address else "",
            reason,
            count,
        )
        self.tell(
            lambda: events.MessagesDropped(
                time=trio.current_time(),
                endpoint=endpoint,
                address=address,
                socket_type=socket_type,
                routing_id=routing_id,
                reason=reason,
                count=count,
            )
        )

    def _tell_disconnected(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        peer = pipe.peer
        assert peer is not None
        self.log(
            logging.DEBUG if reason in _ORDINARY_ENDS else logging.WARNING,
            "%s: disconnected from %s: %s",
            pipe.endpoint,
            peer.address or "peer",
            detail or reason,
        )
        self.tell(
            lambda: events.Disconnected(
                time=trio.current_time(),
                endpoint=pipe.endpoint,
                address=peer.address,
                socket_type=peer.socket_type,
                routing_id=pipe.routing_id or peer.routing_id,
                reason=reason,
                detail=detail,
            )
        )

    async def bind(self, endpoint: str) -> str:
        """Listen at an endpoint."""
        transport, address = resolve(endpoint, binding=True)
        await trio.lowlevel.checkpoint()
        try:
            binding = await transport.bind(address, self)
        except (HypersocketError, OSError) as error:
            text = str(error)
            self.tell(
                lambda: events.BindFailed(time=trio.current_time(), endpoint=endpoint, error=text)
            )
            raise
        if self.closing:
            binding.close()
            raise trio.ClosedResourceError("the socket was closed while it was being bound")
        self.bound[binding.endpoint] = binding
        self.tell(lambda: events.Listening(time=trio.current_time(), endpoint=binding.endpoint))
        return binding.endpoint

    async def connect(self, endpoint: str) -> None:
        """Start connecting to an endpoint."""
        transport, address = resolve(endpoint, binding=False)
        await trio.lowlevel.checkpoint()
        binding = await transport.connect(address, self)
        if self.closing:
            binding.close()
            raise trio.ClosedResourceError("the socket was closed while it was connecting")
        self.dialled.setdefault(endpoint, []).append(binding)

    async def end(self, binding: Binding, linger: float) -> None:
        """Close one endpoint, after what was sent by it is written, for up to ``linger``."""
        deadline = trio.current_time() + linger
        try:
            for pipe in binding.pipes:
                pipe.closing = True
                pipe.takes_rest = self._socket._takes_rest
            with trio.move_on_at(deadline):
                while _await_flushed(binding.pipes):
                    await self._changed.park()
            await binding.aclose(deadline)
        finally:
            binding.close()
            self._tell_closed(binding)

    def _tell_closed(self, binding: Binding) -> None:
        self.tell(lambda: events.Closed(time=trio.current_time(), endpoint=binding.endpoint))

    async def flush(self) -> int:
        """Have what was accepted so far written; returns how many messages were lost meanwhile."""
        ends = {pipe: pipe.messages_out + pipe.queued_out for pipe in self.pipes if pipe.queued_out}
        for pipe in ends:
            if pipe.link is not None:
                pipe.link.flush()
        self._flushing += 1
        try:
            while waiting := [pipe for pipe, end in ends.items() if not _has_sent(pipe, end)]:
                for pipe in waiting:
                    pipe.want_room()  # so that each write is told, for others may go on sending
                await self._changed.park()
        finally:
            self._flushing -= 1
        return self._new_losses(list(ends))

    def _new_losses(self, awaited: list[Pipe]) -> int:
        """How many messages were accepted and lost since this was last asked."""
        known = self._past.losses + sum(
            pipe.losses for pipes in (self.pipes, self._settling) for pipe in pipes
        )
        new = known - self._losses_told
        self._losses_told = known
        # Of what was being written when its pipe ended, nobody can say yet what becomes of it.
        return new + sum(pipe.queued_out for pipe in awaited if pipe.gone)

    async def wait_changed(self) -> None:
        """Wait until a peer has come or gone, or the socket closes."""
        await self._changed.park()

    def changed(self) -> None:
        """Wake those who wait for a change."""
        if self._changed:
            self._changed.unpark_all()

    async def close(self, deadline: float) -> None:
        """Write what was sent, until ``deadline``, then close; closed on return in any case.

        Who comes second may cut short the time that the first allowed.
        """
        first = not self.closing
        self._closing_scope.deadline = min(self._closing_scope.deadline, deadline)
        try:
            if not first:
                await self._closed.wait()
                return
            self.closing = True
            self._socket._closing()
            if deadline > trio.current_time():
                with self._closing_scope:
                    while _await_flushed(self.pipes):
                        await self._changed.park()
                    await self._close_all(self._all_bindings())
            else:
                await trio.lowlevel.checkpoint()
        finally:
            self._close_now()

    def _close_now(self) -> None:
        if self._closed.is_set():
            return
        for binding in self._all_bindings():
            binding.close()
            self._tell_closed(binding)
        for pipe in tuple(self.pipes):
            pipe.close(Reason.CLOSED_BY_US)
        if self.tasks is None:
            self.monitors.end()
        else:
            self.tasks.cancel_scope.cancel()
        self.bound.clear()
        self.dialled.clear()
        self._changed.unpark_all()
        self._closed.set()

    async def _close_all(self, bindings: list[Binding]) -> None:
        # In tasks of the socket's, not in a nursery here: that would put a cancellation or an
        # interrupt into a group, and what leaves a socket leaves as itself.
        left = set(bindings)

        async def close(binding: Binding) -> None:
            try:
                await binding.aclose(self._closing_scope.deadline)
            finally:
                left.remove(binding)
                self._changed.unpark_all()

        for binding in bindings:
            self.start_soon(close, binding)
        while left:
            await self._changed.park()

    def _forget_drained(self) -> None:
        self._draining = [pipe for pipe in self._draining if pipe.readable]
        self._draining_bound = 2 * len(self._draining) + 16  # so that looking costs little each

    def _settle(self) -> None:
        """Keep of the pipes that are gone, once it is known what became of all messages, a sum."""
        rest: list[Pipe] = []
        for pipe in self._settling:
            if pipe.flushed:
                self._past.add(pipe._totals())
            else:
                rest.append(pipe)
        self._settling = rest

    def _all_bindings(self) -> list[Binding]:
        return [*self.bound.values(), *(one for some in self.dialled.values() for one in some)]

    def stats(self) -> SocketStats:
        """A snapshot."""
        peers = tuple(pipe.stats() for pipe in self.pipes)
        self._forget_drained()
        self._settle()
        total = Counters()
        total.add(self._past)
        for pipe in self._settling:
            total.add(pipe._totals())
        for pipe in self.pipes:
            total.add(pipe._totals())
        return SocketStats(
            messages_in=total.messages_in,
            messages_out=total.messages_out,
            bytes_in=total.bytes_in,
            bytes_out=total.bytes_out,
            queued_in=sum(peer.queued_in for peer in peers)
            + sum(pipe.queued_in for pipe in self._draining)
            + self._socket._held_messages(),
            queued_out=sum(peer.queued_out for peer in peers)
            + sum(pipe.queued_out for pipe in self._settling),
            dropped=total.dropped,
            drops=dict(total.drops),
            connects=total.connects,
            disconnects=total.disconnects,
            handshake_failures=self._handshake_failures,
            peers=peers,
        )


def _await_flushed(pipes: Iterable[Pipe]) -> bool:
    """Whether some have not written everything; of those that have not, the end of it is told."""
    waiting = [pipe for pipe in pipes if not pipe.flushed]
    for pipe in waiting:
        pipe.want_flushed()
    return bool(waiting)


def _has_sent(pipe: Pipe, end: int) -> bool:
    """Whether a pipe has sent so many messages since it was made, or has nothing left of them."""
    return pipe.flushed or pipe.gone or pipe.messages_out >= end


_ORDINARY_DROPS = frozenset({DropReason.CONFLATED, DropReason.REQUEST_ABANDONED})
_ORDINARY_ENDS = frozenset({Reason.CLOSED_BY_PEER, Reason.CLOSED_BY_US, Reason.REQUEST_ABANDONED})
