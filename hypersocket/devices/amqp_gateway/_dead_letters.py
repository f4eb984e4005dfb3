"""Where failed messages go, with the reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from ...amqp import NO_PROPERTIES, Properties, Target
from ...sockets import Socket
from ._client import Client
from ._counters import Counters
from ._spec import RouteSpec
from ._tasks import Backoff

logger = logging.getLogger("hypersocket")


@dataclass(slots=True, eq=False)
class Letter:
    """A message that failed.

    Attributes:
        reason: one word or two for counting: ``"returned"``, ``"looped"``, ``"policy"``...
        text: why, in the broker's words or ours.
        body: the body, as on AMQP.
        properties: what was said of it, as on AMQP; the header of the frames' lengths included.
        target: where it was published, or was to be.
        done: told how it ended: True, the dead-letter target has it; False, it was dropped.
        kept: whether the broker still has the original, so that we can try again for ever.
    """

    reason: str
    text: str
    body: bytes
    properties: Properties = NO_PROPERTIES
    target: Target = Target()
    done: Callable[[bool], None] | None = None
    kept: bool = False


class Burial:
    """The dead letters of one route.

    Attributes:
        socket: where they go, if that is a socket.
        waiting: letters that are on their way.
    """

    backoff: Backoff
    on_change: Callable[[], None]

    def __init__(
        self,
        spec: RouteSpec,
        gateway: str,
        label: str,
        counters: Counters,
        socket: Socket | None,
    ) -> None:
        self.socket = socket
        self.waiting = 0
        self._spec = spec
        self._gateway = gateway
        self._label = label
        self._counters = counters

    def post(self, letter: Letter) -> None:
        """Take a letter; its ``done`` is told later, or at once where there is no target."""
        raise NotImplementedError

    async def carry(self, client: Client) -> None:
        """Publish letters, while this connection stands; for ever where they go elsewhere."""
        await trio.sleep_forever()

    async def attend(self) -> None:
        """Send letters to a socket; for ever where they go elsewhere."""
        await trio.sleep_forever()
