"""What stands beside the devices: where their counters are served."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import trio

from ...sockets import Socket

if TYPE_CHECKING:
    from ._child import Child


class Metrics:
    """Serves OpenMetrics, at one address for the devices that name it.

    Args:
        for_all: an address for all devices; None for none.
        children: the devices by name.
    """

    def __init__(self, for_all: str | None, children: Mapping[str, Child]) -> None:
        self.nursery: trio.Nursery
        self._for_all = for_all
        self._children = children
        self._served: dict[str, trio.CancelScope] = {}

    async def update(self) -> None:
        """Serve at the addresses that are named now, and no more at others.

        Raises:
            OSError: an address cannot be had.
        """
        wanted = {child.spec.metrics for child in self._children.values()} | {self._for_all}
        addresses = sorted(address for address in wanted if address is not None)
        for address in [one for one in self._served if one not in addresses]:
            self._served.pop(address).cancel()
        for address in addresses:
            if address not in self._served:
                scope = self._served[address] = trio.CancelScope()
                await self.nursery.start(partial(self._serve, address, scope))

    def _sources(self, address: str) -> dict[str, Socket]:
        return {
            f"{child.spec.name}.{side}": socket
            for child in self._children.values()
            if address in {child.spec.metrics, self._for_all}
            for side, socket in child.opened.items()
        }

    async def _serve(
        self, address: str, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]
    ) -> None:
        from ...management import serve_metrics

        with scope:
            await serve_metrics(address, partial(self._sources, address), task_status=task_status)
