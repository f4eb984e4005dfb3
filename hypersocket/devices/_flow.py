"""One way through a device: messages are taken from one socket and handed to another.

Where there is room, messages are handed on as they are read, and no task is woken. A single task
sees to the rest. What was taken and not yet handed on is in :attr:`Flow.held`, whatever happens to
that task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias, cast

import trio

from .._errors import HypersocketError

logger = logging.getLogger("hypersocket")

BATCH = 256
"""Messages that are moved at once, at most; the device holds no more than these, each way."""

BREATH = 4096
"""Messages that may be moved without a checkpoint; long ones count as several."""

PIECE = 12
"""A power of two: so many bytes count as one more message."""

Message: TypeAlias = bytes | list[bytes]
"""A single-part message, or the frames of any."""


class Source(Protocol):
    """What a device needs of the socket that it takes from."""

    async def recv_multipart(self) -> list[bytes]:
        """Wait for a message."""
        ...

    def recv_multipart_nowait(self) -> list[bytes]:
        """Take a message if there is one."""
        ...

    async def _pass_on(self, take: Callable[[list[Message]], bool], most: int) -> None:
        """Have all that comes given to ``take``, until that returns False."""
        ...

    def _pass_no_more(self, take: Callable[[list[Message]], bool]) -> None:
        """Undo that."""
        ...

    def _feed(self, sink: Any) -> None:
        """Have ``sink`` write at once what it is sent as something is read here."""
        ...

    def _feed_no_more(self, sink: Any) -> None:
        """Undo that."""
        ...


class Sink(Protocol):
    """What a device needs of the socket that it hands to."""

    sndhwm: Any

    @property
    def _sink(self) -> Any:
        """What its source feeds."""
        ...

    async def send_multipart(self, frames: Iterable[bytes]) -> None:
        """Wait for room, and send."""
        ...

    def send_multipart_nowait(self, frames: Iterable[bytes]) -> None:
        """Send if there is room."""
        ...

    def _send_now(self, messages: list[Message]) -> bool:
        """Send messages, which belong to the socket then, if there is room for all."""
        ...


class BatchSink(Sink, Protocol):
    """A socket that batches of single-part messages can be handed to."""

    async def send_many(self, messages: Iterable[bytes]) -> None:
        """Wait for room, and send all."""
        ...


Copy: TypeAlias = Callable[[list[Message]], None]
"""Is given every message that was taken, before it is handed on."""


class Flow:
    """One way through a device.

    Args:
        source: messages are taken from it.
        sink: and handed to it.
        copy: gets them too, if there is a capture.
        label: for logs: which device, and which way.

    Attributes:
        running: whether to go on taking messages.
        held: what was taken and not yet handed on, in order.
        messages_in: messages taken.
        bytes_in: their bytes.
        messages_out: messages handed on.
        bytes_out: their bytes.
        undelivered: messages that could not be handed on, by reason.
    """

    def __init__(self, source: Source, sink: Sink, copy: Copy | None, label: str) -> None:
        self.source = source
        self.sink = sink
        self.label = label
        self.running = True
        self.held: list[Message] = []
        self.messages_in = 0
        self.bytes_in = 0
        self.messages_out = 0
        self.bytes_out = 0
        self.undelivered: dict[str, int] = {}
        self._copy = copy
        self._breath = BREATH

    async def carry(self) -> None:
        """Move messages until :attr:`running` is off.

        Cancelled, it leaves what it has taken in :attr:`held`.
        """
        most = self._batch_size()
        while self.running:
            await self.source._pass_on(self._pass, most)
            if self.held:
                await self._hand_on_together()
            if self._breath <= 0:
                # What need not wait is no checkpoint, and each call may move a whole batch.
                await trio.lowlevel.checkpoint()
                self._breath = BREATH

    def halt(self) -> None:
        """Take no more; what was taken is still to be handed on."""
        self.running = False
        self.source._pass_no_more(self._pass)

    def _batch_size(self) -> int:
        if not hasattr(self.sink, "send_many"):
            return 1
        # A batch larger than the high-water mark passes it, where a queue is empty; a batch as
        # large as it leaves the writer nothing to do while the next is awaited.
        return max(1, min(BATCH, self.sink.sndhwm // 2 or BATCH))

    def _pass(self, messages: list[Message]) -> bool:
        """Hand on messages as they come. False where the task has to see to what is held.

        Of several, each is single-part.
        """
        count = len(messages)
        size = size_of(messages[0]) if count == 1 else sum(map(len, messages))
        self.messages_in += count
        self.bytes_in += size
        if self._copy is not None:
            self._copy(messages)
        try:
            accepted = self.sink._send_now(messages)
        except Exception:  # noqa: BLE001 - the task will meet it again
            accepted = False
        if not accepted:
            self.held = messages
            return False
        self.messages_out += count
        self.bytes_out += size
        self._breath -= count + (size >> PIECE)
        return self._breath > 0 and self.running

    async def _hand_on_together(self) -> None:
        """Hand on what is held, when there is room for all of it."""
        batch = self.held
        if len(batch) > 1:
            try:
                await cast(BatchSink, self.sink).send_many(cast("list[bytes]", batch))
            except HypersocketError:
                pass  # which of them it was is found by handing them on one by one
            else:
                self.held = []
                self.messages_out += len(batch)
                self.bytes_out += sum(map(len, batch))
        await self.hand_on()

    async def hand_on(self) -> None:
        """Hand on what is held, in order; cancelled, it leaves the rest there."""
        while self.held:
            message = self.held[0]
            try:
                await self.sink.send_multipart(frames_of(message))
            except (HypersocketError, ValueError) as error:
                self._give_up_first(error)
            else:
                self._handed_on_first()

    async def drain(self, most: int | None = None) -> None:
        """Move what the source has now, or so many messages of it, and wait for no more."""
        taken = 0
        while (most is None or taken < most) and self.take_nowait():
            taken += 1
            await self.hand_on()
        await trio.lowlevel.checkpoint()

    def take_nowait(self) -> bool:
        """Take one message into :attr:`held`, if the source has one."""
        try:
            frames = self.source.recv_multipart_nowait()
        except (trio.WouldBlock, trio.ClosedResourceError):
            return False
        self.messages_in += 1
        self.bytes_in += sum(map(len, frames))
        self.held.append(frames)
        if self._copy is not None:
            self._copy([frames])
        return True

    def end(self, reason: str) -> None:
        """Hand on of what is held that for which there is room at once, and give up the rest."""
        while self.held:
            try:
                self.sink.send_multipart_nowait(frames_of(self.held[0]))
            except trio.WouldBlock:
                break
            except trio.ClosedResourceError:
                reason = "the socket that they were for was closed"
                break
            except (HypersocketError, ValueError) as error:
                self._give_up_first(error)
            else:
                self._handed_on_first()
        self._count_lost(reason)

    def _count_lost(self, reason: str) -> None:
        """Give up what is held."""
        count = len(self.held)
        if count:
            self.held = []
            self.undelivered[reason] = self.undelivered.get(reason, 0) + count
            logger.warning(
                "%s: messages that could not be handed on: %d, %s", self.label, count, reason
            )

    def _handed_on_first(self) -> None:
        message = self.held.pop(0)
        self.messages_out += 1
        self.bytes_out += size_of(message)

    def _give_up_first(self, error: Exception) -> None:
        """The sink does not take this message, whatever the room."""
        del self.held[0]
        reason = type(error).__name__ if isinstance(error, HypersocketError) else "malformed"
        before = self.undelivered.get(reason, 0)
        self.undelivered[reason] = before + 1
        # Told once for each reason: a peer must not be able to fill the log.
        logger.log(
            logging.DEBUG if before else logging.WARNING,
            "%s: dropping a message: %s (more are counted in stats())",
            self.label,
            error,
        )


def frames_of(message: Message) -> list[bytes]:
    """The frames of a message in either form."""
    return message if isinstance(message, list) else [message]


def size_of(message: Message) -> int:
    """Its bytes, frames only."""
    return sum(map(len, message)) if isinstance(message, list) else len(message)
