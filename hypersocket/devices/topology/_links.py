"""Who is connected to whom: what the file says of two sockets that meet at an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ._spec import Member, ProgramSpec, SocketLike, Topology

End: TypeAlias = tuple[str, str]
"""A socket: the name of a device or gateway and of its socket, or a name and an empty text."""

_ANY_HOSTS = frozenset({"*", "0.0.0.0", "[::]"})  # noqa: S104 - these are looked for


@dataclass(frozen=True, slots=True)
class Link:
    """One connection.

    Attributes:
        connecting: the socket that connects.
        binding: the socket that is bound to the endpoint; None where no socket of the file is.
        endpoint: what is connected to.
    """

    connecting: End
    binding: End | None
    endpoint: str


def ends_of(topology: Topology) -> Iterator[tuple[End, SocketLike, Member | ProgramSpec]]:
    """Every socket of a file, in its order."""
    for member in topology.members.values():
        for side, spec in member.sockets().items():
            yield (member.name, side), spec, member
    for program in topology.sockets.values():
        yield (program.name, ""), program.socket, program


def links_of(topology: Topology) -> list[Link]:
    """Every connection, in the order of the file."""
    ends = list(ends_of(topology))
    found: list[Link] = []
    for end, spec, owner in ends:
        for endpoint in spec.connect:
            binding = None
            candidates = [
                (other, other_owner)
                for other, other_spec, other_owner in ends
                if other != end
                and any(_meets(endpoint, bound, other_owner.host) for bound in other_spec.bind)
            ]
            if candidates:
                # The same endpoint may be bound on several machines; the own one is meant then.
                near = [one for one in candidates if one[1].part == owner.part]
                binding = (near or candidates)[0][0]
            found.append(Link(end, binding, endpoint))
    return found


def _meets(endpoint: str, bound: str, host: str | None) -> bool:
    """Whether who connects to an endpoint reaches who is bound to the other."""
    if endpoint == bound:
        return True
    if not (endpoint.startswith("tcp://") and bound.startswith("tcp://")):
        return False
    where, _, port = endpoint.rpartition(";")[2].removeprefix("tcp://").rpartition(":")
    bound_host, _, bound_port = bound.removeprefix("tcp://").rpartition(":")
    if port != bound_port or port == "*":
        return False
    return where in {bound_host, host} or (host is None and bound_host in _ANY_HOSTS)


def reachable(endpoint: str, host: str | None) -> str | None:
    """A bound endpoint as others can connect to it; None where that cannot be known."""
    if endpoint.partition("://")[2] == "*":
        return None
    if not endpoint.startswith("tcp://"):
        return endpoint
    bound_host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if port in {"*", "0"} or (host is None and bound_host in _ANY_HOSTS):
        return None
    return f"tcp://{host or bound_host}:{port}"
