"""Sending: who waits, in which order, and that a cancelled call did not send."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import outcome
import trio

from .._errors import HypersocketError
from .._message import Buffer, Message, to_bytes, to_message
from .._option_groups import SendOptions
from .._speedups import PIECE, cost_of, size_of, size_of_singles
from ..transports._waits import Wait
from ._socket import Socket


class _Waiter(Wait):
    """A task that waits until its messages are accepted, all at once."""

    __slots__ = ("messages",)

    def __init__(self, queue: deque[_Waiter], messages: list[Message]) -> None:
        super().__init__(queue)
        self.messages = messages


class Sender(SendOptions, Socket):
    """A socket that sends.

    A message is accepted on behalf of a waiting task, by whatever makes the room; only then is
    the task woken. So a task that is cancelled while it waits has not sent, and one that is woken
    has.
    """

    _addressed = False
    """Whether messages name their peer, so that one which must wait holds up no other."""

    def _prepare(self) -> None:
        super()._prepare()
        self._senders: deque[_Waiter] = deque()
        self._letting_in = False
        self._room_came = False  # while letting in

    async def send(self, data: Buffer) -> None:
        """Send one single-part message; waits while there is no room for it.

        Raises:
            StateError: it is not the socket's turn to send (REQ, REP).
            TypeError: ``data`` is not bytes-like.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has not sent.
        """
        message = to_bytes(data)
        self._budget.left -= len(message) >> PIECE
        await self._send([message])

    async def send_multipart(self, frames: Iterable[Buffer]) -> None:
        """Send one message of several frames, all or none; waits while there is no room for it.

        Raises:
            StateError: it is not the socket's turn to send (REQ, REP).
            TypeError: a frame is not bytes-like.
            ValueError: there are no frames.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has not sent.
        """
        message = to_message(frames)
        self._budget.left -= size_of(message) >> PIECE
        await self._send([message])

    def send_nowait(self, data: Buffer) -> None:
        """Like :meth:`send`, but raises :exc:`trio.WouldBlock` where that would wait."""
        self._send_nowait(to_bytes(data))

    def send_multipart_nowait(self, frames: Iterable[Buffer]) -> None:
        """Like :meth:`send_multipart`, but raises :exc:`trio.WouldBlock` where that would wait."""
        self._send_nowait(to_message(frames))

    async def flush(self) -> int:
        """Wait until all that was accepted so far has been written, or was lost.

        Written means that the system has taken a message whole, or the peer itself where it is of
        the same process. Then it will arrive, unless the peer or the connection fails. What waits
        for a first connection, or for the next, is waited for.

        Returns:
            How many messages were lost since the socket was opened, or since the last time that
            this told: those that had been accepted, and were dropped since their peer went away,
            say. The reasons are in :meth:`Socket.stats`.

        Raises:
            trio.ClosedResourceError: the socket is closed.

        Cancelled, it has changed nothing. What is accepted meanwhile is not waited for.
        """
        self._check_open()
        await trio.lowlevel.checkpoint()
        return await self._host.flush()

    @trio.lowlevel.enable_ki_protection  # between queue and wait; a checkpoint tells of it
    async def _send(self, messages: list[Message]) -> None:
        if self._budget.left > 0:
            self._budget.left -= 1
        else:
            await self._breathe()
        self._check_open()
        self._check_may_send(messages)
        if self._accepts_now(messages):
            return
        waiter = _Waiter(self._senders, messages)
        await self._host.poller.wait(waiter)

    @trio.lowlevel.enable_ki_protection
    def _send_nowait(self, message: Message) -> None:
        self._check_open()
        self._check_may_send([message])
        if not self._accepts_now([message]):
            raise trio.WouldBlock

    def _send_now(self, messages: list[Message]) -> bool:
        """Send messages, which the socket owns from now on: all, or none where there is no room.

        Raises as :meth:`send_multipart_nowait`.
        """
        self._check_open()
        self._check_may_send(messages)
        return self._accepts_now(messages)

    def _accepts_now(self, messages: list[Message]) -> bool:
        if self._senders and not self._addressed:
            return False  # those who came before go first
        return self._offer_all(messages)

    def _offer_all(self, messages: list[Message]) -> bool:
        if len(messages) == 1:
            return self._offer(messages[0])
        return self._offer_batch(messages)

    def _pump_senders(self) -> None:
        """There may be room: let those in who wait for it, in their order."""
        self._room_came = True
        if self._letting_in:
            return  # letting one in made room for the next, which has its turn after it
        self._letting_in = True
        try:
            while self._room_came:
                self._room_came = False
                self._let_in()
        finally:
            self._letting_in = False

    def _let_in(self) -> None:
        for waiter in tuple(self._senders):
            try:
                accepted = self._offer_all(waiter.messages)
            except HypersocketError as error:
                self._senders.remove(waiter)
                self._host.poller.wake(waiter, outcome.Error(error))
                continue
            if accepted:
                self._senders.remove(waiter)
                self._host.poller.wake(waiter, outcome.Value(None))
            elif not self._addressed:
                return

    def _option_changed(self, name: str) -> None:
        super()._option_changed(name)
        if hasattr(self, "_host"):  # else it is being made
            # What kept senders waiting is perhaps no longer asked for.
            for pipe in tuple(self._host.pipes):
                self._pipe_writable(pipe)

    def _closing(self) -> None:
        for waiter in self._senders:
            error = trio.ClosedResourceError("the socket was closed while sending")
            self._host.poller.wake(waiter, outcome.Error(error))
        self._senders.clear()
        super()._closing()

    # For the socket types

    def _check_may_send(self, messages: list[Message]) -> None:
        """Raise where these messages can not be sent, whatever the room."""

    def _offer(self, message: Message) -> bool:
        """Send the message if there is room for it; else change nothing and return False."""
        raise NotImplementedError

    def _offer_batch(self, messages: list[Message]) -> bool:
        """Send all the messages if there is room for them; else change nothing."""
        raise NotImplementedError


class BatchSender(Sender):
    """A socket that sends batches too."""

    async def send_many(self, messages: Iterable[Buffer]) -> None:
        """Send a batch of single-part messages; returns when all are accepted.

        A batch is accepted as a whole: when it fits below the high-water mark or, being larger
        than that by itself, when the queue is empty.

        Raises:
            TypeError: one of them is not bytes-like.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has sent none of them.
        """
        given: object = messages
        if isinstance(given, (bytes, bytearray, memoryview, str)) or not isinstance(
            given, Iterable
        ):
            raise TypeError(f"expected a sequence of messages, not one {type(given).__name__}")
        batch: list[Any] = list(messages)
        size = size_of_singles(batch)
        if size < 0:
            batch = [to_bytes(data) for data in batch]
            size = size_of_singles(batch)
        if batch:
            self._budget.left -= cost_of(len(batch), size)
            await self._send(batch)
        else:
            self._check_open()
            await trio.lowlevel.checkpoint()
