"""Jobs for workers behind an :class:`AddressedDealer`: each is answered, or comes back.

A job goes as ``[token, b"", frames...]`` to the worker with the fewest, and is answered by
``[token, b"", frames...]``. A job whose worker goes away, or takes too long, comes back to who
gave it; so does no job in silence.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from itertools import count
from typing import Any, Literal, TypeAlias

import trio

from ...._errors import HostUnreachable
from ...._stats import PeerStats
from ..._balance import AddressedDealer, Worker, Workers
from .._counters import Counters
from .._tasks import together

logger = logging.getLogger("hypersocket")

Why: TypeAlias = Literal["worker gone", "timeout"]


class Job:
    """One job.

    Attributes:
        frames: what the worker gets.
        context: whatever its giver wants to find again.
        token: what the worker sends back with its answer; empty while nobody has the job.
        worker: the routing id of who has it.
        deadline: by trio's clock.
    """

    __slots__ = ("context", "deadline", "frames", "token", "worker")

    def __init__(self, frames: list[bytes], context: Any = None) -> None:
        self.frames = frames
        self.context = context
        self.token = b""
        self.worker = b""
        self.deadline = float("inf")


class _Crew(Workers):
    """Workers, and who has to be told when one comes or goes."""

    def __init__(
        self,
        backend: AddressedDealer,
        most: int | None,
        label: str,
        on_come: Callable[[], None],
        on_gone: Callable[[bytes], None],
    ) -> None:
        super().__init__(backend, most, label)
        self._on_come = on_come
        self._on_gone = on_gone

    def _come(self, peer: PeerStats) -> None:
        super()._come(peer)
        self._on_come()

    def _gone(self, routing_id: bytes) -> None:
        worker = self._by_id.pop(routing_id, None)
        if worker is not None:
            self._take_out(worker)
            self._on_gone(routing_id)

    @property
    def here(self) -> int:
        """How many workers there are."""
        return len(self._by_id)

    def address_of(self, routing_id: bytes) -> str:
        """Where a worker is, as far as is known."""
        worker = self._by_id.get(routing_id)
        return (worker.address if worker is not None else "") or "an unknown address"

    def not_given(self, worker: Worker) -> None:
        """It was counted as given, and was not."""
        if self._by_id.get(worker.routing_id) is worker:
            self._move(worker, worker.outstanding - 1)
            self._free.unpark()


class Jobs:
    """Gives jobs to workers.

    Args:
        socket: the workers' side.
        label: for logs.
        timeout: seconds that a worker may have a job; None for ever.
        most: jobs that a worker has at most; None for what suits its type (a REP has two, so
            that it need not wait for the next).
        on_answer: told a job, and the frames of its answer. It may not wait nor raise.
        on_back: told a job that comes back, and why. It may not wait nor raise.
        on_change: told when a worker came or went, or answered.
        counters: where answers that come too late, and messages that are none, are counted.

    Attributes:
        counters: likewise.
    """

    def __init__(
        self,
        socket: AddressedDealer,
        label: str,
        *,
        timeout: float | None,
        on_answer: Callable[[Job, list[bytes]], None],
        on_back: Callable[[Job, Why], None],
        on_change: Callable[[], None] = lambda: None,
        most: int | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.counters = counters or Counters()
        self._socket = socket
        self._label = label
        self._timeout = timeout
        self._on_answer = on_answer
        self._on_back = on_back
        self._on_change = on_change
        self._crew = _Crew(socket, most, label, on_change, self._worker_gone)
        # By token, in the order of their giving, which is that of their deadlines.
        self._jobs: dict[bytes, Job] = {}
        # Came back, and were not answered yet: whose worker counts as busy with them.
        self._overdue: dict[bytes, bytes] = {}
        # A worker may answer what another run of the gateway gave it.
        self._told_overdue = False
        self._run = secrets.token_bytes(8)
        self._numbers = count(1)

    def __len__(self) -> int:
        """How many jobs are with workers."""
        return len(self._jobs)

    @property
    def workers(self) -> int:
        """How many workers are there."""
        return self._crew.here

    @property
    def overdue(self) -> int:
        """How many workers owe the answer to a job that was taken back from them."""
        return len({*self._overdue.values()})

    async def attend(self) -> None:
        """Learn who comes and goes, take answers, and take jobs back; until cancelled."""
        await together(self._watch, self._receive, self._expire)

    async def wait_free(self) -> None:
        """Wait until a worker has room for a job."""
        await self._crew.wait_free()

    @property
    def is_free(self) -> bool:
        """Whether a worker has room for a job."""
        return self._crew.next() is not None

    async def give(self, job: Job) -> None:
        """Give a job to the worker with the fewest; waits until one has room.

        Cancelled, nobody has it.
        """
        job.token = self._run + next(self._numbers).to_bytes(8, "big")
        frames = [b"", job.token, b"", *job.frames]
        while True:
            worker = await self._crew.wait_free()
            frames[0] = worker.routing_id
            self._crew.given(worker)
            try:
                await self._socket.send_multipart(frames)
            except HostUnreachable:
                self._crew.lost(worker)
            except BaseException:
                self._crew.not_given(worker)
                raise
            else:
                break
        # No answer has been read yet: once it is sent, nothing is waited for.
        job.worker = worker.routing_id
        if self._timeout is not None:
            job.deadline = trio.current_time() + self._timeout
        self._jobs[job.token] = job

    def take_back(self) -> list[Job]:
        """Take back all jobs; what workers still answer counts as late."""
        jobs, self._jobs = list(self._jobs.values()), {}
        self._overdue.update((job.token, job.worker) for job in jobs)
        return jobs

    # Tasks

    async def _watch(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._crew.watch)
            self._on_change()

    async def _receive(self) -> None:
        while True:
            self._answered(await self._socket.recv_multipart())

    async def _expire(self) -> None:
        if self._timeout is None:
            await trio.sleep_forever()
        while True:
            first = next(iter(self._jobs.values()), None)
            # A job that is given from now on has no earlier deadline than this.
            now = trio.current_time()
            await trio.sleep_until(now + self._timeout if first is None else first.deadline)
            self._expire_now(trio.current_time())

    def _expire_now(self, now: float) -> None:
        late = [job for job in self._jobs.values() if job.deadline <= now]
        for job in late:
            # Its worker counts as busy with it until it answers, or goes.
            del self._jobs[job.token]
            self._overdue[job.token] = job.worker
            self._on_back(job, "timeout")
        if late:
            self._tell_overdue(late[0])
            self._on_change()

    def _tell_overdue(self, job: Job) -> None:
        # Told once: workers must not be able to fill the log.
        first, self._told_overdue = not self._told_overdue, True
        logger.log(
            logging.WARNING if first else logging.DEBUG,
            "%s: the worker at %s has not answered within %g s: its job was taken back, and counts "
            "as its own until it answers (more are counted in stats())",
            self._label,
            self._crew.address_of(job.worker),
            self._timeout,
        )

    def _answered(self, frames: list[bytes]) -> None:
        worker, token = frames[0], frames[1]
        if len(frames) < 3 or frames[2]:
            if not self.counters.malformed:
                logger.warning("%s: a worker sent what answers no job", self._label)
            self.counters.malformed += 1
            return
        job = self._jobs.get(token)
        if job is not None and job.worker == worker:
            self._crew.replied(worker)
            del self._jobs[token]
            self._on_answer(job, frames[3:])
        else:
            self.counters.late += 1
            if self._overdue.get(token) == worker:
                # Only now: one that answers twice has no more room than others.
                del self._overdue[token]
                self._crew.replied(worker)
        self._on_change()

    def _worker_gone(self, routing_id: bytes) -> None:
        self._take_answers()  # that it gave before it went
        gone = [job for job in self._jobs.values() if job.worker == routing_id]
        for token in [one for one, worker in self._overdue.items() if worker == routing_id]:
            del self._overdue[token]
        if gone:
            logger.warning(
                "%s: a worker went away with %d jobs, which others get", self._label, len(gone)
            )
        for job in gone:
            del self._jobs[job.token]
            self._on_back(job, "worker gone")
        self._on_change()

    def _take_answers(self) -> None:
        while True:
            try:
                frames = self._socket.recv_multipart_nowait()
            except (trio.WouldBlock, trio.ClosedResourceError):
                return
            self._answered(frames)
