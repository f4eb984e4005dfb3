"""One device or gateway of a running topology: started, looked after, stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import trio

from ..._errors import HypersocketError
from ...amqp import AmqpError
from ...sockets import Socket
from ._attempt import Handle, Result, attempt_of, lost
from ._restarts import Pauses
from ._spec import Member

logger = logging.getLogger("hypersocket")

ChildState: TypeAlias = Literal["starting", "running", "waiting", "stopping", "stopped", "failed"]


_EXPECTED = (HypersocketError, AmqpError, OSError)


class DeviceFailed(HypersocketError):
    """A device could not be started, or failed and is not to be restarted.

    Attributes:
        name: the device.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStatus:
    """What has become of a device.

    Attributes:
        name: the device.
        state: ``"starting"``, ``"running"``, ``"waiting"`` for the next start after a failure,
            ``"stopping"``, ``"stopped"`` or ``"failed"``.
        restarts: how often it was started again after a failure.
        error: the last failure, in words; empty if there was none.
        retry_in: while waiting, the pause before the next start, in seconds; otherwise 0.
    """

    name: str
    state: ChildState
    restarts: int
    error: str
    retry_in: float


class Child:
    """Keeps one device running.

    Args:
        spec: what it is.
        changed: called when its state has changed.

    Attributes:
        spec: what it is; another may be put in its place as long as the two run alike.
        handle: the running device, or the last that ran.
        result: what became of its messages, once it has stopped.
        failure: why it has failed for good.
        opened: its open sockets by their keys, or the last.
    """

    def __init__(self, spec: Member, changed: Callable[[], object]) -> None:
        self.spec = spec
        self.handle: Handle | None = None
        self.result: Result | None = None
        self.failure: DeviceFailed | None = None
        self.opened: Mapping[str, Socket] = {}
        self._changed = changed
        self._state: ChildState = "starting"
        self._restarts = 0
        self._error = ""
        self._retry_in = 0.0
        self._stop_asked = False
        self._not_running = trio.CancelScope()  # around what a stop need not wait for
        self._ended = trio.Event()
        self._tell_started: Callable[[], None] | None = None

    @property
    def status(self) -> ChildStatus:
        """A snapshot."""
        return ChildStatus(
            name=self.spec.name,
            state=self._state,
            restarts=self._restarts,
            error=self._error,
            retry_in=self._retry_in,
        )

    def stop_soon(self) -> None:
        """Begin a graceful stop."""
        self._stop_asked = True
        if self._state == "running" and self.handle is not None:
            self.handle.stop_soon()
            self._enter("stopping")
        elif self._state in {"starting", "waiting"}:
            self._not_running.cancel()

    def _is_to_stop(self) -> bool:
        return self._stop_asked

    async def wait_ended(self) -> None:
        """Wait until it has stopped, or failed for good."""
        await self._ended.wait()

    async def run(
        self,
        first_must_succeed: bool,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until stopped, terminated or failed for good; reports by the attributes alone.

        Args:
            first_must_succeed: whether a first start that fails is a failure for good, whatever
                ``restart`` says.
            task_status: told when the first start has succeeded or failed.
        """
        pauses = Pauses()
        self._tell_started = task_status.started
        try:
            while not self._is_to_stop():
                started_at = trio.current_time()
                try:
                    await self._run_once()
                    break
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                    was_running = self._state in {"running", "stopping"}
                    pauses.ran(trio.current_time() - started_at if was_running else 0.0)
                    self._error = describe(error)
                    unexpected = None if _is_expected(error) else error
                    if was_running:
                        self._tell_lost()
                    first = self._tell_started is not None
                    if self.spec.restart == "never" or (first and first_must_succeed):
                        self._fail(unexpected)
                        return
                    if self._is_to_stop():
                        name = self.spec.name
                        logger.warning("%s: failed while it was stopped: %s", name, self._error)
                        return
                    await self._wait_for_restart(pauses, unexpected)
            self._enter("stopped")
            if self.result is not None and not self._tell_lost():
                logger.info("%s: stopped, with nothing left undelivered", self.spec.name)
        finally:
            if self._state not in {"stopped", "failed"}:
                self._enter("stopped")
            self._ended.set()
            self._announce()

    def _announce(self) -> None:
        """The first start has succeeded, or failed."""
        if self._tell_started is not None:
            self._tell_started()
            self._tell_started = None

    async def _run_once(self) -> None:
        self._enter("starting")
        attempt = attempt_of(self.spec)
        async with trio.open_nursery() as nursery:
            self._not_running = trio.CancelScope()
            if self._is_to_stop():
                return
            with self._not_running:
                await nursery.start(attempt.run)
            if self._not_running.cancelled_caught:
                return
            self.result = None
            self.handle, self.opened = attempt.handle, attempt.opened
            self._enter("running")
            self._tell_running(attempt.opened)
            self._announce()
            if self._is_to_stop():
                self.stop_soon()
        self.result = attempt.result

    async def _wait_for_restart(self, pauses: Pauses, unexpected: Exception | None) -> None:
        self._retry_in = pauses.next(self.spec.restart_ivl, self.spec.restart_ivl_max)
        logger.warning(
            "%s: failed: %s; starts again in %.2f s",
            self.spec.name,
            self._error,
            self._retry_in,
            exc_info=unexpected,
        )
        self._not_running = trio.CancelScope()
        self._enter("waiting")
        self._announce()
        with self._not_running:
            await trio.sleep(self._retry_in)
        self._retry_in = 0.0
        self._restarts += 1

    def _fail(self, unexpected: Exception | None) -> None:
        self.failure = DeviceFailed(self.spec.name, f"{self.spec.name}: {self._error}")
        # What was to be expected is told by the exception that ends the run.
        level = logging.INFO if unexpected is None else logging.ERROR
        logger.log(level, "%s: failed: %s", self.spec.name, self._error, exc_info=unexpected)
        self._enter("failed")

    def _enter(self, state: ChildState) -> None:
        self._state = state
        self._changed()

    def _tell_running(self, sockets: Mapping[str, Socket]) -> None:
        bound = (
            f"{side} at {', '.join(one.endpoints)}"
            for side, one in sockets.items()
            if one.endpoints
        )
        logger.info("%s: the %s runs: %s", self.spec.name, self.spec.kind, "; ".join(bound))

    def _tell_lost(self) -> bool:
        """Log what could not be delivered; returns whether there was any."""
        result = self.result or (self.handle.result if self.handle is not None else None)
        if result is None or result.complete:
            return False
        text = lost(result)
        if text:
            logger.warning("%s: %s", self.spec.name, text)
        return True


def describe(error: BaseException) -> str:
    """What happened, on one line, without the groups that nurseries make."""
    error = next(_causes(error))
    text = str(error) or type(error).__name__
    if not isinstance(error, _EXPECTED):
        text = f"{type(error).__name__}: {text}"
    return text.replace("\n", " ")


def _is_expected(error: BaseException) -> bool:
    """Whether an error says all there is to say, so that a traceback would only be in the way."""
    return all(isinstance(cause, _EXPECTED) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _causes(inner)
    else:
        yield error
