"""The tasks of an AMQP 0-9-1 connection: one reads, one writes, one minds the time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from .....amqp import AmqpError, ChannelLost, ConnectionLost, Outcome, Publication
from .....amqp.v091 import (
    Blocked,
    Cancelled,
    Channel,
    ChannelEnded,
    Connection,
    Delivered,
    Ended,
    Event,
    Flow,
    Message,
    Replied,
    Settled,
    State,
)
from ._nearby import Nearby
from ._stream import DirectStream

logger = logging.getLogger("hypersocket")

MAX_UNWRITTEN: Final = 256 * 1024
"""Bytes that wait to be written before senders wait: enough that the kernel never idles."""

FLUSH_TIME: Final = 1.0  # seconds for the last bytes, when the connection has ended
CLOSE_TIME: Final = 5.0  # seconds for the broker to agree to a close


def again(error: AmqpError) -> AmqpError:
    """The same error once more: raising one object twice would grow its traceback."""
    return type(error)(str(error), condition=error.condition, temporary=error.temporary)


class _Waiter:
    """Somebody who waits for a channel's reply, or did."""

    __slots__ = ("error", "event", "value")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.value = ""
        self.error: AmqpError | None = None


class Handle:
    """A channel as tasks see it: requests that wait for their replies.

    Attributes:
        channel: its state.
        failure: why it has ended; None while it stands, or if we have closed it.
        closed: whether we have closed it, or are about to.
        flowing: whether the broker lets us publish on it.
        on_delivered: takes what its consumer is sent.
        on_settled: takes outcomes of what was published on it.
        on_cancelled: told that the broker ended the consumer.
        on_ended: told, once, that it has ended in whatever way; ``failure`` says how.
    """

    def __init__(self, link: Link, channel: Channel) -> None:
        self.link = link
        self.channel = channel
        self.failure: AmqpError | None = None
        self.closed = False
        self.flowing = True
        self.ended = trio.Event()
        self.on_delivered: Callable[[list[Message]], None] = _ignore
        self.on_settled: Callable[[list[Publication], Outcome], None] = _ignore
        self.on_cancelled: Callable[[], None] = _ignore
        self.on_ended: list[Callable[[], None]] = []
        self._waiters: deque[_Waiter] = deque()

    def check(self) -> None:
        """Raise why it has ended, if it has."""
        if self.closed:
            raise trio.ClosedResourceError("this sender or receiver was closed")
        if self.failure is not None:
            raise again(self.failure)

    def expect(self) -> _Waiter:
        """A reply to what was just queued will come."""
        waiter = _Waiter()
        self._waiters.append(waiter)
        self.link.wake()
        return waiter

    async def reply(self, waiter: _Waiter) -> str:
        """Wait for it. Cancelled, it is passed over when it comes."""
        await waiter.event.wait()
        if waiter.error is not None:
            raise again(waiter.error)
        return waiter.value

    async def call(self, request: Callable[[], None]) -> str:
        """Queue a request, and wait for its reply."""
        self.check()
        request()
        return await self.reply(self.expect())

    async def close(self) -> None:
        """Close the channel in good order. Cancelled, it closes all the same."""
        self.closed = True
        self.link.tell_waiting()
        if self.failure is None and not self.ended.is_set():
            self.channel.write_settlements()
            self.channel.close()
            self.link.wake()
            with trio.move_on_after(CLOSE_TIME):
                await self.ended.wait()

    def replied(self, value: str) -> None:
        """A reply has come, for whoever asked first."""
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.value = value
            waiter.event.set()

    def tell_settled(self, publications: list[Publication], outcome: Outcome) -> None:
        """Tell outcomes. Others use the connection too: a callback that raises ends nothing."""
        try:
            self.on_settled(publications, outcome)
        except Exception:
            logger.exception("the callback for outcomes raised, which it may not")

    def end(self, error: AmqpError | None) -> None:
        """It has ended: tell all who wait."""
        if self.ended.is_set():
            return
        self.failure = error
        self.ended.set()
        for waiter in self._waiters:
            waiter.error = error or ChannelLost("the channel was closed", temporary=True)
            waiter.event.set()
        self._waiters.clear()
        for told in self.on_ended:
            try:
                told()
            except Exception:
                logger.exception("a callback at the end of a channel raised, which it may not")


def _ignore(*_: object) -> None:
    """What comes when nobody is there for it: nothing was taken, so nothing is lost."""


