"""pyzmq, with calls that block: libzmq behind Cython."""

from __future__ import annotations

from ._zmq_like import BlockingZmq


class Pyzmq(BlockingZmq):
    """``import zmq``."""

    name = "pyzmq"
    title = "pyzmq"
    distribution = "pyzmq"
    module = "zmq"

    def version(self) -> str:
        return f"{super().version()} with libzmq {self._zmq.zmq_version()}"
