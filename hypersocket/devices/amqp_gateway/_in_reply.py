"""In, with workers: each delivery is a job, and the worker's answer settles it."""

from __future__ import annotations

import trio

from ._client import Delivery, Receiver
from ._errors import GatewayError
from ._in import In
from ._jobs import Job, Jobs, Why
from ._taking import Message
from ._tasks import together

AT_ONCE = 1
"""Jobs that a worker has at once: one that waits behind another could be with somebody else."""


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
        self.jobs = Jobs(
            self.socket,
            self.label,
            timeout=spec.timeout,
            most=AT_ONCE,
            on_answer=self._answered,
            on_back=self._came_back,
            on_change=self._peers_changed,
        )

    @property
    def present(self) -> bool:
        """Whether there is a worker."""
        return self.jobs.workers > 0

    async def attend(self) -> None:
        """Watch the workers, and take their answers."""
        await together(self.dead_letters.attend, self.jobs.attend)

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
        super()._forget()

    def _answered(self, job: Job, answer: list[bytes]) -> None:
        receiver, delivery = job.context
        verdict = answer[0] if answer else b""
        if verdict == b"requeue":
            self.release(receiver, [delivery])
        elif verdict == b"reject":
            text = answer[1].decode("utf-8", "replace") if len(answer) > 1 else "by its worker"
            self.counters.rejected += 1
            self.fail(receiver, delivery, "rejected", text)
        else:
            self.accept(receiver, [delivery])

    def _came_back(self, job: Job, why: Why) -> None:
        receiver, delivery = job.context
        if why == "timeout":
            self.counters.expired += 1
        self.release(receiver, [delivery])
