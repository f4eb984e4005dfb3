"""pynng: nanomsg's successor, the same patterns with another protocol on the wire."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from ..contract import Handle
from ..speak import UnsupportedError
from ._python import PythonPeer


class Pynng(PythonPeer):
    """``import pynng``."""

    name = "pynng"
    title = "pynng"
    speaks_zmtp = False
    distribution = "pynng"
    module = "pynng"

    @contextmanager
    def open(
        self,
        pattern: str,
        *,
        bind: str = "",
        connect: str = "",
        hwm: int | None = None,
        subscribe: bytes | None = None,  # noqa: ARG002 - the contract's
    ) -> Generator[Handle]:
        if pattern not in ("PUSH", "PULL", "REQ", "REP"):
            raise UnsupportedError(f"has no {pattern} that could do the same work")
        if hwm is not None:
            raise UnsupportedError("has no queue without a limit")
        with getattr(self._import(), pattern.capitalize() + "0")() as socket:
            if bind:
                socket.listen(bind.replace(":*", ":0"))
            if connect:
                socket.dial(connect, block=True)
            yield socket

    def endpoint(self, handle: Handle) -> str:
        return str(handle.listeners[0].url)

    def ready(self, handles: Sequence[Handle]) -> Callable[[], Iterable[Handle]]:  # noqa: ARG002
        raise UnsupportedError("cannot wait for many sockets in one thread")

    def drain(self, handle: Handle) -> list[bytes]:  # noqa: ARG002
        raise UnsupportedError("cannot wait for many sockets in one thread")
