"""What stands beside the devices: where their counters are served."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from ...management import Source
    from ._child import Child
    from ._spec import Member

logger = logging.getLogger("hypersocket")


@dataclass(frozen=True, slots=True)
class _Served:
    """An address that is served."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


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
        self._served: dict[str, _Served] = {}
        self._urls: dict[str, tuple[str, ...]] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """Where metrics are served now."""
        return tuple(url for urls in self._urls.values() for url in urls)

    async def update(self, specs: Iterable[Member]) -> None:
        """Serve at the addresses that these devices and gateways name, and no more at others.

        Raises:
            EndpointError: an address cannot be understood, or is not of this machine.
            AddressInUse: somebody else has it.
        """
        wanted = {spec.metrics for spec in specs} | {self._for_all}
        addresses = sorted(address for address in wanted if address is not None)
        for address in [one for one in self._served if one not in addresses]:
            served = self._served.pop(address)
            served.scope.cancel()
            del self._urls[address]
            await served.ended.wait()  # so that another may have the address
        for address in addresses:
            if address not in self._served:
                served = _Served()
                server = await self.nursery.start(partial(self._serve, address, served))
                self._served[address] = served
                self._urls[address] = server.urls
                logger.info("metrics at %s", ", ".join(server.urls))

    def _sources(self, address: str) -> list[Source]:
        """Asked at each scrape, so that devices come and go."""
        from ...management import Source

        return [
            Source(child.spec.name, child.opened, child.handle)
            for child in self._children.values()
            if child.opened and address in {child.spec.metrics, self._for_all}
        ]

    async def _serve(
        self, address: str, served: _Served, *, task_status: trio.TaskStatus[Any]
    ) -> None:
        from ...management import serve_metrics

        sources = partial(self._sources, address)
        try:
            with served.scope:
                await serve_metrics(address, sources, task_status=task_status)
        finally:
            served.ended.set()
