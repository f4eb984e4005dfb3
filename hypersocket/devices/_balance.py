"""A queue that gives each request to the worker with the fewest unanswered ones.

A DEALER cannot choose, and a ROUTER can, but a REP does not talk to a ROUTER (RFC 28). On the wire
the two differ in nothing but the name that they give themselves. So the backend is a ROUTER that
says it is a DEALER: the workers are the same plain REP sockets, and need say nothing of themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import trio

from .. import _events as events
from .._errors import HostUnreachable, HypersocketError
from .._stats import PeerStats
from ..sockets import Router
from ._flow import Copy, Flow, Message, frames_of
from ._handle import WorkerStats

logger = logging.getLogger("hypersocket")

ONE_AT_A_TIME = 2
"""Requests that a REP has at most: one that it works on, and the next, so that it need not wait."""

MANY = 1000
"""Requests that any other worker has at most, where the backend has no high-water mark."""


class AddressedDealer(Router):
    """A DEALER that addresses each of its peers, as a ROUTER does.

    Peers take it for a DEALER, so it talks to REP, DEALER and ROUTER. Here it is a ROUTER: a
    received message has the peer's routing id as its first frame, and so has one to be sent.
    It is the backend of a queue that balances by least outstanding requests.
    """

    socket_type = "DEALER"


@dataclass(slots=True, eq=False)
class Worker:
    """A worker, while it is connected."""

    routing_id: bytes
    address: str
    is_rep: bool
    limit: int
    outstanding: int = 0
    answered: int = 0


class Workers:
    """Who is there, and how busy.

    Args:
        backend: what they are connected to.
        most: how many requests each may have; None for what suits the worker's type.
        label: the device, for logs.

    Attributes:
        forgotten: requests that were with workers which have gone.
    """

    def __init__(self, backend: Router, most: int | None, label: str) -> None:
        self.forgotten = 0
        self._backend = backend
        self._most = most
        self._label = label
        self._by_id: dict[bytes, Worker] = {}
        # Those with room, by outstanding requests; of equals, whoever waits longest is first.
        self._levels: list[dict[Worker, None]] = [{}]
        self._free = trio.lowlevel.ParkingLot()

    @property
    def outstanding(self) -> int:
        """Requests that are with workers."""
        return sum(worker.outstanding for worker in self._by_id.values())

    def stats(self) -> tuple[WorkerStats, ...]:
        """What each has done."""
        return tuple(
            WorkerStats(
                routing_id=worker.routing_id,
                address=worker.address,
                outstanding=worker.outstanding,
                answered=worker.answered,
            )
            for worker in self._by_id.values()
        )

    # Coming and going

    async def watch(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Learn who comes and goes, until cancelled."""
        async with self._backend.monitor() as monitor:
            self.look(self._backend.stats().peers)
            task_status.started()
            async for event in monitor:
                if isinstance(event, events.Disconnected):
                    self._gone(event.routing_id)
                elif isinstance(event, (events.HandshakeSucceeded, events.EventsMissed)):
                    self.look(self._backend.stats().peers)

    def look(self, peers: Iterable[PeerStats]) -> None:
        """See who is there."""
        here = {peer.routing_id: peer for peer in peers if peer.connected}
        for routing_id in self._by_id.keys() - here.keys():
            self._gone(routing_id)
        for routing_id, peer in here.items():
            if routing_id not in self._by_id:
                self._come(peer)

    def _come(self, peer: PeerStats) -> None:
        is_rep = peer.socket_type == "REP"
        limit = self._most or (ONE_AT_A_TIME if is_rep else self._backend.sndhwm or MANY)
        worker = Worker(peer.routing_id, peer.address, is_rep, limit)
        self._by_id[peer.routing_id] = worker
        self._levels[0][worker] = None
        self._free.unpark()

    def _gone(self, routing_id: bytes) -> None:
        worker = self._by_id.pop(routing_id, None)
        if worker is None:
            return
        self._take_out(worker)
        if worker.outstanding:
            self.forgotten += worker.outstanding
            logger.warning(
                "%s: the worker at %s went away with %d requests, which will not be answered",
                self._label,
                worker.address or worker.routing_id,
                worker.outstanding,
            )

    # Whose turn it is

    def next(self) -> Worker | None:
        """Who has the fewest requests, and room for one more; None if nobody has."""
        for level in self._levels:
            for worker in level:
                return worker
        return None

    async def wait_free(self) -> Worker:
        """Wait for a worker with room."""
        while (worker := self.next()) is None:
            await self._free.park()
        return worker

    def given(self, worker: Worker) -> None:
        """A request went to this worker."""
        self._move(worker, worker.outstanding + 1)

    def lost(self, worker: Worker) -> None:
        """This worker turned out to have gone."""
        self._gone(worker.routing_id)

    def replied(self, routing_id: bytes) -> None:
        """A reply came from this worker."""
        worker = self._by_id.get(routing_id)
        if worker is None:
            return
        worker.answered += 1
        if worker.outstanding:  # else nobody asked, or it was asked by another connection
            self._move(worker, worker.outstanding - 1)
            self._free.unpark()

    def _move(self, worker: Worker, outstanding: int) -> None:
        self._take_out(worker)
        worker.outstanding = outstanding
        if outstanding < worker.limit:
            if outstanding == len(self._levels):
                self._levels.append({})
            self._levels[outstanding][worker] = None

    def _take_out(self, worker: Worker) -> None:
        if worker.outstanding < worker.limit:
            self._levels[worker.outstanding].pop(worker, None)


