"""What runs a device: its flows, pausing them, and ending so that nothing vanishes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from ..sockets import Socket
from ._balance import Workers
from ._capture import Capture
from ._flow import Flow
from ._handle import DeviceResult, DeviceStats, Kind, SideStats, State

_RECEIVE_ONLY = frozenset({"PULL", "SUB", "XSUB"})

FIRST_LOOK, LONGEST_LOOK = 0.001, 0.05
"""Seconds between two looks at whether sockets have written everything, at the end of a device."""


class Engine:
    """The moving parts of one device.

    Args:
        frontend: the one socket.
        backend: the other.
        to_backend: the way from the frontend to the backend, if messages flow that way.
        to_frontend: the other way.
        answers: that one of the two which brings replies, if one does: it goes on while the other
            has stopped.
        capture: where copies go.
        workers: of a queue that balances by least outstanding requests.
    """

    def __init__(
        self,
        frontend: Socket,
        backend: Socket,
        to_backend: Flow | None,
        to_frontend: Flow | None,
        *,
        answers: Flow | None = None,
        capture: Capture | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.state: State = "running"
        self._sockets = (frontend, backend)
        self._to_backend = to_backend
        self._to_frontend = to_frontend
        self._answers = answers
        self._capture = capture
        self._workers = workers
        self._flows = [flow for flow in (to_backend, to_frontend) if flow is not None]
        self._scopes: dict[Flow, trio.CancelScope] = {}
        self._idle = {flow: trio.Event() for flow in self._flows}
        self._resumed = trio.Event()
        self._stopping = trio.Event()
        self._tried_all = False
        self._error: Exception | None = None

    # Steering

    def pause(self) -> None:
        """Take no more messages."""
        if self.state == "running":
            self.state = "paused"
            self._resumed = trio.Event()
            for flow in self._flows:
                self._halt(flow)

    def resume(self) -> None:
        """Take messages again."""
        if self.state == "paused":
            self.state = "running"
            for flow in self._flows:
                flow.running = True
            self._resumed.set()

    def stop_soon(self) -> None:
        """Begin to stop."""
        if self.state in {"stopping", "stopped"}:
            return
        self.state = "stopping"
        for flow in self._flows:
            if flow is self._answers or _receives_only(flow.source):
                flow.running = True  # for a while yet, even where it was paused
            else:
                self._halt(flow)
        self._resumed.set()
        self._stopping.set()

    def _halt(self, flow: Flow) -> None:
        flow.halt()
        if flow in self._scopes:
            self._scopes[flow].cancel()

    # Running

    async def run(
        self, started: Callable[[], None], *others: Callable[[], Awaitable[object]]
    ) -> None:
        """Run until stopped.

        Args:
            started: called when everything runs.
            others: more tasks, which run as long.

        Raises:
            Exception: whatever a socket raised that is not about one message.
        """
        for flow in self._flows:
            flow.source._feed(flow.sink._sink)
        try:
            async with trio.open_nursery() as nursery:

                def begin(function: Callable[..., Awaitable[object]], *args: object) -> None:
                    nursery.start_soon(self._guard, nursery.cancel_scope, function, *args)

                if self._workers is not None:
                    await nursery.start(self._workers.watch)
                for flow in self._flows:
                    begin(self._carry, flow)
                for other in others:
                    begin(other)
                started()
                await self._stopping.wait()
                await self._guard(nursery.cancel_scope, self._stop)
                self._tried_all = True
                nursery.cancel_scope.cancel()
        finally:
            self.state = "stopped"
            for flow in self._flows:
                flow.source._feed_no_more(flow.sink._sink)
                flow.end(self._why_undelivered())
        if self._error is not None:
            raise self._error

    def _why_undelivered(self) -> str:
        if self._error is not None:
            return str(self._error)
        if self._tried_all:
            return "there was no room before linger was over"
        return "the device was cancelled"

    async def _guard(
        self, scope: trio.CancelScope, function: Callable[..., Awaitable[object]], *args: object
    ) -> None:
        # What goes wrong leaves the device as itself, not in a group.
        try:
            await function(*args)
        except Exception as error:  # noqa: BLE001 - raised again by run()
            if self._error is None:
                self._error = error
            scope.cancel()

    async def _carry(self, flow: Flow) -> None:
        while True:
            with trio.CancelScope() as self._scopes[flow]:
                await flow.carry()
            # Halted perhaps while there was no room for what it had taken.
            await flow.hand_on()
            if self.state == "stopping" and not flow.running:
                self._idle[flow].set()
                return
            await self._resumed.wait()

    # Stopping

    async def _stop(self) -> None:
        linger = max(socket.linger for socket in self._sockets)
        with trio.move_on_at(trio.current_time() + linger):
            await self._drain([flow for flow in self._flows if flow is not self._answers])
            if self._answers is not None:
                await _until(self._all_answered)
                await self._drain([self._answers])
            await _until(lambda: not self._unwritten())

    async def _drain(self, flows: Sequence[Flow]) -> None:
        """Let flows come to rest, and move what their sources have received by now."""
        async with trio.open_nursery() as nursery:
            for flow in flows:
                nursery.start_soon(self._guard, nursery.cancel_scope, self._drain_one, flow)

    async def _drain_one(self, flow: Flow) -> None:
        source: Any = flow.source
        if _receives_only(source):
            # The flow goes on meanwhile: it makes the room for what is still coming.
            await leave(source)
            self._halt(flow)
            most = None
        else:
            self._halt(flow)
            most = source.stats().queued_in
        await self._idle[flow].wait()
        await flow.drain(most)

    def _all_answered(self) -> bool:
        if self._workers is not None:
            return not self._workers.outstanding
        requests, replies = self._flows
        if replies is not self._answers:
            requests, replies = replies, requests
        if replies.messages_in >= requests.messages_out:
            return True
        # What went to a worker that has gone is answered by nobody, so those are asked that are
        # there. These numbers alone would not do: they have the probes of probe_router, too.
        workers: Any = replies.source
        return all(
            peer.messages_in >= peer.messages_out + peer.queued_out
            for peer in workers.stats().peers
            if peer.connected
        )

    # Counting

    def _unwritten(self) -> int:
        sinks: list[Any] = [flow.sink for flow in self._flows]
        if self._capture is not None:
            sinks.append(self._capture.socket)
        return sum(sink.stats().queued_out for sink in sinks)

    def _unread(self) -> int:
        # What an XPUB receives is subscriptions, which are nothing to lose.
        sources: list[Any] = [flow.source for flow in self._flows]
        return sum(one.stats().queued_in for one in sources if one.socket_type != "XPUB")

    def result(self, name: str, kind: Kind) -> DeviceResult:
        """What became of everything."""
        stats = self.stats(name, kind)
        return DeviceResult(
            stats=stats,
            undelivered=stats.undelivered,
            unread=self._unread(),
            unwritten=self._unwritten(),
        )

    def stats(self, name: str, kind: Kind) -> DeviceStats:
        """The counters."""
        reasons: dict[str, int] = {}
        for flow in self._flows:
            for reason, count in flow.undelivered.items():
                reasons[reason] = reasons.get(reason, 0) + count
        workers, capture = self._workers, self._capture
        return DeviceStats(
            name=name,
            kind=kind,
            state=self.state,
            frontend=_side(self._to_backend, self._to_frontend),
            backend=_side(self._to_frontend, self._to_backend),
            held=sum(len(flow.held) for flow in self._flows),
            undelivered=sum(reasons.values()),
            reasons=reasons,
            captured=capture.captured if capture else 0,
            capture_missed=capture.missed if capture else 0,
            outstanding=workers.outstanding if workers else 0,
            forgotten=workers.forgotten if workers else 0,
            workers=workers.stats() if workers else (),
        )


def _receives_only(socket: Any) -> bool:
    return socket.socket_type in _RECEIVE_ONLY


def _side(taking: Flow | None, handing: Flow | None) -> SideStats:
    return SideStats(
        messages_in=taking.messages_in if taking else 0,
        bytes_in=taking.bytes_in if taking else 0,
        messages_out=handing.messages_out if handing else 0,
        bytes_out=handing.bytes_out if handing else 0,
    )


async def leave(socket: Socket) -> None:
    """Unbind and disconnect a socket from everything; what it has received stays readable."""
    async with trio.open_nursery() as nursery:
        for endpoint in socket.endpoints:
            nursery.start_soon(socket.unbind, endpoint)
        for endpoint in {peer.endpoint for peer in socket.stats().peers} - {*socket.endpoints}:
            nursery.start_soon(socket.disconnect, endpoint)


async def _until(holds: Callable[[], bool]) -> None:
    """Look again and again until it is so: sockets do not tell when they have written all."""
    pause = FIRST_LOOK
    while not holds():
        await trio.sleep(pause)
        pause = min(2 * pause, LONGEST_LOOK)
