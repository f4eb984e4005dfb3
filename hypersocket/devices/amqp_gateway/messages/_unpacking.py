"""From a delivery to a ØMQ message."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ....amqp import Properties
from .._client import Delivery, ProtocolName
from .._counters import Counters
from .._policy import Guard
from .._spec import RouteSpec
from . import _hops, _multipart
from ._metadata import PropertyMap
from ._multipart import Message
from ._returns import Returns

logger = logging.getLogger("hypersocket")


class Unfit(Exception):
    """A delivery that is not passed on.

    Attributes:
        reason: for counting.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Unpacker:
    """Makes ØMQ messages as a route says.

    Args:
        spec: the route.
        gateway: our name in the hop header.
        protocol: the broker's.
        guard: the route's policy.
        counters: the route's; what is passed on as one frame, since its header of frames does not
            fit, is counted as ``damaged``.

    Attributes:
        returns: is to be told what became of deliveries, where the route has ``max_deliveries``.

    Raises:
        GatewayError: the route cannot work.
        ImportError: it needs an extra that is not installed.
    """

    def __init__(
        self,
        spec: RouteSpec,
        gateway: str,
        protocol: ProtocolName,
        guard: Guard,
        counters: Counters,
    ) -> None:
        self._spec = spec
        self._counters = counters
        self._passes_own = spec.kind == "in" and spec.own_messages == "pass"
        self._gateway = gateway
        self._most = spec.policy.max_message_size
        self._guard = guard
        self._map = PropertyMap(spec, gateway, protocol)
        self.returns = Returns()
        # The properties last looked at, if nothing in them asks for more than the body: clients
        # give the same object for the same bytes.
        self._plain: Properties | None = None

    def unpack(self, delivery: Delivery) -> Message:
        """The message for a delivery.

        Raises:
            Unfit: it is not to be passed on.
        """
        if self._spec.max_deliveries is not None:
            self._check_deliveries(delivery, self._spec.max_deliveries)
        body = delivery.body
        if self._most is not None and len(body) > self._most:
            raise Unfit("oversize", self._guard.size(len(body)))
        properties = delivery.properties
        if properties is not self._plain:
            frames = self._look(body, properties)
            if frames is not None:
                return [self._map.frame(delivery), *frames] if self._map.frames else frames
        return [self._map.frame(delivery), body] if self._map.frames else body

    def _look(self, body: bytes, properties: Properties) -> list[bytes] | None:
        """The frames; None if it is the body alone."""
        headers = properties.headers
        if headers:
            looped = _hops.looped(headers, self._gateway, self._spec.max_hops, own=self._passes_own)
            if looped:
                raise Unfit("looped", looped + self._way_out(headers))
            lengths = headers.get(_multipart.HEADER)
            if lengths is not None:
                frames, wrong = _multipart.split_or_whole(body, lengths)
                if wrong:
                    damaged(
                        self._counters, f"gateway {self._gateway}, route {self._spec.name}", wrong
                    )
                return frames
        self._plain = properties
        return None

    def _way_out(self, headers: Mapping[str, Any]) -> str:
        """How to have a message that is cut, where one may want it."""
        if self._spec.kind != "in" or self._gateway not in _hops.names(headers):
            return ""
        return (
            "; own_messages = 'pass' passes on what this gateway has published itself, where "
            "nothing feeds it back"
        )

    def _check_deliveries(self, delivery: Delivery, most: int) -> None:
        before = delivery.delivery_count
        if not before:
            ours = delivery.redelivered and not delivery.counted
            before = self.returns.came(delivery) if ours else 0
        if before >= most:
            raise Unfit(
                "poisonous",
                f"it was delivered {before} times already, and max_deliveries is {most}",
            )


def damaged(counters: Counters, label: str, wrong: str) -> None:
    """Count a message whose header of frames does not fit; tell of the first."""
    counters.damaged += 1
    logger.log(
        logging.WARNING if counters.damaged == 1 else logging.DEBUG,
        "%s: passing a message on as one frame: %s (more are counted in stats())",
        label,
        wrong,
    )
