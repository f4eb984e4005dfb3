"""The conformance suite of socket types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from ._checks_socket import COMMON_CHECKS
from ._checks_traffic import TRAFFIC_CHECKS
from ._socket_scene import SocketCheck, SocketType, fresh_inproc
from ._transport_scene import MakeEndpoint

SOCKET_CHECKS: Mapping[str, SocketCheck] = MappingProxyType({**COMMON_CHECKS, **TRAFFIC_CHECKS})
"""What a socket type has to do, by name.

Each takes the type, the type of its peer, and a function that makes endpoints. A check about
calls that the type does not have passes.
"""


async def check_socket_type(
    cls: SocketType,
    peer_cls: SocketType,
    make_endpoint: MakeEndpoint = fresh_inproc,
    *,
    leave_out: Collection[str] = (),
) -> None:
    """Check that a socket type behaves as every socket does.

    ::

        await check_socket_type(hypersocket.Push, hypersocket.Pull)

    Args:
        cls: the type to check.
        peer_cls: a type that it can talk to.
        make_endpoint: returns, at each call, an endpoint that is free to be bound.
        leave_out: names of :data:`SOCKET_CHECKS` that do not apply.

    Raises:
        AssertionError: the type breaks its contract; the text says which part of it.
        ValueError: ``leave_out`` names a check that does not exist.
    """
    unknown = set(leave_out) - set(SOCKET_CHECKS)
    if unknown:
        raise ValueError(f"leave_out={sorted(unknown)}: there are no such checks")
    for name, check in SOCKET_CHECKS.items():
        if name in leave_out:
            continue
        try:
            await check(cls, peer_cls, make_endpoint)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
