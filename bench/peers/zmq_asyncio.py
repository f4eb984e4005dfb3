"""pyzmq for asyncio."""

from __future__ import annotations

from ._zmq_like import AsyncioZmq


class ZmqAsyncio(AsyncioZmq):
    """``import zmq.asyncio``."""

    name = "zmq.asyncio"
    title = "zmq.asyncio"
    distribution = "pyzmq"
    module = "zmq.asyncio"
    constants = "zmq"

    def version(self) -> str:
        return f"{super().version()} with libzmq {self._zmq.zmq_version()}"
