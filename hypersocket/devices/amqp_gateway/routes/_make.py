"""Which class is which kind of route."""

from __future__ import annotations

from .._errors import GatewayError
from .._spec import SOCKET_TYPES, RouteSpec
from ._route import Route, Shared


def make_route(spec: RouteSpec, shared: Shared) -> Route:
    """A route as it is told.

    Raises:
        GatewayError: it cannot work.
    """
    if spec.kind not in SOCKET_TYPES:
        raise GatewayError(
            f"route {spec.name}: there is no kind {spec.kind!r}, but {', '.join(SOCKET_TYPES)}"
        )
    if spec.socket.type not in SOCKET_TYPES[spec.kind]:
        raise GatewayError(
            f"route {spec.name}: a route {spec.kind!r} has a socket of type "
            f"{' or '.join(SOCKET_TYPES[spec.kind])}, not {spec.socket.type}"
        )
    return _class_of(spec)(spec, shared)


def _class_of(spec: RouteSpec) -> type[Route]:
    # Imported where they are used: a gateway that only publishes need not have read the rest.
    kind = spec.kind
    if kind == "out":
        from ._out import Out

        return Out
    if kind == "in" and spec.ack == "reply":
        from ._in_reply import InReply

        return InReply
    if kind == "in":
        from ._in import In

        return In
    if kind == "topics" and spec.socket.type == "XSUB":
        from ._topics_out import TopicsOut

        return TopicsOut
    if kind == "topics":
        from ._topics import Topics

        return Topics
    if kind == "call":
        from ._call import Call

        return Call
    from ._serve import Serve

    return Serve
