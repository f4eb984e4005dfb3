"""pyomq, with calls that block: an implementation in Rust, with pyzmq's interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..contract import Handle
from ..speak import UnsupportedError
from ._zmq_like import BlockingZmq


class Pyomq(BlockingZmq):
    """``import pyomq``.

    With 0.21.0 its PUB falls silent once a peer has told it of many subscriptions, or many peers
    of one: libzmq's own SUB gets nothing from it then either. The tables show it as broken.
    """

    name = "pyomq"
    title = "pyomq"
    distribution = "pyomq"
    module = "pyomq"

    def ready(self, handles: Sequence[Handle]) -> Callable[[], Iterable[Handle]]:  # noqa: ARG002
        # Seen with 0.21.0: poll() returns nothing while a message can be received.
        raise UnsupportedError("its Poller does not tell of messages on SUB sockets")