class Requests(Flow):
    """Requests from the frontend, each to the worker with the fewest."""

    def __init__(
        self, source: Router, sink: Router, copy: Copy | None, label: str, workers: Workers
    ) -> None:
        super().__init__(source, sink, copy, label)
        self._workers = workers

    async def carry(self) -> None:
        """Move requests until :attr:`running` is off; none is taken while no worker has room."""
        workers, recv, copy = self._workers, self.source.recv_multipart, self._copy
        while self.running:
            await workers.wait_free()
            frames = await recv()
            self.messages_in += 1
            self.bytes_in += sum(map(len, frames))
            self.held = [frames]
            if copy is not None:
                copy(self.held)
            await self.hand_on()

    async def hand_on(self) -> None:
        """Give what is held to workers, as they have room."""
        while self.held:
            await self._give(await self._workers.wait_free(), self.held[0])

    async def _give(self, worker: Worker, request: Message) -> None:
        if worker.is_rep and b"" not in frames_of(request)[:-1]:
            # It would count as outstanding for ever.
            self._give_up_first(
                ValueError("a request without an empty frame before its body, which no REP answers")
            )
            return
        try:
            await self.sink.send_multipart([worker.routing_id, *frames_of(request)])
        except HostUnreachable:
            self._workers.lost(worker)  # and another has it
        except HypersocketError as error:
            self._give_up_first(error)
        else:
            self._workers.given(worker)
            self._handed_on_first()

    def end(self, reason: str) -> None:
        """Give what is held to workers that have room now, and give up the rest."""
        while self.held and (worker := self._workers.next()) is not None:
            try:
                self.sink.send_multipart_nowait([worker.routing_id, *frames_of(self.held[0])])
            except HostUnreachable:
                self._workers.lost(worker)
            except (trio.WouldBlock, trio.ClosedResourceError, HypersocketError):
                break
            else:
                self._workers.given(worker)
                self._handed_on_first()
        self._count_lost(reason)


class Replies(Flow):
    """Replies from workers to the frontend, each counted for its worker."""

    def __init__(
        self, source: Router, sink: Router, copy: Copy | None, label: str, workers: Workers
    ) -> None:
        super().__init__(source, sink, copy, label)
        self._workers = workers

    async def carry(self) -> None:
        """Move replies until :attr:`running` is off."""
        workers, recv, send, copy = (
            self._workers,
            self.source.recv_multipart,
            self.sink.send_multipart,
            self._copy,
        )
        while self.running:
            worker, *frames = await recv()
            size = sum(map(len, frames))
            self.messages_in += 1
            self.bytes_in += size
            self.held = [frames]
            if copy is not None:
                copy(self.held)
            if len(frames) > 1:  # else it is no reply, and the frontend will not take it
                workers.replied(worker)
            try:
                await send(frames)
            except (HypersocketError, ValueError) as error:
                self._give_up_first(error)
                continue
            self.held = []
            self.messages_out += 1
            self.bytes_out += size

    def take_nowait(self) -> bool:
        """Take one reply, without the worker's id."""
        if not super().take_nowait():
            return False
        frames = frames_of(self.held[-1])
        if len(frames) > 2:
            self._workers.replied(frames[0])
        self.bytes_in -= len(frames[0])
        self.held[-1] = frames[1:]
        return True
