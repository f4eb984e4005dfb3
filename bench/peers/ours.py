"""hypersocket, by its public interface alone; one peer for each form of its core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import trio

import hypersocket as hs
from hypersocket.devices import amqp_gateway

from .. import amqp
from ..contract import Handle
from ..job import Job
from ..speak import say
from ._python import PythonPeer

SWITCH = "HYPERSOCKET_PURE"


class Ours(PythonPeer):
    """``import hypersocket``, with the core that ``form`` names."""

    distribution = "hypersocket"
    module = "hypersocket"
    batches = True

    def __init__(self, form: str) -> None:
        self.form = form
        self.name = f"hypersocket-{form}"
        self.title = f"hypersocket ({form})"

    def missing(self) -> str | None:
        found = _form_with(self.environment().get(SWITCH, ""))
        return None if found == self.form else f"the {self.form} core is not built here"

    def version(self) -> str:
        return hs.__version__

    def environment(self) -> dict[str, str]:
        return {SWITCH: "1" if self.form == "pure" else ""}

    def run(self, role: Callable[..., Awaitable[None]], *args: Any) -> None:
        trio.run(role, *args)

    def open(
        self,
        pattern: str,
        *,
        bind: str = "",
        connect: str = "",
        hwm: int | None = None,
        subscribe: bytes | None = None,
    ) -> AbstractAsyncContextManager[Handle]:
        options: dict[str, Any] = {}
        if hwm is not None:
            for option in ("sndhwm", "rcvhwm"):
                if hasattr(_TYPES[pattern], option):
                    options[option] = hwm
        if subscribe is not None:
            options["subscribe"] = subscribe
        socket: AbstractAsyncContextManager[Handle] = _TYPES[pattern](
            bind=bind or (), connect=connect or (), **options
        )
        return socket

    def endpoint(self, handle: Handle) -> str:
        return str(handle.endpoints[0])

    async def forward(self, kind: str, frontend: Handle, backend: Handle) -> None:
        await getattr(hs.devices, kind)(frontend, backend)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def together(self, *calls: Callable[[], Awaitable[None]]) -> None:
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(call)

    async def in_thread(self, call: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(call, abandon_on_cancel=True)

    async def gateway(self, role: str, job: Job) -> None:
        """Be an AMQP gateway with one route, until the process is ended."""
        gateway = amqp_gateway.AmqpGateway(_spec(role, job))
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.run)
            bound = gateway.sockets["route"].endpoints  # none where it connects, as `in` does
            say("ready", endpoint=bound[0] if bound else "")


def _spec(role: str, job: Job) -> Any:
    where = urlsplit(job.broker)
    vhost = where.path[1:]
    old = role != "gateway_in_10"
    address = amqp_gateway.BrokerAddress(
        host=where.hostname or "",
        port=where.port or 0,
        vhost=vhost if old else f"vhost:{vhost}",
        username=where.username or "",
        password=where.password or "",
    )
    bound, route = (job.endpoint,), amqp_gateway.RouteSpec
    socket = amqp_gateway.RouteSocket

    def out(*, durable: bool, marked: bool) -> Any:
        pull = socket(type="PULL", bind=bound)
        return route(
            name="route",
            kind="out",
            socket=pull,
            queue=amqp.TARGET,
            durable=durable,
            hop_header=marked,
        )

    routes: dict[str, Callable[[], Any]] = {
        "gateway_out": lambda: out(durable=False, marked=False),
        "gateway_out_persistent": lambda: out(durable=True, marked=False),
        "gateway_out_marked": lambda: out(durable=False, marked=True),
        "gateway_in": lambda: route(
            name="route",
            kind="in",
            socket=socket(type="PUSH", connect=bound),
            queue=amqp.SOURCE,
            prefetch=amqp.PREFETCH,
        ),
        "gateway_in_10": lambda: route(
            name="route",
            kind="in",
            socket=socket(type="PUSH", connect=bound),
            address=f"/amq/queue/{amqp.SOURCE}",
            prefetch=amqp.PREFETCH,
        ),
        "gateway_call": lambda: route(
            name="route",
            kind="call",
            socket=socket(type="ROUTER", bind=bound),
            routing_key=amqp.SOURCE,
        ),
    }
    return amqp_gateway.GatewaySpec(
        name="bench",
        broker=amqp_gateway.BrokerSpec(protocol="0-9-1" if old else "1.0", addresses=(address,)),
        routes=(routes[role](),),
    )


_TYPES: dict[str, Any] = {
    "PUSH": hs.Push,
    "PULL": hs.Pull,
    "REQ": hs.Req,
    "REP": hs.Rep,
    "PUB": hs.Pub,
    "SUB": hs.Sub,
    "ROUTER": hs.Router,
    "DEALER": hs.Dealer,
}


@cache
def _form_with(switch: str) -> str:
    """Which core a process of ours has, with this value of the switch."""
    if os.environ.get(SWITCH, "") == switch:
        return hs.speedups
    done = subprocess.run(
        [sys.executable, "-c", "import hypersocket; print(hypersocket.speedups)"],
        env={**os.environ, SWITCH: switch},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip()[-200:]
