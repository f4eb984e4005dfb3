"""Jobs that are with workers, and what becomes of them.

The workers are REP, or DEALER or ROUTER that answer as a REP does. Each job has a token, which
stands before the empty frame that a REP keeps and returns.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import trio

from ..._errors import HostUnreachable
from .._balance import AddressedDealer, Worker, Workers

logger = logging.getLogger("hypersocket")


@dataclass(slots=True, eq=False)
class Job:
    """A job that is with a worker.

    Attributes:
        token: by which the answer is known.
        work: whatever its owner wants to find again.
        worker: the routing id of the worker.
        deadline: when it is taken back.
        sent: whether the worker has been sent it.
    """

    token: bytes
    work: Any
    worker: bytes
    deadline: float
    sent: bool = False


class _Workers(Workers):
    """Workers whose going is told."""

    def __init__(
        self, backend: AddressedDealer, label: str, on_gone: Callable[[bytes], None]
    ) -> None:
        super().__init__(backend, None, label)
        self._on_gone = on_gone

    def _come(self, peer: Any) -> None:
        super()._come(peer)
        worker = self._by_id[peer.routing_id]
        if worker.is_rep:
            worker.limit = 1  # a job that waits behind another could be with somebody else
        self._on_gone(b"")

    def _gone(self, routing_id: bytes) -> None:
        worker = self._by_id.get(routing_id)
        if worker is not None:
            # What it had goes to others, so nothing of it is forgotten.
            self._take_out(worker)
            worker.outstanding = 0
            if worker.outstanding < worker.limit:
                self._levels[0][worker] = None
        super()._gone(routing_id)
        self._on_gone(routing_id)

    @property
    def present(self) -> bool:
        return bool(self._by_id)


class Jobs:
    """The jobs of one route.

    Args:
        socket: what the workers are connected to.
        label: for logs.
        timeout: seconds until a job is taken back from its worker; None for never.
        on_lost: told of jobs that come back: the worker went away, or (True) was too slow.
        on_change: called when workers come or go.
    """

    def __init__(
        self,
        socket: AddressedDealer,
        label: str,
        timeout: float | None,
        on_lost: Callable[[list[Job], bool], None],
        on_change: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._label = label
        self._timeout = timeout
        self._on_lost = on_lost
        self._on_change = on_change
        self._workers = _Workers(socket, label, self._gone)
        # In the order of their deadlines, since all have the same time.
        self._jobs: dict[bytes, Job] = {}
        self._prefix = os.urandom(8)  # so that no answer is taken for that to another's question
        self._numbers = count(1)
        self._news = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def present(self) -> bool:
        """Whether there is any worker."""
        return self._workers.present

    async def watch(self) -> None:
        """Learn which workers come and go, until cancelled."""
        await self._workers.watch()

    async def expire(self) -> None:
        """Take jobs back from workers that are too slow, until cancelled."""
        if self._timeout is None:
            await trio.sleep_forever()
        while True:
            while not self._jobs:
                await self._news.park()
            first = next(iter(self._jobs.values()))
            await trio.sleep_until(first.deadline)
            now = trio.current_time()
            late: list[Job] = []
            for job in self._jobs.values():
                if job.deadline > now:
                    break
                late.append(job)
            for job in late:
                del self._jobs[job.token]
            if late:
                self._on_lost(late, True)

    async def give(self, frames: Iterable[bytes], work: Any) -> Job:
        """Wait for a worker with room, and give it a job.

        Cancelled, nobody has it.
        """
        while True:
            worker = await self._workers.wait_free()
            job = self._enter(worker, work)
            try:
                await self._socket.send_multipart(
                    [worker.routing_id, job.token, b"", *frames]
                )
            except HostUnreachable:
                self._jobs.pop(job.token, None)
                self._workers.lost(worker)
            except BaseException:
                self._jobs.pop(job.token, None)
                raise
            else:
                job.sent = True
                self._workers.given(worker)
                return job

    def _enter(self, worker: Worker, work: Any) -> Job:
        deadline = trio.current_time() + (float("inf") if self._timeout is None else self._timeout)
        token = self._prefix + next(self._numbers).to_bytes(8, "big")
        job = self._jobs[token] = Job(token, work, worker.routing_id, deadline)
        self._news.unpark_all()
        return job

    def answered(self, frames: list[bytes]) -> tuple[Job | None, list[bytes]]:
        """Take a reply, as the socket has received it.

        Returns:
            the job that it answers, None if that is no longer or never was one; and the frames of
            the answer.
        """
        worker = frames[0]
        if len(frames) < 3 or frames[2] != b"":
            logger.debug("%s: a worker answers without the frames of its job", self._label)
            return None, []
        self._workers.replied(worker)
        job = self._jobs.get(frames[1])
        if job is None or job.worker != worker:
            return None, frames[3:]
        del self._jobs[job.token]
        return job, frames[3:]

    def clear(self) -> list[Job]:
        """Forget all jobs: answers to them will be late."""
        jobs = list(self._jobs.values())
        self._jobs.clear()
        return jobs

    def _gone(self, routing_id: bytes) -> None:
        lost = [job for job in self._jobs.values() if job.worker == routing_id and job.sent]
        for job in lost:
            del self._jobs[job.token]
        if lost:
            logger.warning(
                "%s: a worker went away with %d jobs, which others get", self._label, len(lost)
            )
            self._on_lost(lost, False)
        self._on_change()
