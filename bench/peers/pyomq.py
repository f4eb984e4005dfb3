"""pyomq, with calls that block: an implementation in Rust, with pyzmq's interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..contract import Handle
from ..speak import UnsupportedError
from ._zmq_like import BlockingZmq


class Pyomq(BlockingZmq):
    """``import pyomq``. What it cannot do, and where it breaks, was seen with 0.21.0."""

    name = "pyomq"
    title = "pyomq"
    distribution = "pyomq"
    module = "pyomq"

    def ready(self, handles: Sequence[Handle]) -> Callable[[], Iterable[Handle]]:  # noqa: ARG002
        # poll() returns nothing while a message can be received.
        raise UnsupportedError("its Poller does not tell of messages on SUB sockets")

    def remark(self, case: str) -> str:
        if not case.startswith(("fan_out", "subscriptions")):
            return ""
        return (
            "Seen with 0.21.0: its PUB falls silent once one peer has told it of a hundred"
            " subscriptions, or two hundred peers of one each; libzmq's own SUB hears nothing"
            " of it then, either."
        )
