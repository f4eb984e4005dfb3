"""What the tests of the command share: commands that run, and libzmq's sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from .commands import PATIENCE, Start, starter


@pytest.fixture
def start() -> Iterator[Start]:
    """``start("push", ...)`` runs a command."""
    with starter() as start:
        yield start


Make = Callable[..., Any]


@pytest.fixture
def theirs() -> Iterator[Make]:
    """``theirs("PUSH", connect=..., bind=..., linger=...)`` makes a socket of libzmq's."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def make(
        socket_type: str,
        *,
        connect: str = "",
        bind: str = "",
        subscribe: str | None = None,
        **options: Any,
    ) -> zmq.Socket[bytes]:
        socket = context.socket(getattr(zmq, socket_type))
        sockets.append(socket)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = int(PATIENCE * 1000)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name.upper()), value)
        if subscribe is not None:
            socket.setsockopt_string(zmq.SUBSCRIBE, subscribe)
        if bind:
            socket.bind(bind)
        if connect:
            socket.connect(connect)
        return socket

    try:
        yield make
    finally:
        for socket in sockets:
            socket.close(0)
        # With what watches them, which would keep the context for ever where a test has failed.
        context.destroy(0)
