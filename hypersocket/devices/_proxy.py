"""The devices: any two sockets that fit, and the three pairs that have a name."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Literal

import trio

from ..sockets import Dealer, Pull, Push, Router, Socket, XPub, XSub
from ._balance import AddressedDealer, Replies, Requests, Workers
from ._capture import Capture
from ._control import obey
from ._engine import Engine
from ._flow import Flow
from ._handle import Device, DeviceResult, Kind
from ._pairing import CAPTURES, CONTROLS, PairingError, Ways, check_helper, check_pairing

logger = logging.getLogger("hypersocket")

Balance = Literal["round-robin", "least-outstanding"]
"""How a queue chooses a worker."""


async def proxy(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    name: str = "proxy",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Forward messages between any two sockets that fit.

    Whole messages are taken from one socket and handed to the other, in order. While a socket has
    no room, nothing more is taken for it, so that its source is held back in turn.

    Args:
        frontend: an open socket.
        backend: another; :func:`check_pairing` says what fits.
        capture: an open PUB, DEALER, PUSH or PAIR, which gets a copy of every message. It is
            never waited for: a copy that it has no room for is counted as missed.
        control: an open REP or PAIR, which takes PAUSE, RESUME, TERMINATE and STATISTICS.
        name: for logs, statistics and monitors.
        task_status: ``nursery.start`` returns the device's handle.

    Returns:
        What became of everything, when it was stopped by its handle or by TERMINATE.

    Raises:
        TypeError: one of the arguments is no socket.
        PairingError: the sockets do not fit.
        RuntimeError: one of them is not open.
        trio.ClosedResourceError: one of them is closed, or was meanwhile.

    Cancelled, it ends at once. What it had taken by then is handed on where there is room; what
    is not is counted and logged, and :attr:`Device.result` tells.
    """
    given = (frontend, backend, capture, control)
    return await _run("proxy", name, given, task_status)


