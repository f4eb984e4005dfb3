"""What is wrong with a gateway before it has spoken to a broker."""

from __future__ import annotations

from ..._errors import HypersocketError


class GatewayError(HypersocketError, ValueError):
    """A gateway's configuration cannot work: the line names the route, and what would be right."""
