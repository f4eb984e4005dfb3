"""The gateway: its sockets, its connection to the broker, its routes, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import trio

from ...sockets import Socket
from ._spec import GatewaySpec
from ._stats import GatewayResult, GatewayState, GatewayStats


class AmqpGateway:
    """A device between ØMQ sockets and a broker.

    Args:
        spec: what it is to do.

    Attributes:
        spec: likewise.
        name: for logs, statistics and monitors.
        kind: ``"gateway"``.
        result: what became of everything, once it has stopped, failed or was cancelled.
    """

    kind: Literal["gateway"] = "gateway"

    def __init__(self, spec: GatewaySpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.result: GatewayResult | None = None

    @property
    def state(self) -> GatewayState:
        """``"running"``, ``"stopping"`` or ``"stopped"``."""
        raise NotImplementedError

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """Its sockets by the names of their routes, dead letters' as ``NAME.dead-letters``."""
        raise NotImplementedError

    async def run(
        self, *, task_status: trio.TaskStatus[AmqpGateway] = trio.TASK_STATUS_IGNORED
    ) -> GatewayResult:
        """Run until stopped."""
        raise NotImplementedError

    def stop_soon(self) -> None:
        """Begin a graceful stop."""
        raise NotImplementedError

    async def stop(self) -> GatewayResult:
        """Stop gracefully, and wait until that is done."""
        raise NotImplementedError

    async def wait_active(self) -> None:
        """Wait until all routes carry messages."""
        raise NotImplementedError

    def stats(self) -> GatewayStats:
        """A snapshot of the counters."""
        raise NotImplementedError
