"""Receiving: who waits, in which order, and that a cancelled call lost nothing."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, Self, TypeAlias, cast

import outcome
import trio

from .._errors import MultipartError
from .._message import Message
from .._option_groups import ReceiveOptions
from .._speedups import AT_ONCE, PASSED_OVER, PIECE, cost_of, size_of, size_of_singles
from ..transports._waits import Wait
from ._socket import Socket

Form = Literal["single", "multipart", "many", "any"]

Take: TypeAlias = Callable[[list[Message]], bool]
"""Is given messages in place of a task, and says whether it goes on."""


class _Waiter(Wait):
    """A task that waits for messages."""

    __slots__ = ("form", "most", "take")

    def __init__(
        self, queue: deque[_Waiter], form: Form, most: int, take: Take | None = None
    ) -> None:
        super().__init__(queue)
        self.form: Form = form
        self.most = most
        self.take = take


class Receiver(ReceiveOptions, Socket):
    """A socket that receives.

    A message is handed to a waiting task by whatever brings it, and the task cannot be cancelled
    after that. So a task that is cancelled while it waits has taken nothing.
    """

    _looks_first = True
    """Whether something may be there that nobody has read yet, when a task is about to wait."""

    def _prepare(self) -> None:
        super()._prepare()
        self._receivers: deque[_Waiter] = deque()
        self._head: list[Message] = []  # at most one, fetched and not yet taken
        self._handing_out = False
        self._goes_on = False  # nothing was fetched, but more may be there

    async def recv(self) -> bytes:
        """Wait for a single-part message.

        Raises:
            MultipartError: the next message has several parts; it stays where it is.
            StateError: it is not the socket's turn to receive (REQ, REP).
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        message: bytes = await self._recv("single", 1)
        return message

    async def recv_multipart(self) -> list[bytes]:
        """Wait for a message of any number of frames.

        Raises:
            StateError: it is not the socket's turn to receive (REQ, REP).
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        frames: list[bytes] = await self._recv("multipart", 1)
        return frames

    def recv_nowait(self) -> bytes:
        """Like :meth:`recv`, but raises :exc:`trio.WouldBlock` where that would wait."""
        message: bytes = self._recv_nowait("single")
        return message

    def recv_multipart_nowait(self) -> list[bytes]:
        """Like :meth:`recv_multipart`, but raises :exc:`trio.WouldBlock` where that would wait."""
        frames: list[bytes] = self._recv_nowait("multipart")
        return frames

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except trio.ClosedResourceError:
            raise StopAsyncIteration from None

    def multipart(self) -> AsyncIterator[list[bytes]]:
        """Receive messages of any number of frames until the socket is closed.

        ::

            async for frames in socket.multipart():
                ...
        """
        return _MultipartMessages(self)

    @trio.lowlevel.enable_ki_protection  # between queue and wait; a checkpoint tells of it
    async def _recv(self, form: Form, most: int) -> Any:
        if self._budget.left > 0:
            self._budget.left -= 1
        else:
            await self._breathe()
        self._check_open()
        self._check_may_receive()
        while not self._receivers:
            self._goes_on = False
            taken = self._take(form, most)
            if taken is not None:
                return taken
            if self._looks_first and not self._goes_on:
                self._host.poller.serve()
                if not self._receivers and (taken := self._take(form, most)) is not None:
                    return taken
            if not self._goes_on:
                break
            await trio.lowlevel.checkpoint()
            self._check_open()
            self._check_may_receive()
        waiter = _Waiter(self._receivers, form, most)
        return await self._host.poller.wait(waiter)

    @trio.lowlevel.enable_ki_protection
    def _recv_nowait(self, form: Form) -> Any:
        self._check_open()
        self._check_may_receive()
        taken = None
        self._goes_on = not self._receivers
        while taken is None and self._goes_on:
            self._goes_on = False
            taken = self._take(form, 1)
        if taken is None:
            raise trio.WouldBlock
        return taken

    @trio.lowlevel.enable_ki_protection
    async def _pass_on(self, take: Take, most: int) -> None:
        """Have all that comes given to ``take``, until that returns False.

        For devices: what is read here is on its way out before any task is woken.

        Args:
            take: is given lists of so many single-part messages, or of one of any kind. They
                belong to it; and it does not raise.
            most: how many.

        It is a checkpoint only where it has to wait, or passes over much that is not wanted.
        Cancelled, nothing is lost: what was taken was given to ``take``.

        Raises:
            trio.ClosedResourceError: the socket is closed, or was meanwhile.
        """
        self._check_open()
        self._check_may_receive()
        while not self._receivers:
            self._goes_on = False
            taken = self._take("any", most)
            if taken is not None and not take(taken):
                return
            if self._goes_on or self._budget.left <= 0:  # much was passed over
                self._budget.left = 0
                await self._breathe()
                self._check_open()
                self._check_may_receive()
            elif taken is None:
                break
        waiter = _Waiter(self._receivers, "any", most, take)
        await self._host.poller.wait(waiter)

    def _pass_no_more(self, take: Take) -> None:
        """End :meth:`_pass_on`: from here on nothing is given to ``take``.

        A cancelled task goes on waiting until it runs again, and others may read meanwhile.
        """
        for waiter in self._receivers:
            if waiter.take == take:
                waiter.withdraw()
                self._host.poller.wake(waiter, outcome.Value(None))
                return

    def _take(self, form: Form, most: int) -> Any:
        """Take what a task asks for, or None if there is nothing."""
        if form == "any":
            return self._take_any(most)
        if form == "many":
            return self._take_many(most)
        message = self._peek()
        if message is None:
            return None
        if form == "single" and isinstance(message, list):
            raise _several_parts(message)
        self._consume()
        self._budget.left -= size_of(message) >> PIECE
        return message if form == "single" or isinstance(message, list) else [message]

    def _take_any(self, most: int) -> list[Message] | None:
        if not self._head and most > 1 and (singles := self._fetch_singles(most)):
            return cast("list[Message]", singles)
        message = self._peek()
        if message is None:
            return None
        self._consume()
        return [message]

    def _take_many(self, most: int) -> list[bytes] | None:
        taken = ([] if self._head else self._take_singles(most)) or self._take_one_by_one(most)
        self._budget.left -= cost_of(len(taken), size_of_singles(taken))
        return taken or None

    def _take_singles(self, most: int) -> list[bytes]:
        taken = self._fetch_singles(most)
        # What is taken may make room for more, which is taken too; but it has to end.
        while 0 < len(taken) < min(most, AT_ONCE) and self._budget.left > 0:
            more = self._fetch_singles(most - len(taken))
            if not more:
                break
            taken += more
        return taken

    def _take_one_by_one(self, most: int) -> list[bytes]:
        # There is a head, or the next has several parts, or nothing of the kind above.
        taken: list[bytes] = []
        enough = self._budget.left - cost_of(PASSED_OVER, 0)  # much was passed over meanwhile
        while len(taken) < min(most, AT_ONCE) and self._budget.left > enough:
            message = self._peek()
            if message is None:
                break
            if isinstance(message, list):
                if not taken:
                    raise _several_parts(message)
                break
            self._consume()
            taken.append(message)
        return taken

    def _peek(self) -> Message | None:
        if not self._head:
            message = self._fetch()
            if message is None:
                return None
            self._head.append(message)
        return self._head[0]

    def _consume(self) -> None:
        self._head.clear()
        self._received()

    def _pump_receivers(self) -> None:
        """There may be messages: hand them to those who wait, in their order."""
        if self._handing_out:
            return  # taking one message made room for the next, which has its turn after it
        self._handing_out = True
        try:
            self._hand_out()
        finally:
            self._handing_out = False

    def _hand_out(self) -> None:
        while self._receivers:
            waiter = self._receivers[0]
            try:
                taken = self._take(waiter.form, waiter.most)
            except MultipartError as error:
                result: outcome.Outcome[Any] = outcome.Error(error)
            else:
                if taken is None:
                    if self._goes_on:
                        self._goes_on = False
                        continue
                    return
                if waiter.take is not None and waiter.take(taken):
                    self._host.poller.has_served = True
                    self._receivers.rotate(-1)  # whoever waits beside it has a turn, too
                    continue
                result = outcome.Value(taken)
            self._receivers.popleft()
            self._host.poller.wake(waiter, result)

    def _held_messages(self) -> int:
        return super()._held_messages() + len(self._head)

    def _closing(self) -> None:
        for waiter in self._receivers:
            error = trio.ClosedResourceError("the socket was closed while receiving")
            self._host.poller.wake(waiter, outcome.Error(error))
        self._receivers.clear()
        super()._closing()

    # For the socket types

    def _check_may_receive(self) -> None:
        """Raise where it is not the socket's turn to receive."""

    def _fetch(self) -> Message | None:
        """The next message for the user, out of the pipes; None if there is none now."""
        raise NotImplementedError

    def _fetch_singles(self, most: int) -> list[bytes]:  # noqa: ARG002 - see the docstring
        """Single-part messages for the user, all at once; none where a type has no such way.

        The next may be one of several parts, which :meth:`_fetch` has then. What is passed over
        is taken from the budget.
        """
        return []

    def _received(self) -> None:
        """The message last fetched is the user's now."""


class _MultipartMessages(AsyncIterator[list[bytes]]):
    # Not a generator: one that is left before its end would wait for the garbage collector.

    def __init__(self, socket: Receiver) -> None:
        self._socket = socket

    async def __anext__(self) -> list[bytes]:
        try:
            return await self._socket.recv_multipart()
        except trio.ClosedResourceError:
            raise StopAsyncIteration from None


class BatchReceiver(Receiver):
    """A socket that receives batches too."""

    async def recv_many(self, max: int | None = None) -> list[bytes]:  # noqa: A002
        """Wait for at least one single-part message, and take all that are there.

        Args:
            max: take no more than so many.

        Raises:
            MultipartError: the next message has several parts; it stays where it is. Single-part
                messages before it are returned first.
            ValueError: ``max`` is less than one.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        if max is not None and max < 1:
            raise ValueError(f"max={max}: expected at least 1, or None for no limit")
        # However large it is, the core is given what a size has room for.
        most = sys.maxsize if max is None else min(max, sys.maxsize)
        messages: list[bytes] = await self._recv("many", most)
        return messages


def _several_parts(frames: list[bytes]) -> MultipartError:
    return MultipartError(
        f"the next message has {len(frames)} parts: take it with recv_multipart()"
    )