class Link:
    """A connection, its stream, and the tasks between them.

    Attributes:
        connection: its state.
        lost: why it has ended; None while it stands.
        ended: set when it has.
        blocked: the broker's words while it takes no publications.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        connection: Connection,
        heartbeat: int,
        on_blocked: Callable[[str | None], None] | None,
        happened: list[Event] | None = None,
    ) -> None:
        self.connection = connection
        self.lost: ConnectionLost | None = None
        self.ended = trio.Event()
        self.blocked: str | None = None
        self._stream = stream
        self._direct = DirectStream(stream)
        self._nearby: Nearby | None = None
        self._heartbeat = heartbeat
        self._on_blocked = on_blocked
        self._handles: dict[Channel, Handle] = {}
        self._in_flight = 0
        self._written: list[Callable[[], None]] = []
        self._unsaid: set[Channel] = set()  # with settlements that are not queued yet
        self._writer = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._drained = trio.Event()
        self._heard = self._sent = trio.current_time()
        self._reading = trio.CancelScope()
        self._running = trio.CancelScope(shield=True)
        self._dispatch(happened or [])  # what came together with the end of the handshake

    # --- for senders and receivers -----------------------------------------------------

    def open_channel(self) -> Handle:
        """A channel, whose first reply is to be expected at once.

        Raises:
            ConnectionLost: there is no connection.
            ChannelLost: all channels are in use.
        """
        if self.lost is not None:
            raise again(self.lost)
        if self.connection.state is not State.OPEN:
            raise ConnectionLost("the connection is being closed", temporary=True)
        channel = self.connection.open_channel()
        if channel is None:
            most = self.connection.channel_max
            text = f"no channel is free: the broker allows {most} on a connection"
            raise ChannelLost(text, temporary=True)
        handle = self._handles[channel] = Handle(self, channel)
        return handle

    def wake(self) -> None:
        """Something is to be written."""
        self._writer.unpark()

    def write_now(self) -> None:
        """Something is to be written: here and now, unless the writer is at it.

        What the system does not take at once is the writer's.
        """
        connection = self.connection
        if (
            self._in_flight
            or not self._direct.direct
            or self.lost is not None
            or connection.unwritten > MAX_UNWRITTEN
        ):
            self.wake()
            return
        self._write_settlements()
        data = b"".join(connection.take())
        count = self._direct.write(data)
        if count < len(data):
            connection.put_back(memoryview(data)[count:])
            self.wake()
            return
        written, self._written = self._written, []
        self._wrote(written)

    def settled_on(self, channel: Channel) -> None:
        """A channel has settlements to be written: together, when the writer comes to it."""
        self._unsaid.add(channel)
        self._writer.unpark()

    def look_for(self, seconds: float) -> None:
        """From now on, look for what comes for so long before waiting, where that pays.

        Of several who ask for it, the one who asks for most has his way.
        """
        asked = 0.0 if self._nearby is None else self._nearby.seconds
        if seconds > asked and self._direct.direct:
            self._nearby = Nearby(self._direct.fd, self._read_now, seconds)

    def when_written(self, call: Callable[[], None]) -> None:
        """Call when everything queued so far was given to the kernel; never, if it is not."""
        self._written.append(call)

    def has_room(self, handle: Handle) -> bool:
        """Whether a channel stands, and what is published on it need not wait."""
        return not (handle.closed or handle.ended.is_set() or self._is_full(handle))

    async def wait_room(self, handle: Handle) -> None:
        """Wait while too much is unwritten, or the broker takes nothing; not for the dead."""
        while not (handle.closed or handle.ended.is_set()) and self._is_full(handle):
            await self._room.park()

    def _is_full(self, handle: Handle) -> bool:
        return (
            self.blocked is not None
            or not handle.flowing
            or self._in_flight + self.connection.unwritten > MAX_UNWRITTEN
        )

    def tell_waiting(self) -> None:
        """Let everybody in :meth:`wait_room` look again."""
        self._room.unpark_all()

    async def close(self) -> None:
        """Close in good order, if the broker takes part within a bounded time."""
        patience = CLOSE_TIME if self.blocked is None else FLUSH_TIME
        with trio.move_on_after(patience, shield=True):
            self._write_settlements()
            self.connection.close()
            self.wake()
            await self.ended.wait()

    # --- tasks -------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and write until the connection ends; then everything on it has been told.

        Being cancelled does not end it, so that the connection can be closed in good order:
        :meth:`stop` does.
        """
        with self._running:
            await self._run()

    def stop(self) -> None:
        """End :meth:`run`."""
        self._running.cancel()

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._mind_time)
                with self._reading:
                    await self._read()
                with trio.move_on_after(FLUSH_TIME):  # the answer to the broker's close
                    await self._drained.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._dispatch(self.connection.eof("it was given up"))
            self._direct.close()
            await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        receive, connection = self._direct.receive, self.connection
        while self.lost is None:
            if self._nearby is not None:
                if not self._nearby.look():
                    await self._nearby.wait()
                    self._read_now()
                continue
            try:
                data = await receive()
            except trio.BrokenResourceError as error:
                self._came(connection.eof(str(error.__cause__ or error)))
            else:
                self._came(connection.receive(data) if data else connection.eof())

    def _read_now(self) -> None:
        connection = self.connection
        try:
            data = self._direct.receive_nowait()
        except trio.BrokenResourceError as error:
            self._came(connection.eof(str(error.__cause__ or error)))
        else:
            if data is not None:  # another may have read what this one was woken for
                self._came(connection.receive(data) if data else connection.eof())

    def _came(self, events: list[Event]) -> None:
        self._heard = trio.current_time()
        self._dispatch(events)
        if self.connection.unwritten:
            self.wake()

    async def _write(self) -> None:
        connection = self.connection
        while True:
            self._write_settlements()
            if not connection.unwritten:
                if self.lost is not None:
                    break
                await self._writer.park()
                continue
            self._in_flight = connection.unwritten
            written, self._written = self._written, []
            try:
                await self._direct.send_all(connection.take())
            except trio.BrokenResourceError as error:
                # The broker's reason may still be unread: the reader finds the end by itself.
                with trio.move_on_after(FLUSH_TIME):
                    await self.ended.wait()
                self.give_up(str(error.__cause__ or error))
                break
            self._in_flight = 0
            self._wrote(written)
        self._drained.set()

    def _write_settlements(self) -> None:
        for channel in self._unsaid:
            channel.write_settlements()
        self._unsaid.clear()

    def _wrote(self, told: list[Callable[[], None]]) -> None:
        """All that was queued when ``told`` were to be told has been given to the kernel."""
        self._sent = trio.current_time()
        for call in told:
            call()
        self.tell_waiting()

    async def _mind_time(self) -> None:
        """Heartbeats (4.2.7): one after half an interval of silence; two missed are the end."""
        interval = self._heartbeat
        if not interval:
            return
        while True:
            await trio.sleep_until(min(self._sent + interval / 2, self._heard + 2 * interval))
            if trio.current_time() >= self._heard + 2 * interval:
                # After a stall of our own, what came meanwhile is read first.
                for _ in range(3):
                    await trio.lowlevel.checkpoint()
                if trio.current_time() >= self._heard + 2 * interval:
                    self.give_up(f"nothing came for {2 * interval} s, not even a heartbeat")
                    return
            now = trio.current_time()
            if now >= self._sent + interval / 2:
                # What is being written is a sign of life itself: look again after as long.
                if not (self._in_flight or self.connection.unwritten):
                    self.connection.heartbeat()
                    self.wake()
                self._sent = now

    def give_up(self, reason: str) -> None:
        """End it without a word to the broker."""
        self._dispatch(self.connection.eof(reason))
        self._reading.cancel()

    # --- events ------------------------------------------------------------------------

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Settled):
                self._handles[event.channel].tell_settled(event.publications, event.outcome)
            elif isinstance(event, Delivered):
                self._handles[event.channel].on_delivered(event.messages)
            elif isinstance(event, Replied):
                self._handles[event.channel].replied(event.value)
            elif isinstance(event, Cancelled):
                self._handles[event.channel].on_cancelled()
            elif isinstance(event, ChannelEnded):
                self._unsaid.discard(event.channel)
                self._handles.pop(event.channel).end(event.error)
                self.tell_waiting()
            elif isinstance(event, Flow):
                self._handles[event.channel].flowing = event.active
                self.tell_waiting()
            elif isinstance(event, Blocked):
                self._block(event.reason)
            elif isinstance(event, Ended):
                self._end(event.error)

    def _block(self, reason: str | None) -> None:
        self.blocked = reason
        if self._on_blocked is not None:
            try:
                self._on_blocked(reason)
            except Exception:
                logger.exception("the callback for a blocked connection raised, which it may not")
        self.tell_waiting()

    def _end(self, error: ConnectionLost) -> None:
        self.lost = error
        if self.blocked is not None:
            self._block(None)
        self._unsaid.clear()
        handles, self._handles = list(self._handles.values()), {}
        for handle in handles:
            handle.end(error)
        self.ended.set()
        self.tell_waiting()
        self.wake()
