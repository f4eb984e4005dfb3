"""The contracts: what a peer offers to a benchmark, and what a benchmark is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from .job import Job

Handle: TypeAlias = Any
"""A peer's own socket, so that nothing of ours stands between it and the loop that is measured.

It has ``send``, ``recv``, ``send_multipart`` and ``recv_multipart``; awaitable where the peer
awaits.
"""


def grouped(value: float) -> str:
    """A whole number for people, with narrow spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


PATTERNS = ("PUSH", "PULL", "REQ", "REP", "PUB", "SUB", "ROUTER", "DEALER")


class Peer(Protocol):
    """An implementation of the sockets; a file in ``bench/peers`` for each."""

    name: str
    """For the command line."""
    title: str
    """For tables and plots."""
    speaks_zmtp: bool
    """Whether the raw clients can talk to it."""
    sockets: bool
    """Whether it has sockets of ØMQ's patterns. One without takes part only where it is named."""

    def missing(self) -> str | None:
        """Why it cannot run here; None if it can."""
        ...

    def version(self) -> str:
        """What was measured."""
        ...

    def command(self, role: str, job: Job) -> list[str]:
        """The command of a process that plays a role."""
        ...

    def environment(self) -> dict[str, str]:
        """What its processes have in their environment besides ours."""
        ...

    def remark(self, case: str) -> str:
        """What is known of it, should it be broken in a case; for the footnote."""
        ...


class BlockingPeer(Peer, Protocol):
    """A peer whose calls block the thread."""

    def open(
        self,
        pattern: str,
        *,
        bind: str = "",
        connect: str = "",
        hwm: int | None = None,
        subscribe: bytes | None = None,
    ) -> AbstractContextManager[Handle]:
        """A socket; raises UnsupportedError for a pattern that the peer does not have.

        ``hwm`` of 0 is no limit, None the peer's default.
        """
        ...

    def endpoint(self, handle: Handle) -> str:
        """Where it is bound."""
        ...

    def ready(self, handles: Sequence[Handle]) -> Callable[[], Iterable[Handle]]:
        """A call that waits until some of the sockets have messages, and returns those."""
        ...

    def drain(self, handle: Handle) -> list[bytes]:
        """The messages that are there, without waiting."""
        ...

    def forward(self, kind: str, frontend: Handle, backend: Handle) -> None:
        """Be a device, for ever; raises UnsupportedError where there are none."""


class AwaitingPeer(Peer, Protocol):
    """A peer whose calls are awaited."""

    batches: bool
    """Whether its sockets have ``send_many`` and ``recv_many``."""

    def run(self, role: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a role in the event loop."""

    def open(
        self,
        pattern: str,
        *,
        bind: str = "",
        connect: str = "",
        hwm: int | None = None,
        subscribe: bytes | None = None,
    ) -> AbstractAsyncContextManager[Handle]:
        """As for a peer that blocks."""
        ...

    def endpoint(self, handle: Handle) -> str:
        """Where it is bound."""
        ...

    async def forward(self, kind: str, frontend: Handle, backend: Handle) -> None:
        """Be a device, for ever."""

    async def sleep(self, seconds: float) -> None:
        """Let the loop run."""

    async def together(self, *calls: Callable[[], Awaitable[None]]) -> None:
        """Run all at once, and wait for all."""

    async def in_thread(self, call: Callable[[], None]) -> None:
        """Run what blocks while the loop goes on."""


@dataclass(frozen=True, slots=True)
class Role:
    """What one process does, for each kind of peer. Programs in C bear the role's name.

    Attributes:
        blocking: for peers that block.
        awaiting: for peers that are awaited.
        told: whether what is measured begins only when the process is told to go on.
    """

    blocking: Callable[[Any, Job], None]
    awaiting: Callable[[Any, Job], Awaitable[None]]
    told: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of one case with one peer gave."""

    value: float
    more: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table: a benchmark with its numbers.

    Attributes:
        name: unique, such as ``thr/tcp/64``.
        title: for people.
        unit: of the value.
        better: ``"more"`` or ``"less"``.
        job: what is told to the processes.
        measure: runs it once with a peer, in processes of its own.
        peers: the names of the peers that it is about; empty for all that have sockets.
        rounds: at most so many rounds, where one takes long.
    """

    name: str
    title: str
    unit: str
    better: str
    job: Job
    measure: Callable[[Peer, Job], Measured]
    peers: tuple[str, ...] = ()
    not_peers: tuple[str, ...] = ("bare",)
    rounds: int = 1000
