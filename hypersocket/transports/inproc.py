"""``inproc://name``: two sockets of one trio run, with nothing between them but their queues.

What one socket sends goes into its pipe's queue, and from there straight into the queue of the
other side for as long as that has room: together they hold ``sndhwm`` + ``rcvhwm`` messages, as
in libzmq. Connecting may come before binding. Names belong to one :func:`trio.run`.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from dataclasses import dataclass

import trio

from .. import _events as events
from .._errors import AddressInUse, EndpointError, HandshakeError, ProtocolError
from .._message import Message, size_of
from .._reasons import Reason
from ..zmtp import COMPATIBLE
from ._backoff import Backoff
from ._contract import Binding, Host, Transport
from ._pipe import Peer, Pipe


@dataclass
class _Names:
    """Who is bound, and who waits for a name to be bound."""

    bound: dict[str, _Bound]
    waiting: dict[str, list[_Connected]]


_names: trio.lowlevel.RunVar[_Names] = trio.lowlevel.RunVar("hypersocket.inproc")


def _current_names() -> _Names:
    try:
        return _names.get()
    except LookupError:
        names = _Names(bound={}, waiting={})
        _names.set(names)
        return names


class InprocTransport(Transport):
    """Joins sockets of one trio run."""

    def check(self, address: str, *, binding: bool) -> None:  # noqa: ARG002
        """Any name will do, as long as there is one."""
        if not address:
            raise EndpointError("there is no name: expected inproc://name")

    async def bind(self, address: str, host: Host) -> Binding:
        """Take a name, and let those in who wait for it."""
        names = _current_names()
        if address in names.bound:
            raise AddressInUse(f"inproc://{address} is bound by another socket")
        bound = names.bound[address] = _Bound(address, host)
        for connected in names.waiting.pop(address, []):
            connected.try_to_join()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return bound

    async def connect(self, address: str, host: Host) -> Binding:
        """Join whoever is bound to the name, now or later."""
        connected = _Connected(address, host)
        connected.try_to_join()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return connected


class _Side:
    """One side of a join, as the link of its pipe."""

    def __init__(self, host: Host, pipe: Pipe, owner: _Bound | _Connected) -> None:
        self.host = host
        self.pipe = pipe
        self.owner = owner
        self.other: _Side
        self.joined = False
        self._pumping = False
        # That the other side was not told of yet. There may be a million: to find the first of a
        # dict takes the longer the more were before it.
        self._subscriptions: OrderedDict[bytes, bool] = OrderedDict()

    def begin(self) -> None:
        """Both sides agreed: let through what has waited for it."""
        self._tell_subscriptions()
        self.outgoing()

    @trio.lowlevel.enable_ki_protection
    def outgoing(self) -> None:
        """Move messages over while the other side has room."""
        if not self.joined or self._pumping:
            return
        self._pumping = True
        pipe, other = self.pipe, self.other.pipe
        while pipe.has_outgoing and (room := other.room_in):
            taken = pipe.take_outgoing(room, sys.maxsize)
            # A message that several peers are sent is one list, and its receivers may change it.
            other.deliver([_own(message) for message in taken])
            pipe.written(len(taken), sum(map(size_of, taken)))
        self._pumping = False

    @trio.lowlevel.enable_ki_protection
    def flush(self) -> None:
        """Move messages over while the other side has room."""
        self.outgoing()

    @trio.lowlevel.enable_ki_protection
    def incoming_room(self) -> None:
        """This side has room again."""
        if self.joined:
            self.other._tell_subscriptions()
            self.other.outgoing()

    @trio.lowlevel.enable_ki_protection
    def subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the other side."""
        if self._subscriptions.get(topic, wanted) is not wanted:
            del self._subscriptions[topic]  # not told yet, and undone already
        else:
            self._subscriptions[topic] = wanted
            self._tell_subscriptions()

    def _tell_subscriptions(self) -> None:
        other = self.other.pipe
        while self._subscriptions and self.joined and not other.holds_input:
            topic, wanted = self._subscriptions.popitem(last=False)
            try:
                other.deliver_subscription(topic, wanted)
            except ProtocolError as error:
                self.other.part(error.reason, str(error))

    def reset(self, reason: Reason) -> None:
        """End this join. The connected side begins another."""
        self.part(reason)

    def close(self, reason: Reason) -> None:
        """End this join, and the pipe."""
        self.owner.close_pipe(self.pipe, reason)

    def part(self, reason: Reason, detail: str = "") -> None:
        """End this join, for both sides."""
        if not self.joined:
            return
        self.joined = self.other.joined = False
        ends = [(self, reason), (self.other, Reason.CLOSED_BY_PEER)]
        # The bound side first: the other may join again from within, as the same peer.
        for side, why in sorted(ends, key=lambda end: isinstance(end[0].owner, _Connected)):
            side.owner.parted(side.pipe, why, detail)


def _own(message: Message) -> Message:
    return list(message) if isinstance(message, list) else message


