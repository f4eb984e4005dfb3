"""An endpoint that a socket connects to: one pipe, and one connection after another for it."""

from __future__ import annotations

import logging
import math
import socket
from typing import TYPE_CHECKING

import trio

from .. import _events as events
from .._reasons import Reason
from ._backoff import Backoff
from ._contract import Binding, Host
from ._pipe import Pipe
from ._session import Session
from ._traffic import End

if TYPE_CHECKING:
    from ._stream import StreamTransport


class Dialer(Binding):
    """Keeps one endpoint connected. It is the link of its pipe, and hands on to its session."""

    def __init__(self, endpoint: str, transport: StreamTransport, address: str, host: Host) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._address = address
        self._host = host
        self._backoff = Backoff(host.options)
        self._session: Session | None = None
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._over = trio.Event()  # of the present connection
        self._last_end = End(Reason.CLOSED_BY_US)
        self._again = False
        self._pipe = host.open_pipe(endpoint, dialled=True)
        self._pipe.link = self
        host.start_soon(self._run)

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """The one pipe, until it has ended."""
        return () if self._pipe.gone else (self._pipe,)

    # The link

    def outgoing(self) -> None:
        """The pipe has messages to write."""
        if self._session is not None:
            self._session.outgoing()

    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        if self._session is not None:
            self._session.flush()

    def incoming_room(self) -> None:
        """The pipe can take messages again."""
        if self._session is not None:
            self._session.incoming_room()

    def subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the publisher, if there is one now; otherwise the next is told everything."""
        if self._session is not None:
            self._session.subscription(topic, wanted)

    def reset(self, reason: Reason) -> None:
        """End the connection, and make the next without a pause."""
        if self._session is not None and self._session.established:
            self._again = True
            self._session.end(End(reason))

    def close(self, reason: Reason = Reason.CLOSED_BY_US) -> None:
        """End the connection at once, and dial no more."""
        self._scope.cancel()
        self._pipe.finished(reason)

    # Its life

    async def aclose(self, deadline: float) -> None:
        """End the connection, and dial no more."""
        try:
            if self._session is not None and self._session.established:
                self._session.finish(deadline)
                with trio.move_on_at(deadline):
                    await self._ended.wait()
        finally:
            self.close()

    @trio.lowlevel.enable_ki_protection
    async def _run(self) -> None:
        try:
            with self._scope:
                while True:
                    end = await self._connect_once()
                    if self._pipe.closing and self._pipe.flushed:
                        break  # not before: what was sent may still find its peer
                    if self._again:
                        self._again = False
                        continue
                    pause = self._backoff.next()
                    if math.isinf(pause):
                        self._pipe.finished(end.reason, end.detail)
                        return
                    self._tell_retry(end, pause)
                    await trio.sleep(pause)
        finally:
            self._pipe.finished(Reason.CLOSED_BY_US)
            self._ended.set()

    async def _connect_once(self) -> End:
        try:
            with trio.fail_after(self._host.options.connect_timeout or math.inf):
                stream, address = await self._transport.dial(self._address, self._host.options)
        except trio.TooSlowError:
            return End(Reason.CONNECT_TIMEOUT, "the attempt to connect took too long")
        except OSError as error:
            return End(_reason_of(error), str(error))
        except Exception as error:  # noqa: BLE001 - a transport from outside may raise anything
            self._host.log(
                logging.ERROR, "%s: error of the transport", self.endpoint, exc_info=error
            )
            return End(Reason.INTERNAL_ERROR, repr(error))
        self._host.tell(
            lambda: events.Connected(
                time=trio.current_time(), endpoint=self.endpoint, address=address
            )
        )
        session = self._session = Session(
            self._host,
            stream,
            endpoint=self.endpoint,
            address=address,
            pipe=self._pipe,
            on_end=self._session_ended,
        )
        over = self._over = trio.Event()
        try:
            await session.run()
            await over.wait()
        finally:
            session.end(End(Reason.CLOSED_BY_US))  # unless it has ended by itself
        return self._last_end

    def _session_ended(self, session: Session, end: End) -> None:
        self._session = None
        self._last_end = end
        if session.established:
            self._backoff.stood(trio.current_time() - session.established_at)
            self._pipe.interrupted(end.reason, end.detail)
        self._over.set()

    def _tell_retry(self, end: End, pause: float) -> None:
        self._host.log(
            logging.DEBUG,
            "%s: %s; next attempt in %.3f s",
            self.endpoint,
            end.detail or end.reason,
            pause,
        )
        self._host.tell(
            lambda: events.ConnectRetried(
                time=trio.current_time(),
                endpoint=self.endpoint,
                reason=end.reason,
                detail=end.detail,
                retry_in=pause,
            )
        )


def _reason_of(error: OSError) -> Reason:
    if isinstance(error, ConnectionRefusedError):
        return Reason.CONNECTION_REFUSED
    if isinstance(error, socket.gaierror):
        return Reason.NAME_NOT_RESOLVED
    if isinstance(error, TimeoutError):
        return Reason.CONNECT_TIMEOUT
    return Reason.UNREACHABLE
