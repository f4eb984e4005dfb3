"""An endpoint that a socket is bound to: whoever comes is served.

Handshakes run in tasks of their own, with a deadline and a bound on their number, so that a peer
that stays silent delays nobody (compare CVE-2020-15166).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from .. import _events as events
from .._reasons import Reason
from .._signal import Signal
from ._contract import Binding, Host
from ._pipe import Pipe
from ._session import Session
from ._traffic import End

if TYPE_CHECKING:
    from ._stream import StreamListener

PATIENCE = 1.0
"""Seconds that a handshake has at least, even when there are too many at once."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds to wait after the system could not accept, for want of descriptors for instance."""


class Acceptor(Binding):
    """Accepts the streams of one listener, and has a session for each."""

    def __init__(self, endpoint: str, listener: StreamListener, host: Host) -> None:
        self.endpoint = endpoint
        self._listener = listener
        self._host = host
        self._scope = trio.CancelScope()
        self._sessions: dict[Session, trio.Event] = {}
        self._shaking_hands: dict[Session, float] = {}  # since when; oldest first
        self._handshake_ended = Signal()
        host.start_soon(self._accept_all)

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """A pipe for each peer that has shaken hands."""
        return tuple(session.pipe for session in self._sessions if session.pipe is not None)

    async def aclose(self, deadline: float) -> None:
        """Stop listening, and end the connections once the peers have what was written."""
        self._scope.cancel()
        try:
            self._listener.close()
            for session in tuple(self._sessions):
                session.finish(deadline)
            for ended in tuple(self._sessions.values()):
                await ended.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening, and end the connections at once."""
        self._scope.cancel()
        self._listener.close()
        for session in tuple(self._sessions):
            session.close(Reason.CLOSED_BY_US)

    @trio.lowlevel.enable_ki_protection
    async def _accept_all(self) -> None:
        pause = FIRST_PAUSE
        try:
            with self._scope:
                while True:
                    try:
                        stream, address = await self._listener.accept()
                    except OSError as error:
                        self._tell_failure(error, pause)
                        await trio.sleep(pause)
                        pause = min(2 * pause, LONGEST_PAUSE)
                        continue
                    except trio.ClosedResourceError:
                        return
                    pause = FIRST_PAUSE
                    try:
                        await trio.lowlevel.checkpoint_if_cancelled()
                        await self._keep_bound()
                    except BaseException:
                        await trio.aclose_forcefully(stream)
                        raise
                    self._begin(stream, address)
        finally:
            self._listener.close()

    async def _keep_bound(self) -> None:
        """Make room for one more handshake, at the cost of the one that is silent longest."""
        while len(self._shaking_hands) >= self._host.options.max_handshakes:
            oldest, since = next(iter(self._shaking_hands.items()))
            patience = since + PATIENCE
            if patience > trio.current_time():
                with trio.move_on_at(patience):
                    await self._handshake_ended.wait()
            else:
                self._forget_handshake(oldest)
                oldest.end(End(Reason.TOO_MANY_HANDSHAKES, "made room for other connections"))

    def _begin(self, stream: trio.abc.Stream, address: str) -> None:
        self._host.tell(
            lambda: events.Accepted(
                time=trio.current_time(), endpoint=self.endpoint, address=address
            )
        )
        session = Session(
            self._host,
            stream,
            endpoint=self.endpoint,
            address=address,
            on_established=self._forget_handshake,
            on_end=self._ended,
        )
        self._sessions[session] = trio.Event()
        self._shaking_hands[session] = trio.current_time()
        self._host.start_soon(session.run)

    def _ended(self, session: Session, end: End) -> None:
        self._forget_handshake(session)
        if session.pipe is not None:
            session.pipe.finished(end.reason, end.detail)
        ended = self._sessions.pop(session, None)
        if ended is not None:
            ended.set()

    def _forget_handshake(self, session: Session) -> None:
        if self._shaking_hands.pop(session, None) is not None:
            self._handshake_ended.set()

    def _tell_failure(self, error: OSError, pause: float) -> None:
        self._host.log(
            logging.WARNING,
            "%s: cannot accept: %s; next attempt in %.2f s",
            self.endpoint,
            error,
            pause,
        )
        self._host.tell(
            lambda: events.AcceptFailed(
                time=trio.current_time(), endpoint=self.endpoint, error=str(error), retry_in=pause
            )
        )
