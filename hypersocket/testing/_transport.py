"""The conformance suite of transports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from ._checks_connections import CONNECTION_CHECKS
from ._checks_endpoints import ENDPOINT_CHECKS
from ._checks_messages import MESSAGE_CHECKS
from ._transport_scene import MakeEndpoint, TransportCheck

TRANSPORT_CHECKS: Mapping[str, TransportCheck] = MappingProxyType(
    {**ENDPOINT_CHECKS, **MESSAGE_CHECKS, **CONNECTION_CHECKS}
)
"""What a transport has to do, by name: each takes a function that makes endpoints.

A test framework can make a test of each::

    @pytest.mark.parametrize("check", TRANSPORT_CHECKS.values(), ids=TRANSPORT_CHECKS)
    async def test_tcp(check):
        await check(lambda: "tcp://127.0.0.1:*")
"""


async def check_transport(make_endpoint: MakeEndpoint, *, leave_out: Collection[str] = ()) -> None:
    """Check that a transport does what :class:`hypersocket.transports.Transport` promises.

    ::

        await check_transport(lambda: "tcp://127.0.0.1:*")

    Args:
        make_endpoint: returns, at each call, an endpoint that is free to be bound. Once it was
            bound and closed it must be possible to bind it again as it was resolved.
        leave_out: names of :data:`TRANSPORT_CHECKS` that the transport cannot pass by its
            nature, such as those of back-pressure for one without a way back.

    Raises:
        AssertionError: the transport breaks its contract; the text says which part of it.
        ValueError: ``leave_out`` names a check that does not exist.
    """
    unknown = set(leave_out) - set(TRANSPORT_CHECKS)
    if unknown:
        raise ValueError(f"leave_out={sorted(unknown)}: there are no such checks")
    for name, check in TRANSPORT_CHECKS.items():
        if name in leave_out:
            continue
        try:
            await check(make_endpoint)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
