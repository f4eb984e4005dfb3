"""What devices and gateways tell of themselves while they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio

from ..sockets import Pub, Socket, XPub

if TYPE_CHECKING:
    from ..management._sources import DeviceLike


async def watch(
    monitor: Pub | XPub,
    name: str,
    sockets: Mapping[str, Socket],
    device: DeviceLike,
    interval: float,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Publish how something is, until cancelled.

    A mistake in that is logged, and what is watched goes on.
    """
    from ..management import monitor_feed

    feed = monitor_feed(monitor, name=name, sockets=sockets, device=device, interval=interval)
    async with feed:
        task_status.started()
        await trio.sleep_forever()
