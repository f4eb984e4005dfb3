"""Publishes on an AMQP 0-9-1 channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from .....amqp import CONFIRMED, Outcome, Publication, Result
from ..._client import OnSettled
from ._link import Handle

_CHUNK: Final = 64 * 1024  # bytes that are packed before looking whether to wait
_OVERHEAD: Final = 80  # of one message's frames, about
_UNKNOWN: Final = Outcome(Result.UNKNOWN)


class ChannelSender:
    """The gateway's ``PromptSender``. Outcomes come with each batch that the reader reads."""

    def __init__(self, handle: Handle, on_settled: OnSettled, *, mandatory: bool) -> None:
        self.handle = handle
        self._on_settled = on_settled
        self._taken = 0
        self._unwritten = 0  # without confirms: publications that are not written yet
        self._last_written: list[Sequence[Publication]] = []
        self._all_settled = trio.lowlevel.ParkingLot()
        handle.channel.start_publishing(mandatory=mandatory)
        handle.on_settled = self._settled
        handle.on_ended.append(self._ended)

    @property
    def taken(self) -> int:
        """Publications taken over so far."""
        return self._taken

    @property
    def unsettled(self) -> int:
        """Publications without an outcome."""
        confirms = self.handle.channel.confirms
        return self._unwritten if confirms is None else len(confirms)

    async def send(self, publications: Sequence[Publication]) -> None:
        """Take publications over, in order; see the protocol ``Sender``.

        What AMQP 0-9-1 cannot carry (a header of more than 64 bits, a routing key of more than
        255 bytes, ...) is REJECTED at once, with the reason, and does no harm to the others.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        handle = self.handle
        handle.check()
        start = 0
        while start < len(publications):
            await handle.link.wait_room(handle)
            handle.check()
            end = _chunk_end(publications, start)
            self._publish(publications[start:end])
            start = end
        # Others have their turn when the messages are on their way, which are taken by now.
        await trio.lowlevel.cancel_shielded_checkpoint()

    def send_nowait(self, publications: Sequence[Publication]) -> bool:
        """Take publications over, unless something has to be waited for; see ``PromptSender``."""
        if not self.handle.link.has_room(self.handle):
            return False
        self._publish(publications)
        return True

    def _publish(self, publications: Sequence[Publication]) -> None:
        refused = self.handle.channel.publish(publications)
        self._taken += len(publications)
        if self.handle.channel.confirms is None:
            without = {id(one) for one, _ in refused}
            self._await_write([one for one in publications if id(one) not in without])
        self.handle.link.write_now()
        for one, reason in refused:
            self._on_settled([one], Outcome(Result.REJECTED, reason))

    def _await_write(self, publications: Sequence[Publication]) -> None:
        if not publications:
            return
        self._unwritten += len(publications)
        self._last_written.append(publications)
        self.handle.link.when_written(self._written)

    def _written(self) -> None:
        """Without confirms: the oldest batch has been given to the kernel."""
        if self._last_written:
            publications = self._last_written.pop(0)
            self._unwritten -= len(publications)
            self._settled(publications, CONFIRMED)

    def _settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        try:
            self._on_settled(publications, outcome)
        finally:
            if not self.unsettled:
                self._all_settled.unpark_all()

    def _ended(self) -> None:
        confirms = self.handle.channel.confirms
        left = confirms.abandon() if confirms is not None else []
        for publications in self._last_written:
            left += publications
        self._last_written = []
        self._unwritten = 0
        if left:
            failure = self.handle.failure
            self._on_settled(left, Outcome(Result.UNKNOWN, str(failure)) if failure else _UNKNOWN)
        self._all_settled.unpark_all()

    async def wait_settled(self) -> None:
        """Wait until every publication has its outcome; changes nothing when cancelled."""
        await trio.lowlevel.checkpoint()
        while self.unsettled:
            await self._all_settled.park()

    async def aclose(self) -> None:
        """Close the channel: outcomes that still come count, the rest is UNKNOWN."""
        try:
            await self.handle.close()
        finally:
            self._ended()


def _chunk_end(publications: Sequence[Publication], start: int) -> int:
    end, size, most = start, 0, len(publications)
    while end < most and size < _CHUNK:
        size += len(publications[end].body) + _OVERHEAD
        end += 1
    return end
