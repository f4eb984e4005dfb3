"""One socket at the shell: what ``push``, ``pull``, ``pub``, ``sub``, ``req`` and ``rep`` do."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, TypeAlias

import trio

from .. import DropReason, Pub, Pull, Push, Rep, Req, Socket, SocketStats, Sub
from ._formats import Format, Frames
from ._input import Source
from ._outcome import SUCCEEDED, Failed, say
from ._outcome import messages as count
from ._output import Output
from ._signals import Stop

Told: TypeAlias = Callable[[int], None]
"""What wants to know how much of the input was sent."""

MOST_AT_ONCE = 1000
"""How many messages are printed together, where that many are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line asks for.

    Attributes:
        endpoints: one or more.
        bind: whether to listen at them, rather than to connect.
        form: how messages are written, and printed.
        printed: how they are printed, where that differs.
        timeout: the most seconds to wait for peers at any one time.
        options: of the socket.
        count: the most messages; None for no end.
        topics: what a SUB subscribes to, or the one that a PUB sends first in each message.
        subscribers: how many a PUB waits for.
    """

    endpoints: tuple[str, ...]
    bind: bool
    form: Format
    timeout: float = math.inf
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    count: int | None = None
    topics: tuple[bytes, ...] = ()
    subscribers: int = 0
    printed: Format | None = None


async def _join(socket: Socket, settings: Settings) -> None:
    for endpoint in settings.endpoints:
        if settings.bind:
            say(f"listening at {await socket.bind(endpoint)}")
        else:
            await socket.connect(endpoint)


def _nobody(socket: Socket, settings: Settings) -> str:
    """What is added to a failure where there never was a peer; how to learn more."""
    if socket.stats().connects:
        return ""
    if settings.bind:
        return "; nobody has connected"
    told = logging.getLogger("hypersocket").isEnabledFor(logging.DEBUG)
    return "; there was no connection" + ("" if told else ": --verbose says why")


# Sending


async def push(settings: Settings, source: Source, told: Told, stop: Stop) -> int:
    """Send everything to those who pull."""
    socket = Push(**settings.options)
    sending = _Sending(socket, settings, source, told)
    async with socket:
        await _join(socket, settings)
        await sending.run(stop)
    return sending.outcome(_not_written(socket.stats(), sending.sent), _nobody(socket, settings))


async def pub(settings: Settings, source: Source, told: Told, stop: Stop) -> int:
    """Send everything to those who subscribe."""
    socket = Pub(**settings.options)
    sending = _Sending(socket, settings, source, told, list(settings.topics))
    async with socket:
        await _join(socket, settings)
        await sending.run(stop, lambda: _wait_subscribers(socket, settings))
    return sending.outcome(_not_published(socket.stats()), _nobody(socket, settings))


class _Sending:
    """Sends all that a source has, and remembers what went wrong."""

    def __init__(
        self,
        socket: Push | Pub,
        settings: Settings,
        source: Source,
        told: Told,
        prefix: Frames | None = None,
    ) -> None:
        self._socket = socket
        self._timeout = settings.timeout
        self._source = source
        self._told = told
        self._prefix = prefix or []
        self._problem = ""
        self.sent = 0

    async def run(self, stop: Stop, prepare: Callable[[], Any] | None = None) -> None:
        """Send until the source ends, something goes wrong, or the command is asked to end."""
        with stop.ends() as ended:
            try:
                if prepare is not None:
                    await prepare()
                await self._send_all()
            except Failed as error:
                self._problem = str(error)
        if ended.cancelled_caught:
            self._problem = f"interrupted after {count(self.sent)}"

    async def _send_all(self) -> None:
        while batch := await self._source.batch():
            with trio.CancelScope() as patience:
                for message in batch:
                    if self._timeout < math.inf:
                        patience.deadline = trio.current_time() + self._timeout
                    await self._socket.send_multipart([*self._prefix, *message])
                    self.sent += 1
            if patience.cancelled_caught:
                raise Failed(
                    f"nobody took message {self.sent + 1} within {self._timeout:g} seconds"
                )
            self._told(self._source.position)

    def outcome(self, not_delivered: str, nobody: str) -> int:
        """The exit status.

        Args:
            not_delivered: what was lost.
            nobody: what is added where nobody was there to take it.

        Raises:
            Failed: there is something to tell.
        """
        problems = [problem for problem in (self._problem, not_delivered) if problem]
        if problems:
            raise Failed("; ".join(problems) + nobody)
        return SUCCEEDED


async def _wait_subscribers(socket: Pub, settings: Settings) -> None:
    wanted = settings.subscribers
    with trio.move_on_after(settings.timeout) as patience:
        if settings.topics:
            await socket.wait_subscribed(settings.topics[0], wanted)
        else:
            # No call waits for a subscription to whatever it may be.
            while sum(peer.subscriptions > 0 for peer in socket.stats().peers) < wanted:  # noqa: ASYNC110
                await trio.sleep(0.01)
    if patience.cancelled_caught:
        topic = f" to {os.fsdecode(settings.topics[0])!r}" if settings.topics else ""
        raise Failed(
            f"there were not {wanted} subscribers{topic} within {settings.timeout:g} seconds"
            if wanted != 1
            else f"there was no subscriber{topic} within {settings.timeout:g} seconds"
        )


def _not_written(stats: SocketStats, sent: int) -> str:
    lost = stats.queued_out + stats.dropped - stats.drops.get(DropReason.CONFLATED, 0)
    if not lost:
        return ""
    reasons = ", ".join(reason for reason in stats.drops if reason != DropReason.CONFLATED)
    return f"{count(lost)} of {sent} not delivered ({reasons or 'closed'})"


def _not_published(stats: SocketStats) -> str:
    # A subscriber that leaves wants no more; that is no failure.
    full = stats.drops.get(DropReason.HIGH_WATER_MARK, 0)
    late = stats.drops.get(DropReason.LINGER, 0) + stats.queued_out
    said: list[str] = []
    if full:
        said.append(
            f"{count(full)} dropped for subscribers that were full"
            " (--option xpub_nodrop=true waits for them)"
        )
    if late:
        said.append(f"{count(late)} not delivered (linger expired)")
    return "; ".join(said)


# Receiving


async def pull(settings: Settings, stop: Stop) -> int:
    """Print what is pushed."""
    async with Pull(**settings.options) as socket:
        return await _print_all(socket, settings, stop)


async def sub(settings: Settings, stop: Stop) -> int:
    """Print what is published."""
    async with Sub(**settings.options, subscribe=settings.topics or [b""]) as socket:
        return await _print_all(socket, settings, stop)


async def _print_all(socket: Pull | Sub, settings: Settings, stop: Stop) -> int:
    output = Output(settings.printed or settings.form)
    await _join(socket, settings)
    printed = 0
    wanted = math.inf if settings.count is None else settings.count
    while printed < wanted:
        messages = await _arrived(socket, settings, stop, wanted - printed)
        if not messages:
            break
        await output.write(messages)
        printed += len(messages)
    if stop.requested.is_set():
        await _leave(socket, settings)
        rest = _take(socket, wanted - printed)
        while rest:
            await output.write(rest)
            printed += len(rest)
            rest = _take(socket, wanted - printed)
    return _received(printed, settings)


def _received(number: int, settings: Settings) -> int:
    if settings.count is not None and number < settings.count:
        raise Failed(f"interrupted after {number} of {count(settings.count)}")
    return SUCCEEDED


async def _arrived(
    socket: Pull | Sub | Rep, settings: Settings, stop: Stop, most: float
) -> list[Frames]:
    """At least one message, and what else is there; none if the command is asked to end."""
    messages: list[Frames] = []
    with stop.ends(), trio.move_on_after(settings.timeout) as patience:
        messages.append(await socket.recv_multipart())
    if patience.cancelled_caught:
        raise Failed(
            f"nothing arrived within {settings.timeout:g} seconds{_nobody(socket, settings)}"
        )
    if messages and not isinstance(socket, Rep):
        messages += _take(socket, most - 1)
    return messages


def _take(socket: Pull | Sub, most: float) -> list[Frames]:
    """What is there."""
    messages: list[Frames] = []
    try:
        while len(messages) < min(most, MOST_AT_ONCE):
            messages.append(socket.recv_multipart_nowait())
    except trio.WouldBlock:
        pass
    return messages


async def _leave(socket: Socket, settings: Settings) -> None:
    """Take no more from the peers; what was received stays readable."""
    for endpoint in socket.endpoints:
        await socket.unbind(endpoint)
    if not settings.bind:
        for endpoint in settings.endpoints:
            await socket.disconnect(endpoint)


# Request and reply


async def req(settings: Settings, source: Source, told: Told, stop: Stop) -> int:
    """Send requests, one after another, and print their replies."""
    output = Output(settings.printed or settings.form)
    answered = 0
    async with Req(**settings.options) as socket:
        await _join(socket, settings)
        with stop.ends() as ended:
            while batch := await source.batch():
                for message in batch:
                    with trio.move_on_after(settings.timeout) as patience:
                        reply = await socket.request_multipart(message)
                        answered += 1
                        await output.write([reply])
                    if patience.cancelled_caught:
                        raise Failed(
                            f"no reply within {settings.timeout:g} seconds"
                            + _nobody(socket, settings)
                        )
                told(source.position)
    if ended.cancelled_caught:
        raise Failed(f"interrupted after {answered} repl{'y' if answered == 1 else 'ies'}")
    return SUCCEEDED


async def rep(settings: Settings, replies: list[Frames], stop: Stop) -> int:
    """Print requests, and answer with the replies in turn, or with the requests themselves."""
    output = Output(settings.printed or settings.form)
    answers = cycle(replies) if replies else None
    answered = 0
    async with Rep(**settings.options) as socket:
        await _join(socket, settings)
        while settings.count is None or answered < settings.count:
            requests = await _arrived(socket, settings, stop, 1)
            if not requests:
                break
            await output.write(requests)
            await socket.send_multipart(requests[0] if answers is None else next(answers))
            answered += 1
    return _received(answered, settings)
