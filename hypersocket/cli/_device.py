"""A device in a process of its own: what ``queue``, ``forwarder`` and ``streamer`` do."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import trio

from .. import (
    Dealer,
    DropReason,
    Pub,
    Pull,
    Push,
    Rep,
    Router,
    Socket,
    XPub,
    XSub,
    devices,
)
from ..devices._handle import REST
from ..devices._watching import watch
from ._outcome import SUCCEEDED, Failed, messages, say
from ._signals import Stop

SocketT = TypeVar("SocketT", bound=Socket)

Balance: TypeAlias = Literal["round-robin", "least-outstanding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a device.

    Attributes:
        bind: where to listen.
        connect: what to connect to.
        options: of the socket.
    """

    bind: tuple[str, ...]
    connect: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line asks for.

    Attributes:
        kind: ``"queue"``, ``"forwarder"`` or ``"streamer"``.
        name: for the monitor and the metrics.
        balance: of a queue.
        capture: where to publish a copy of every message.
        control: where to listen for commands.
        monitor: where to publish events and statistics.
        metrics: the host and port to serve metrics at.
        interval: seconds between two statistics of the monitor.
        max_outstanding: of a queue, how many requests a worker may have; None for what suits it.
    """

    kind: str
    name: str
    frontend: Side
    backend: Side
    balance: Balance = "round-robin"
    capture: str | None = None
    control: str | None = None
    monitor: str | None = None
    metrics: str | None = None
    interval: float = 1.0
    max_outstanding: int | None = None


def socket_types(kind: str, balance: Balance) -> tuple[type[Socket], type[Socket]]:
    """What a device has at its frontend and at its backend."""
    if kind == "queue":
        return Router, devices.AddressedDealer if balance == "least-outstanding" else Dealer
    return (XSub, XPub) if kind == "forwarder" else (Pull, Push)


async def run(settings: Settings, stop: Stop) -> int:
    """Run the device until it is asked to end, by a signal or by its control socket."""
    front_type, back_type = socket_types(settings.kind, settings.balance)
    front = front_type(**settings.frontend.options)
    back = back_type(**settings.backend.options)
    async with AsyncExitStack() as stack:
        sockets: dict[str, Socket] = {"frontend": front, "backend": back}
        # Those who listen in are left last, so that they are told of the end.
        xpub = XPub(xpub_verbose=True, linger=REST)
        monitor = await _open(stack, "monitor", xpub, settings.monitor)
        capture = await _open(stack, "capture", Pub(linger=REST), settings.capture)
        control = await _open(stack, "control", Rep(), settings.control)
        await stack.enter_async_context(back)
        await stack.enter_async_context(front)
        helpers = {"capture": capture, "control": control}
        sockets |= {name: socket for name, socket in helpers.items() if socket is not None}
        device = await _serve(settings, sockets, monitor, stop)
        if device.result is not None and device.result.unwritten:  # linger is over
            for socket in (front, back):
                socket.linger = min(socket.linger, REST)
    _tell_undelivered(device, front, back)
    return SUCCEEDED


async def _serve(
    settings: Settings, sockets: dict[str, Socket], monitor: XPub | None, stop: Stop
) -> devices.Device:
    async with trio.open_nursery() as helpers:
        async with trio.open_nursery() as nursery:
            device: devices.Device = await nursery.start(_run_device, settings, sockets)
            await _start_helpers(helpers, settings, sockets, monitor, device)
            # Nobody is let in before all else has succeeded; the frontend last, so that there is
            # a way on.
            await _join("backend", sockets["backend"], settings.backend)
            await _join("frontend", sockets["frontend"], settings.frontend)
            helpers.start_soon(_stop_when_asked, device, stop)
        helpers.cancel_scope.cancel()
    return device


async def _run_device(
    settings: Settings,
    sockets: dict[str, Socket],
    *,
    task_status: trio.TaskStatus[devices.Device] = trio.TASK_STATUS_IGNORED,
) -> None:
    front, back = sockets["frontend"], sockets["backend"]
    common: dict[str, Any] = {
        "capture": sockets.get("capture"),
        "control": sockets.get("control"),
        "name": settings.name,
        "task_status": task_status,
    }
    if settings.kind == "queue":
        common |= {"balance": settings.balance, "max_outstanding": settings.max_outstanding}
        await devices.queue(front, back, **common)
    elif settings.kind == "forwarder":
        await devices.forwarder(front, back, **common)
    else:
        await devices.streamer(front, back, **common)


async def _start_helpers(
    nursery: trio.Nursery,
    settings: Settings,
    sockets: dict[str, Socket],
    monitor: XPub | None,
    device: devices.Device,
) -> None:
    if monitor is None and settings.metrics is None:
        return
    from .. import management

    if monitor is not None:
        await nursery.start(watch, monitor, settings.name, sockets, device, settings.interval)
    if settings.metrics is not None:
        sources = [management.Source(settings.name, sockets, device)]
        try:
            server: management.MetricsServer = await nursery.start(
                management.serve_metrics, settings.metrics, sources
            )
        except ModuleNotFoundError as error:
            raise Failed(str(error)) from error
        for url in server.urls:
            _tell("metrics", url)


async def _stop_when_asked(device: devices.Device, stop: Stop) -> None:
    await stop.requested.wait()
    device.stop_soon()


async def _open(
    stack: AsyncExitStack, name: str, socket: SocketT, endpoint: str | None
) -> SocketT | None:
    if endpoint is None:
        return None
    await stack.enter_async_context(socket)
    _tell(name, await socket.bind(endpoint))
    return socket


async def _join(name: str, socket: Socket, side: Side) -> None:
    for endpoint in side.bind:
        _tell(name, await socket.bind(endpoint))
    for endpoint in side.connect:
        await socket.connect(endpoint)


def _tell(name: str, endpoint: str) -> None:
    say(f"{name} listening at {endpoint}")


def _tell_undelivered(device: devices.Device, front: Socket, back: Socket) -> None:
    """What was accepted, and could not be handed on, now that the sockets are closed."""
    result = device.result
    if result is None:
        return
    unwritten = 0
    for socket in (front, back):
        stats = socket.stats()
        unwritten += stats.queued_out + stats.drops.get(DropReason.LINGER, 0)
    parts = {
        "taken and not handed on": result.undelivered,
        "received and not taken": result.unread,
        "not written before linger expired": unwritten,
    }
    lost = sum(parts.values())
    if lost:
        said = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
        say(f"{device.name}: {messages(lost)} could not be delivered: {said}")