async def queue(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    balance: Balance = "round-robin",
    max_outstanding: int | None = None,
    name: str = "queue",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Share workers among clients: requests from a ROUTER to a DEALER, and the replies back.

    As :func:`proxy`, and besides:

    Args:
        balance: ``"round-robin"`` gives requests to the workers in turn. ``"least-outstanding"``
            gives each to the worker with the fewest that it has not answered, so that slow
            workers are not fed. The backend is an :class:`AddressedDealer` then; the workers are
            the same, and answer each request once. Its ``router_mandatory`` is turned on.
        max_outstanding: with ``"least-outstanding"``, how many requests a worker may have that
            it has not answered; more wait in the frontend. By default 2 for a REP, and the
            backend's ``sndhwm`` for any other.
    """
    if balance not in {"round-robin", "least-outstanding"}:
        raise ValueError(f"balance={balance!r}: expected 'round-robin' or 'least-outstanding'")
    if max_outstanding is not None:
        if balance != "least-outstanding":
            raise ValueError("max_outstanding goes with balance='least-outstanding'")
        if isinstance(max_outstanding, bool) or not isinstance(max_outstanding, int):
            raise TypeError(f"max_outstanding={max_outstanding!r}: expected a number of requests")
        if max_outstanding < 1:
            raise ValueError(f"max_outstanding={max_outstanding}: expected at least 1")
    given = (frontend, backend, capture, control)
    return await _run("queue", name, given, task_status, balance, max_outstanding)


async def forwarder(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    name: str = "forwarder",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Join publishers and subscribers: messages from an XSUB to an XPUB, subscriptions back.

    As :func:`proxy`. Publishers are sent the subscriptions, so that they send what somebody
    behind the device wants, and nothing else.
    """
    given = (frontend, backend, capture, control)
    return await _run("forwarder", name, given, task_status)


async def streamer(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    name: str = "streamer",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Collect and spread work: messages from a PULL to a PUSH.

    As :func:`proxy`.
    """
    given = (frontend, backend, capture, control)
    return await _run("streamer", name, given, task_status)


def socket_types(kind: str, balance: Balance = "round-robin") -> tuple[type[Socket], type[Socket]]:
    """The classes of the frontend and the backend of a queue, forwarder or streamer.

    Raises:
        PairingError: it is none of these; a proxy has no types of its own.
    """
    if kind not in _TYPES:
        raise PairingError(f"{kind!r} has no socket types of its own, but {', '.join(_TYPES)} have")
    frontend, backend = _TYPES[kind]
    return frontend, AddressedDealer if balance == "least-outstanding" else backend


_TYPES: dict[str, tuple[type[Socket], type[Socket]]] = {
    "queue": (Router, Dealer),
    "forwarder": (XSub, XPub),
    "streamer": (Pull, Push),
}

_Given = tuple[Socket, Socket, Socket | None, Socket | None]


async def _run(
    kind: Kind,
    name: str,
    given: _Given,
    task_status: trio.TaskStatus[Device],
    balance: Balance = "round-robin",
    max_outstanding: int | None = None,
) -> DeviceResult:
    ways = _check(kind, given, balance)
    for socket in given:
        if socket is not None:
            await socket.wait_connected(0)  # that is, it is open
    frontend, backend, capture_socket, control = given
    label = name if name == kind else f"{kind} {name}"
    capture = None if capture_socket is None else Capture(capture_socket, label)
    if balance == "least-outstanding":
        engine = _balancing(frontend, backend, capture, label, max_outstanding)
    else:
        engine = _plain(frontend, backend, ways, capture, label)
    device = Device(name, kind, frontend, backend, capture_socket, control, engine)
    others = [] if control is None else [partial(obey, device, _any(control))]
    try:
        await engine.run(lambda: task_status.started(device), *others)
    finally:
        result = engine.result(name, kind)
        if result.unread:
            logger.warning(
                "%s: ended before it had taken all that its sockets have received: %d",
                label,
                result.unread,
            )
        device._has_ended(result)
    assert device.result is not None
    return device.result


def _check(kind: Kind, given: _Given, balance: Balance) -> Ways:
    named = dict(zip(("frontend", "backend", "capture", "control"), given, strict=True))
    sockets = {
        purpose: socket
        for purpose, socket in named.items()
        if socket is not None or purpose in {"frontend", "backend"}
    }
    for purpose, socket in sockets.items():
        if not isinstance(socket, Socket):
            raise TypeError(f"{purpose}: expected an open socket, not {socket!r}")
    seen: dict[int, str] = {}
    for purpose, socket in sockets.items():
        first = seen.setdefault(id(socket), purpose)
        if first != purpose:
            raise PairingError(f"{first} and {purpose} are the same socket: make two")
    frontend, backend, capture, control = given
    ways = check_pairing(frontend.socket_type, backend.socket_type, kind)
    _check_balance(frontend, backend, balance)
    if capture is not None:
        check_helper(capture.socket_type, "capture", CAPTURES)
    if control is not None:
        check_helper(control.socket_type, "control", CONTROLS)
    return ways


def _check_balance(frontend: Socket, backend: Socket, balance: Balance) -> None:
    if isinstance(frontend, AddressedDealer):
        raise PairingError("an AddressedDealer is a backend, not a frontend: use a Dealer there")
    if balance == "least-outstanding":
        if not isinstance(backend, AddressedDealer):
            raise PairingError(
                "a Dealer deals requests to its workers in turn and cannot choose one: with "
                "balance='least-outstanding' the backend is a hypersocket.devices.AddressedDealer, "
                "which the same workers connect to"
            )
    elif isinstance(backend, AddressedDealer):
        raise PairingError(
            "an AddressedDealer is told whom each message is for, which a queue with "
            "balance='least-outstanding' does, and nothing else: use a Dealer"
        )


def _plain(
    frontend: Socket, backend: Socket, ways: Ways, capture: Capture | None, label: str
) -> Engine:
    copy = capture.copy if capture else None
    front, back = _any(frontend), _any(backend)
    to_backend = to_frontend = None
    if ways.to_backend:
        to_backend = Flow(front, back, copy, f"{label}, to the backend")
    if ways.to_frontend:
        to_frontend = Flow(back, front, copy, f"{label}, to the frontend")
    answers = None
    if {frontend.socket_type, backend.socket_type} == {"ROUTER", "DEALER"}:
        answers = to_backend if frontend.socket_type == "DEALER" else to_frontend
    return Engine(frontend, backend, to_backend, to_frontend, answers=answers, capture=capture)


def _balancing(
    frontend: Socket,
    backend: Socket,
    capture: Capture | None,
    label: str,
    max_outstanding: int | None,
) -> Engine:
    assert isinstance(frontend, Router)
    assert isinstance(backend, AddressedDealer)
    backend.router_mandatory = True  # what is for a worker that has just gone is to go to another
    copy = capture.copy if capture else None
    workers = Workers(backend, max_outstanding, label)
    replies = Replies(backend, frontend, copy, f"{label}, to the frontend", workers)
    return Engine(
        frontend,
        backend,
        Requests(frontend, backend, copy, f"{label}, to the backend", workers),
        replies,
        answers=replies,
        capture=capture,
        workers=workers,
    )


def _any(socket: Socket) -> Any:
    """The socket, whose calls are known by its type's name."""
    return socket
