"""One run of a device or a gateway, from its sockets' opening to what became of its messages."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import trio

from ... import devices
from ..._reasons import DropReason
from ...sockets import Socket
from .. import Device, DeviceResult
from .._handle import REST
from .._watching import watch
from ..amqp_gateway import _watched
from ..amqp_gateway._gateway import AmqpGateway
from ..amqp_gateway._stats import GatewayResult
from ._spec import DeviceSpec, GatewaySpec, Member

Handle: TypeAlias = Device | AmqpGateway
Result: TypeAlias = DeviceResult | GatewayResult

_OPENED_IN_ORDER = ("monitor", "control", "capture", "backend", "frontend")
"""The frontend last, so that nobody is let in before there is a way on."""


def lost(result: Result) -> str:
    """What to say of what was lost; empty where that was said."""
    if isinstance(result, GatewayResult):
        return ""  # the gateway tells it by route
    return (
        f"of the messages that it had, {result.undelivered} could not be delivered,"
        f" {result.unread} were received and not read, {result.unwritten} sent and not written"
    )


class DeviceAttempt:
    """One run of a device.

    Args:
        spec: which.

    Attributes:
        handle: what runs; from the start on.
        opened: its open sockets by name; likewise.
        result: what became of everything, when :meth:`run` has returned.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        self._spec = spec
        self.handle: Device | None = None
        self.opened: dict[str, Any] = {}
        self.result: DeviceResult | None = None

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until stopped; started when everything is open. Cancelled, ends at once."""
        specs = self._spec.sockets()
        async with AsyncExitStack() as stack:
            for side in _OPENED_IN_ORDER:
                if side in specs:
                    short = {"linger": REST} if side in {"capture", "monitor"} else {}
                    one = specs[side].make(at_endpoints=False, **{**short, **specs[side].options})
                    self.opened[side] = await stack.enter_async_context(one)
            for side, one in self.opened.items():
                for endpoint in specs[side].bind:
                    await one.bind(endpoint)
                for endpoint in specs[side].connect:
                    await one.connect(endpoint)
            async with trio.open_nursery() as nursery:
                run_device = partial(self._run_device, nursery.cancel_scope)
                device: Device = await nursery.start(run_device)
                self.handle = device
                if "monitor" in self.opened:
                    await nursery.start(self._watch, device)
                task_status.started()
            if device.result is not None and device.result.unwritten:  # linger is over
                for side in ("frontend", "backend"):
                    self.opened[side].linger = min(self.opened[side].linger, REST)
        self.result = self._result_of(device)

    def _result_of(self, handle: Device) -> DeviceResult | None:
        """What became of everything, now that the sockets are closed."""
        if handle.result is None:
            return None
        unwritten = 0
        for side in ("frontend", "backend"):
            stats = self.opened[side].stats()
            unwritten += stats.queued_out + stats.drops.get(DropReason.LINGER, 0)
        return replace(handle.result, unwritten=unwritten)

    async def _run_device(
        self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[Device]
    ) -> None:
        spec = self._spec
        more = {"balance": spec.balance} if spec.kind == "queue" else {}
        await getattr(devices, spec.kind)(
            self.opened["frontend"],
            self.opened["backend"],
            capture=self.opened.get("capture"),
            control=self.opened.get("control"),
            name=spec.name,
            task_status=task_status,
            **more,
        )
        scope.cancel()

    async def _watch(self, device: Device, *, task_status: trio.TaskStatus[None]) -> None:
        await watch(
            self.opened["monitor"],
            self._spec.name,
            {side: one for side, one in self.opened.items() if side != "monitor"},
            device,
            self._spec.monitor_interval,
            task_status=task_status,
        )


class GatewayAttempt:
    """One run of a gateway; as :class:`DeviceAttempt`.

    Args:
        spec: which.
    """

    def __init__(self, spec: GatewaySpec) -> None:
        self._spec = spec
        self.handle: AmqpGateway | None = None
        self.opened: Mapping[str, Socket] = {}
        self.result: GatewayResult | None = None

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until stopped; started when everything is open. Cancelled, ends at once."""
        config = self._spec.config
        gateway = self.handle = AmqpGateway(config.spec)
        async with trio.open_nursery() as nursery:

            async def carry(task_status: trio.TaskStatus[dict[str, Socket]]) -> None:
                self.result = await _watched.run(
                    gateway, config, name=self._spec.name, task_status=task_status
                )

            self.opened = await nursery.start(carry)
            task_status.started()


Attempt: TypeAlias = DeviceAttempt | GatewayAttempt


def attempt_of(spec: Member) -> Attempt:
    """What runs a device, or a gateway."""
    return DeviceAttempt(spec) if isinstance(spec, DeviceSpec) else GatewayAttempt(spec)
