"""A private RabbitMQ node: loopback only, ports and files of its own, nothing of it left behind.

``async with RabbitMQ(directory) as broker`` is one for a test that kills or starves its broker.
The fixture ``rabbitmq`` is a vhost of a node that all tests of a session share.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import pytest
import trio

from .certificates import Certificates
from .node import PLUGINS, SMALL, BrokerError, Node, missing

__all__ = ["BrokerError", "Node", "RabbitMQ", "missing", "rabbitmq", "rabbitmq_node"]


class RabbitMQ:
    """A node, or one vhost of a node, for tests under trio.

    Calls run in threads and cannot be cancelled; each is bounded in time.
    """

    def __init__(
        self,
        directory: Path | str,
        plugins: Sequence[str] = PLUGINS,
        *,
        erl_args: Sequence[str] = SMALL,
        config: str = "",
    ) -> None:
        make = functools.partial(Node, plugins=plugins, erl_args=erl_args, config=config)
        self._init(make(Path(directory)), "/")

    @classmethod
    def of(cls, node: Node, vhost: str) -> Self:
        """A vhost of a node that is running."""
        self = cls.__new__(cls)
        self._init(node, vhost)
        return self

    def _init(self, node: Node, vhost: str) -> None:
        self.node = node
        self.vhost = vhost

    async def __aenter__(self) -> Self:
        if reason := missing():
            raise BrokerError(reason)
        try:
            await self.start()
        except BaseException:
            self.node.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.node.close()

    @property
    def port(self) -> int:
        """AMQP 0-9-1 and 1.0, plain, on 127.0.0.1."""
        return self.node.port

    @property
    def tls_port(self) -> int:
        """The same in TLS."""
        return self.node.tls_port

    @property
    def certificates(self) -> Certificates:
        """Whom to trust, and a client's certificate."""
        return self.node.certificates

    @property
    def url(self) -> str:
        """``amqp://guest:guest@127.0.0.1:PORT/VHOST``; no vhost if it is the default one."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{self._path}"

    @property
    def tls_url(self) -> str:
        """``amqps://guest:guest@localhost:PORT/VHOST``."""
        return f"amqps://guest:guest@localhost:{self.tls_port}/{self._path}"

    @property
    def _path(self) -> str:
        return "" if self.vhost == "/" else quote(self.vhost, safe="")

    async def start(self) -> None:
        """Start; returns when it answers."""
        await trio.to_thread.run_sync(self.node.start)

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone. `start` starts it again on the same files."""
        await trio.to_thread.run_sync(self.node.kill)

    async def stop(self) -> None:
        """SIGTERM; returns when it is gone."""
        await trio.to_thread.run_sync(self.node.stop)

    async def restart(self) -> None:
        """Start again on the same files and ports; SIGTERM first, if it runs."""
        await trio.to_thread.run_sync(self.node.restart)

    async def ctl(self, *args: str) -> str:
        """``rabbitmqctl -q ARGS``; its output."""
        return await trio.to_thread.run_sync(self.node.ctl, *args)

    async def fresh_vhost(self) -> str:
        """The name of a vhost that nobody has used."""
        return await trio.to_thread.run_sync(self.node.fresh_vhost)


# --- for every test that asks ---------------------------------------------------------


@pytest.fixture(scope="session")
def rabbitmq_node() -> Iterator[Node]:
    """The node that the tests of a session share, started for the first of them."""
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as directory:
        node = Node(Path(directory))
        try:
            node.start()
            yield node
        finally:
            node.close()


@pytest.fixture
def rabbitmq(rabbitmq_node: Node, request: pytest.FixtureRequest) -> Iterator[RabbitMQ]:
    """A vhost of its own for each test, in the node that they share; its log if the test fails."""
    if rabbitmq_node.pid is None:  # a test before this one left it killed
        rabbitmq_node.start()
    log = rabbitmq_node.log
    before = log.stat().st_size if log.exists() else 0
    yield RabbitMQ.of(rabbitmq_node, rabbitmq_node.fresh_vhost())
    if request.session.testsfailed:
        request.node.add_report_section("teardown", "RabbitMQ", rabbitmq_node.tail(before))
