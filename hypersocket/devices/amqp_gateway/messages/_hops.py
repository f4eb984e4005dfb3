"""Loops between gateways are cut by a header that names those which a message has come through.

``x-hypersocket-via: "gw-a,gw-b"``: each gateway that publishes a message adds its own name. One
that receives or publishes a message with its own name in it, or with as many names as may be,
passes it on no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADER = "x-hypersocket-via"


def names(headers: Mapping[str, Any]) -> list[str]:
    """Whom a message has come through, the first one first. A header that is not text is none."""
    via = headers.get(HEADER)
    if via is None:
        return []
    if isinstance(via, bytes):
        via = via.decode("utf-8", "replace")
    if not isinstance(via, str):
        return []
    return [name for name in via.split(",") if name]


def looped(headers: Mapping[str, Any], gateway: str, max_hops: int, *, own: bool = False) -> str:
    """Why a message is to be cut; empty if it may go on.

    Args:
        headers: of the message, as it came.
        gateway: our own name.
        max_hops: how many gateways it may come through, this one included.
        own: whether it may have come through this gateway before.
    """
    if HEADER not in headers:
        return "" if max_hops > 0 else f"0 gateways are allowed (max_hops), and {gateway} is one"
    via = names(headers)
    if gateway in via and not own:
        return f"it has come through {gateway} already: {','.join(via)}"
    if len(via) >= max_hops:
        return f"it has come through {len(via)} gateways (max_hops = {max_hops}): {','.join(via)}"
    return ""


def extended(headers: Mapping[str, Any], gateway: str) -> str:
    """The header's text for a message that goes on: those before us, and ourselves."""
    return ",".join([*names(headers), gateway])


def check_name(gateway: str) -> None:
    """A gateway's name has to be one word of the header.

    Raises:
        ValueError: it is empty, or has a comma in it.
    """
    if not gateway or "," in gateway:
        raise ValueError(f"the gateway's name {gateway!r} must not be empty, nor have a comma")
