"""Running a topology: devices are started, looked after, changed while they run, and stopped."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import ExitStack
from functools import partial

import trio

from ..._errors import HypersocketError
from .._files._problems import Problem
from ._attachments import Metrics
from ._attempt import Result
from ._child import Child, ChildState, ChildStatus, DeviceFailed
from ._errors import TopologyError
from ._load import load
from ._order import stop_order
from ._service import load_from
from ._spec import Member, Topology

logger = logging.getLogger("hypersocket")

ENDING = (signal.SIGINT, signal.SIGTERM)


async def run(
    topology: Topology,
    *,
    only: Collection[str] = (),
    metrics: str | None = None,
    signals: bool = True,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> dict[str, Result | None]:
    """Run the devices and gateways of a topology until they are stopped.

    SIGINT and SIGTERM stop it gracefully: nothing more is taken in, what was accepted is handed on
    and written within ``linger``, and what could not be delivered is logged. A second one stops
    it at once. SIGHUP reads the topology again, and changes what has changed.

    Args:
        topology: as :func:`load` or :func:`load_from` has it.
        only: names of devices and of parts; all for none.
        metrics: ``"host:port"`` to serve the counters of all devices at, as OpenMetrics.
        signals: whether to listen for signals, which works in the main thread alone.
        task_status: given a :class:`Running` when every device has been started.

    Returns:
        What became of the messages of each device, by name; None for one that did not run.

    Raises:
        TopologyError: ``only`` names what is not there.
        DeviceFailed: a device could not be started, or failed with ``restart = "never"``. The
            others have been stopped gracefully.

    Cancelled, everything is closed at once.
    """
    running = Running(topology, only, metrics)
    try:
        async with trio.open_nursery() as nursery:
            running.nursery = nursery
            with ExitStack() as stack:
                if signals:
                    wanted = {*ENDING, getattr(signal, "SIGHUP", signal.SIGTERM)}
                    received = stack.enter_context(trio.open_signal_receiver(*wanted))
                    nursery.start_soon(running.obey, received)
                await running.start()
                if running.failure is None:
                    task_status.started(running)
                await running.wait_ended()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    if running.failure is not None:
        raise running.failure
    return {name: running.results.get(name) for name in running.status()}


class Running:
    """A topology that runs, for the program that runs it.

    Attributes:
        failure: the device that has failed for good, and why; None if none has.
        results: what became of the messages of the devices that have stopped, by name.
        interrupted: whether a second signal ended it at once.
    """

    def __init__(self, topology: Topology, only: Collection[str], metrics: str | None) -> None:
        self.nursery: trio.Nursery
        self.failure: DeviceFailed | None = None
        self.results: dict[str, Result | None] = {}
        self.interrupted = False
        self._topology = topology
        self._only = tuple(only)
        self._selected: dict[str, Member] = topology.select(self._only)
        self._children: dict[str, Child] = {}
        self._metrics = Metrics(metrics, self._children)
        self._changing = trio.Lock()
        self._reading = trio.CancelScope()
        self._stop_asked = trio.Event()
        self._all_ended = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()

    # What a program may ask

    @property
    def topology(self) -> Topology:
        """What runs, as it was read last."""
        return self._topology

    @property
    def children(self) -> Mapping[str, Child]:
        """The devices by name."""
        return self._children

    def status(self) -> dict[str, ChildStatus]:
        """How each device is, by name."""
        return {name: child.status for name, child in self._children.items()}

    @property
    def metrics_urls(self) -> tuple[str, ...]:
        """Where metrics are served now."""
        return self._metrics.urls

    async def wait_state(self, name: str, *states: ChildState) -> ChildStatus:
        """Wait until a device is in one of these states.

        Raises:
            KeyError: there is no such device.
        """
        while self._children[name].status.state not in states:
            await self._changed.park()
        return self._children[name].status

    def stop_soon(self) -> None:
        """Begin a graceful stop of everything; :func:`run` returns when it is done."""
        self._stop_asked.set()
        self._reading.cancel()

    async def reload(self, topology: Topology | None = None) -> list[str]:
        """Change what runs to another topology, or to this one as it reads now.

        Devices that are the same in both are left alone, with their connections. A cancelled call
        may have stopped or started some of the others.

        Args:
            topology: None to read again from where the running one came from.

        Returns:
            What was done, in words.

        Raises:
            TopologyError: the new one is wrong; the old one runs on.
        """
        async with self._changing:
            new = topology
            if new is None and not self._stop_asked.is_set():
                # A configuration service may take its time; whoever stops all need not wait for it.
                with trio.CancelScope() as self._reading:
                    new = await self._read_again()
            if new is None or self._stop_asked.is_set():
                return ["everything is being stopped"]
            selected = new.select(self._only)
            gone = [name for name in self._selected if name not in selected]
            changed = [
                name
                for name, spec in selected.items()
                if name in self._selected and not self._selected[name].runs_as(spec)
            ]
            await self._stop_in_order([*gone, *changed])
            for name in gone:
                self._children.pop(name, None)
            self._topology, self._selected = new, selected
            added = [name for name in selected if name not in self._children]
            for name, spec in selected.items():
                if name in self._children and name not in changed:
                    self._children[name].spec = spec
            for name in [*changed, *added]:
                if self._stop_asked.is_set():
                    return ["everything is being stopped"]
                await self._start(selected[name], first_must_succeed=False)
            try:
                await self._metrics.update(selected.values())
            except (HypersocketError, OSError, ImportError) as error:
                logger.error("metrics are not served: %s", error)  # noqa: TRY400 - says it all
        self._end_if_none_left()
        return [
            *(f"{name} was stopped" for name in gone),
            *(f"{name} was stopped and started anew" for name in changed),
            *(f"{name} was started" for name in added),
        ] or ["nothing has changed"]

    # For run()

    async def start(self) -> None:
        """Start every device, and stop everything again if one cannot be."""
        self.nursery.start_soon(self._stop_when_asked)
        self._metrics.nursery = self.nursery
        async with self._changing:
            await self._metrics.update(self._selected.values())  # before anybody is let in
            for spec in self._selected.values():
                if self._stop_asked.is_set():
                    break
                await self._start(spec, first_must_succeed=True)
        self._end_if_none_left()

    async def wait_ended(self) -> None:
        """Wait until every device has stopped, or all were stopped."""
        await self._all_ended.wait()

    async def obey(self, received: AsyncIterator[int]) -> None:
        """Do what signals say."""
        async for number in received:
            if number not in ENDING:
                self.nursery.start_soon(self._reload_and_tell)
            elif self._stop_asked.is_set():
                logger.warning("interrupted twice: what was still to be handed on is dropped")
                self.interrupted = True
                self._all_ended.set()
            else:
                logger.info("%s: stopping", signal.Signals(number).name)
                self.stop_soon()

    async def _reload_and_tell(self) -> None:
        try:
            done = await self.reload()
        except TopologyError as error:
            logger.error(  # noqa: TRY400 - the error says all there is to say
                "the topology was read again and is wrong, so that the old one runs on:\n%s", error
            )
        except Exception:
            # Whatever it is, what runs is not to die of it.
            logger.exception("the topology could not be read again; what runs, runs on")
        else:
            logger.info("%s was read again: %s", self._topology.file, "; ".join(done))

    async def _read_again(self) -> Topology:
        source = self._topology.source
        if source is None:
            text = "it was not read from a file or a service, so it cannot be read again"
            raise TopologyError([Problem(self._topology.file, "", None, text)])
        if source.name is None:
            return load(source.path, variables=source.variables, environ=source.environ)
        return await load_from(
            source.path,
            source.name,
            variables=source.variables,
            environ=source.environ,
            timeout=source.timeout,
        )

    async def _start(self, spec: Member, *, first_must_succeed: bool) -> None:
        child = self._children[spec.name] = Child(spec, self._changed.unpark_all)
        await self.nursery.start(partial(self._keep, child, first_must_succeed))

    async def _keep(
        self, child: Child, first_must_succeed: bool, *, task_status: trio.TaskStatus[None]
    ) -> None:
        await child.run(first_must_succeed, task_status=task_status)
        name = child.spec.name
        self.results[name] = child.result
        if child.failure is not None and self.failure is None:
            self.failure = child.failure
            self.stop_soon()
        if not self._changing.locked():
            self._end_if_none_left()

    def _end_if_none_left(self) -> None:
        states = {child.status.state for child in self._children.values()}
        if states <= {"stopped", "failed"}:
            self._all_ended.set()

    async def _stop_when_asked(self) -> None:
        await self._stop_asked.wait()
        await self._stop_in_order(list(self._children))
        async with self._changing:
            await self._stop_in_order(list(self._children))
        self._all_ended.set()

    async def _stop_in_order(self, names: list[str]) -> None:
        for group in stop_order(self._topology, names):
            ending = [self._children[name] for name in group if name in self._children]
            for child in ending:
                child.stop_soon()
            for child in ending:
                await child.wait_ended()