class _Bound(Binding):
    """A socket that holds a name."""

    def __init__(self, name: str, host: Host) -> None:
        self.endpoint = f"inproc://{name}"
        self._name = name
        self.host = host
        self._sides: dict[Pipe, _Side] = {}

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """A pipe for each socket that has joined."""
        return tuple(self._sides)

    def admit(self, side: _Side) -> None:
        """Another socket has joined."""
        self._sides[side.pipe] = side

    def parted(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        """A join has ended."""
        self._sides.pop(pipe, None)
        pipe.finished(reason, detail)

    def close_pipe(self, pipe: Pipe, reason: Reason) -> None:
        """The socket wants this peer no more."""
        side = self._sides.get(pipe)
        if side is not None:
            side.part(reason)

    async def aclose(self, deadline: float) -> None:  # noqa: ARG002
        """Give up the name, and end the joins."""
        self.close()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def close(self) -> None:
        """Give up the name, and end the joins."""
        names = _current_names()
        if names.bound.get(self._name) is self:
            del names.bound[self._name]
        for side in tuple(self._sides.values()):
            side.part(Reason.CLOSED_BY_US)


class _Connected(Binding):
    """A socket that wants to talk to whoever holds a name."""

    def __init__(self, name: str, host: Host) -> None:
        self.endpoint = f"inproc://{name}"
        self._name = name
        self.host = host
        self._backoff = Backoff(host.options)
        self._joined_at = 0.0
        self._side: _Side | None = None
        self._closed = False
        self._pipe = host.open_pipe(self.endpoint, dialled=True)

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """The one pipe, until it has ended."""
        return () if self._pipe.gone else (self._pipe,)

    def try_to_join(self) -> None:
        """Join the one that is bound, or wait for one."""
        if self._closed:
            return
        names = _current_names()
        bound = names.bound.get(self._name)
        if bound is None:
            names.waiting.setdefault(self._name, []).append(self)
            return
        try:
            self._join(bound)
        except HandshakeError as error:
            self._refused(bound, error)

    def _join(self, bound: _Bound) -> None:
        ours, theirs = self.host, bound.host
        for host in (ours, theirs):
            host.tell(self._event(events.Connected if host is ours else events.Accepted))
        if theirs.socket_type not in COMPATIBLE[ours.socket_type]:
            raise HandshakeError(
                f"{ours.socket_type} cannot talk to {theirs.socket_type}", Reason.INCOMPATIBLE_TYPE
            )
        accepted = theirs.open_pipe(bound.endpoint, dialled=False)
        near, far = _Side(ours, self._pipe, self), _Side(theirs, accepted, bound)
        near.other, far.other = far, near
        self._pipe.link, accepted.link = near, far
        accepted.established(Peer(ours.socket_type, ours.announced_routing_id))
        try:
            self._pipe.established(Peer(theirs.socket_type, theirs.announced_routing_id))
        except HandshakeError as error:
            accepted.finished(error.reason, str(error))
            raise
        self._side = near
        bound.admit(far)
        for host, peer in ((ours, theirs), (theirs, ours)):
            host.tell(
                self._event(
                    events.HandshakeSucceeded,
                    socket_type=peer.socket_type,
                    routing_id=peer.announced_routing_id,
                )
            )
        self._joined_at = trio.current_time()  # before what is told first, which may end it
        near.joined = far.joined = True
        near.begin()
        far.begin()

    def _event(self, kind: type, **details: object) -> events.Make:
        return lambda: kind(time=trio.current_time(), endpoint=self.endpoint, **details)

    def _refused(self, bound: _Bound, error: HandshakeError) -> None:
        for host in (self.host, bound.host):
            host.handshake_failed(self.endpoint, error.reason, str(error))
        self._try_later(error.reason, str(error))

    def _try_later(self, reason: Reason, detail: str) -> None:
        pause = self._backoff.next()
        if math.isinf(pause):
            self._closed = True
            self._pipe.finished(reason, detail)
            return
        self.host.tell(
            self._event(events.ConnectRetried, reason=reason, detail=detail, retry_in=pause)
        )
        self.host.start_soon(self._join_after, pause)

    async def _join_after(self, pause: float) -> None:
        await trio.sleep(pause)
        self.try_to_join()

    def parted(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        """The join has ended; begin another, unless this side is closed."""
        self._side = None
        self._backoff.stood(trio.current_time() - self._joined_at)
        pipe.interrupted(reason, detail)
        if not self._closed:
            if reason is Reason.REQUEST_ABANDONED:
                self.try_to_join()
            elif self._name in _current_names().bound:
                self._try_later(reason, detail)
            else:
                self.try_to_join()  # which waits for the name to be bound again

    def close_pipe(self, pipe: Pipe, reason: Reason) -> None:  # noqa: ARG002
        """The socket wants this peer no more, nor another."""
        self._closed = True
        waiting = _current_names().waiting.get(self._name, [])
        if self in waiting:
            waiting.remove(self)
        if self._side is not None:
            self._side.part(reason)
        self._pipe.finished(reason)

    async def aclose(self, deadline: float) -> None:  # noqa: ARG002
        """Leave."""
        self.close()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def close(self) -> None:
        """Leave."""
        self.close_pipe(self._pipe, Reason.CLOSED_BY_US)
