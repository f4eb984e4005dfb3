"""Which two sockets make a device, and which ways messages flow between them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .._errors import HypersocketError

_LOCK_STEP = {
    "REQ": "a REQ waits for each reply before it may send again, and a device has many requests "
    "under way: use a DEALER in its place",
    "REP": "a REP has to answer each request before it may take the next, and a device has many "
    "under way: use a ROUTER in its place",
}

_INTO = {
    # What a socket that receives can hand its messages to.
    "PULL": frozenset({"PUSH", "PUB"}),
    "SUB": frozenset({"PUSH", "PUB"}),
    "XSUB": frozenset({"XPUB", "PAIR", "DEALER"}),
    "XPUB": frozenset({"XSUB", "PAIR", "DEALER"}),
    "PAIR": frozenset({"PAIR", "DEALER", "ROUTER", "PUSH", "PUB", "XPUB", "XSUB"}),
    "DEALER": frozenset({"PAIR", "DEALER", "ROUTER", "PUSH", "PUB", "XPUB", "XSUB"}),
    "ROUTER": frozenset({"PAIR", "DEALER", "ROUTER", "PUSH", "PUB"}),
}

_FITTING = {
    # What to put at the other side, the usual first.
    "ROUTER": "DEALER (or ROUTER, PAIR, PUSH, PUB)",
    "DEALER": "ROUTER (or DEALER, PAIR, XSUB, XPUB, PUSH, PUB)",
    "XSUB": "XPUB (or PAIR, DEALER)",
    "XPUB": "XSUB (or PAIR, DEALER)",
    "PULL": "PUSH or PUB",
    "PUSH": "PULL (or SUB, PAIR, DEALER, ROUTER)",
    "SUB": "PUB or PUSH",
    "PUB": "SUB (or PULL, PAIR, DEALER, ROUTER)",
    "PAIR": "PAIR (or DEALER, ROUTER, XSUB, XPUB, PUSH, PUB)",
}

_RECEIVE_ONLY = frozenset({"PULL", "SUB"})
_SEND_ONLY = frozenset({"PUSH", "PUB"})

KINDS = {
    "queue": ("ROUTER", "DEALER"),
    "forwarder": ("XSUB", "XPUB"),
    "streamer": ("PULL", "PUSH"),
}
"""The devices with a name, and the two sockets of each."""

CAPTURES = ("PUB", "DEALER", "PUSH", "PAIR")
CONTROLS = ("REP", "PAIR")


class PairingError(HypersocketError, ValueError):
    """These sockets cannot make that device; the text says why, and what would fit."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Which ways messages flow.

    Attributes:
        to_backend: from the frontend to the backend.
        to_frontend: from the backend to the frontend.
    """

    to_backend: bool
    to_frontend: bool


def check_pairing(
    frontend: str, backend: str, kind: str = "proxy", balance: str = "round-robin"
) -> Ways:
    """Check by their ZMTP names, such as ``"ROUTER"``, whether two sockets make a device.

    Args:
        frontend: the type of the one socket.
        backend: the type of the other.
        kind: ``"proxy"``, ``"queue"``, ``"forwarder"`` or ``"streamer"``.
        balance: ``"least-outstanding"`` is for a queue alone; its types are those of any queue.

    Returns:
        Which ways messages will flow.

    Raises:
        PairingError: they do not fit; it says why, and what would.
    """
    if balance != "round-robin" and (kind != "queue" or balance != "least-outstanding"):
        raise PairingError(f"balance={balance!r}: a {kind} has no such way to choose")
    if kind != "proxy":
        _check_named(frontend, backend, kind)
    for socket_type in (frontend, backend):
        if socket_type in _LOCK_STEP:
            raise PairingError(f"{_both(frontend, backend)}: {_LOCK_STEP[socket_type]}")
        if socket_type not in _FITTING:
            raise PairingError(
                f"{socket_type!r} is no socket type that a device can use; "
                f"there are {', '.join(_FITTING)}"
            )
    ways = Ways(
        to_backend=backend in _INTO.get(frontend, ()),
        to_frontend=frontend in _INTO.get(backend, ()),
    )
    why = _why_not(frontend, backend, ways)
    if why:
        fitting = "; ".join(
            f"what fits {_a(one)} is {_FITTING[one]}" for one in dict.fromkeys((frontend, backend))
        )
        raise PairingError(f"{_both(frontend, backend)} cannot work: {why}; {fitting}")
    return ways


def _check_named(frontend: str, backend: str, kind: str) -> None:
    if kind not in KINDS:
        raise PairingError(f"{kind!r} is no device; there are proxy, {', '.join(KINDS)}")
    wanted = KINDS[kind]
    if (frontend, backend) == wanted:
        return
    if (backend, frontend) == wanted:
        hint = ": these two are swapped"
    else:
        hint = "; proxy() takes any two types that fit"
    raise PairingError(
        f"a {kind} has {_a(wanted[0])} frontend and {_a(wanted[1])} backend, "
        f"not {frontend} and {backend}{hint}"
    )


def check_helper(socket_type: str, purpose: str, types: Collection[str]) -> None:
    """Check the type of a capture or control socket.

    Raises:
        PairingError: it is none of these.
    """
    if socket_type not in types:
        *others, last = types
        raise PairingError(
            f"{purpose}: {_a(socket_type)} cannot be used for this, "
            f"but a {', '.join(others)} or {last}"
        )


def _a(socket_type: str) -> str:
    return f"an {socket_type}" if socket_type.startswith("X") else f"a {socket_type}"


def _both(frontend: str, backend: str) -> str:
    return f"{_a(frontend)} frontend with {_a(backend)} backend"


def _why_not(frontend: str, backend: str, ways: Ways) -> str:
    """Why two known types do not fit; empty if they do."""
    types = {frontend, backend}
    if types <= _SEND_ONLY:
        return "both only send, so that neither receives"
    if types <= _RECEIVE_ONLY:
        return "both only receive, so that neither sends"
    if types in ({"XPUB"}, {"XSUB"}):
        (one,) = types
        other = "publishes what it gets" if one == "XSUB" else "gets what is published"
        return f"a device between two {one} has no side that {other}"
    if "XSUB" in types and not types & {"XPUB", "PAIR", "DEALER"}:
        other = backend if frontend == "XSUB" else frontend
        return (
            f"an XSUB subscribes to what comes from the other side, and no subscriptions come by "
            f"a {other}; with a SUB in its place, what to subscribe to is said beforehand"
            if other in _SEND_ONLY
            else f"an XSUB brings messages with a topic, and a {other} has no use for them"
        )
    if "XPUB" in types and not types & {"XSUB", "PAIR", "DEALER"}:
        other = backend if frontend == "XPUB" else frontend
        return (
            f"an XPUB brings subscriptions, which a {other} cannot hand on; a PUB in its place "
            "keeps them to itself"
            if other in _RECEIVE_ONLY
            else f"an XPUB brings subscriptions, and a {other} has no use for them"
        )
    for receiver, other, flows in (
        (frontend, backend, ways.to_frontend),
        (backend, frontend, ways.to_backend),
    ):
        if receiver in _RECEIVE_ONLY and other not in _SEND_ONLY and not flows:
            return (
                f"what a {other} receives from its peers has nowhere to go, "
                f"since a {receiver} does not send"
            )
    return "" if ways.to_backend or ways.to_frontend else "no messages would flow either way"
