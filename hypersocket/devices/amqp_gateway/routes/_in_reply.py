"""In, with workers: each delivery is a job, and the worker's answer settles it."""

from __future__ import annotations

from collections import deque

import trio

from .._client import Delivery, Receiver
from .._errors import GatewayError
from .._tasks import together
from ._in import In
from ._jobs import Job, Jobs, Why
from ._taking import Message

AT_ONCE = 1
"""Jobs that a worker has at once: one that waits behind another could be with somebody else."""


PAUSE = 0.25
"""Seconds that a job is kept which its worker gives back, though it was given back before: it
would go round as fast as the machine can."""


class InReply(In):
    """From the broker to workers behind a DEALER, which answer."""

    def _prepare(self) -> None:
        spec = self.spec
        if spec.socket.type != "DEALER":
            raise GatewayError(
                f"route {spec.name}: with ack = 'reply' the socket is a DEALER, "
                f"not a {spec.socket.type}"
            )
        if spec.mode != "on-confirm":
            raise GatewayError(
                f"route {spec.name}: ack = 'reply' goes with mode = 'on-confirm', "
                f"not with {spec.mode!r}"
            )
        self._chunk = self.prefetch
        self._later: deque[tuple[float, Receiver, Delivery]] = deque()  # to be given back then
        self.jobs = Jobs(
            self.socket,
            self.label,
            timeout=spec.timeout,
            most=AT_ONCE,
            on_answer=self._answered,
            on_back=self._came_back,
            counters=self.counters,
            on_change=self._peers_changed,
        )

    @property
    def present(self) -> bool:
        """Whether there is a worker."""
        return self.jobs.workers > 0

    @property
    def overdue(self) -> int:
        """Workers that owe the answer to a job which was taken back from them."""
        return self.jobs.overdue

    async def attend(self) -> None:
        """Watch the workers, and take their answers."""
        await together(self.dead_letters.attend, self.jobs.attend, self._give_back)

    async def _before(self) -> None:
        await trio.lowlevel.checkpoint()

    async def _hand_over(
        self, receiver: Receiver, deliveries: list[Delivery], messages: list[Message]
    ) -> None:
        for delivery, message in zip(deliveries, messages, strict=True):
            # A stop does not wait for a worker that is free: others can do the job.
            given = False
            with trio.CancelScope() as self._receiving:
                if not self.stopping:
                    frames = [message] if isinstance(message, bytes) else message
                    await self.jobs.give(Job(frames, (receiver, delivery)))
                    given = True
            if given:
                self.bucket.spend(1)
                self.counters.forwarded += 1
                self.counters.bytes_out += len(delivery.body)
            else:
                self.release(receiver, [delivery])

    def _forget(self) -> None:
        # Answers to these come too late: the broker gives them out again.
        self.jobs.take_back()
        self._later.clear()
        super()._forget()

    def _answered(self, job: Job, answer: list[bytes]) -> None:
        receiver, delivery = job.context
        verdict = answer[0] if answer else b""
        if verdict == b"requeue":
            if delivery.redelivered and not self.stopping:
                self._later.append((trio.current_time() + PAUSE, receiver, delivery))
                self.changed()
            else:
                self.release(receiver, [delivery])
        elif verdict == b"reject":
            text = answer[1].decode("utf-8", "replace") if len(answer) > 1 else "by its worker"
            self.counters.rejected += 1
            self.fail(receiver, delivery, "rejected", text)
        else:
            self.accept(receiver, [delivery])

    async def _give_back(self) -> None:
        while True:
            await self.until(lambda: bool(self._later))
            await trio.sleep_until(self._later[0][0])
            self._give_back_until(trio.current_time())

    def _give_back_until(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, receiver, delivery = self._later.popleft()
            self.release(receiver, [delivery])

    async def settle(self) -> None:
        """Receive nothing more, and wait for the answers to what workers have."""
        self._give_back_until(float("inf"))
        await super().settle()

    def _came_back(self, job: Job, why: Why) -> None:
        receiver, delivery = job.context
        if why == "timeout":
            self.counters.expired += 1
        self.release(receiver, [delivery])
