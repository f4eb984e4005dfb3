"""A gateway with what its file wants beside it: the socket that tells how it is."""

from __future__ import annotations

from contextlib import AsyncExitStack

import trio

from ...sockets import Pub, Socket, XPub
from .._handle import REST
from .._watching import watch
from ._gateway import AmqpGateway
from ._spec import RouteSocket
from ._stats import GatewayResult
from .config._config import GatewayConfig


async def run(
    gateway: AmqpGateway,
    config: GatewayConfig,
    *,
    name: str | None = None,
    task_status: trio.TaskStatus[dict[str, Socket]] = trio.TASK_STATUS_IGNORED,
) -> GatewayResult:
    """Run a gateway until it is stopped, and publish how it is.

    Args:
        gateway: made of the configuration's spec; it has not run.
        config: says where to publish.
        name: what it is called in topics; its own by default.
        task_status: given the open sockets, when the gateway has started.

    Raises:
        AmqpError: as :meth:`AmqpGateway.run`; so do errors of sockets.

    Cancelled, everything is closed at once.
    """
    results: list[GatewayResult] = []
    try:
        async with AsyncExitStack() as stack:
            monitor: Pub | XPub | None = None
            if config.monitor is not None:
                monitor = await stack.enter_async_context(_publisher(config.monitor))
            async with trio.open_nursery() as nursery:

                async def carry(task_status: trio.TaskStatus[AmqpGateway]) -> None:
                    results.append(await gateway.run(task_status=task_status))
                    nursery.cancel_scope.cancel()

                await nursery.start(carry)
                sockets = dict(gateway.sockets)
                if monitor is not None:
                    called, every = name or gateway.name, config.monitor_interval
                    await nursery.start(watch, monitor, called, gateway.sockets, gateway, every)
                    sockets["monitor"] = monitor
                task_status.started(sockets)
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    return results[0]


def _publisher(given: RouteSocket) -> Pub | XPub:
    made = XPub if given.type == "XPUB" else Pub
    return made(bind=given.bind, connect=given.connect, **{"linger": REST, **given.options})
