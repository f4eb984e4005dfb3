"""The sessions of one connection that are ours: what each is for, and when it may begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._proton import constants, lib

if TYPE_CHECKING:
    from ._links import Link


class Sessions:
    """Begins sessions, none before the peer has answered the end of those before it.

    Proton gives a new session the number of one that this side has ended, though the peer may not
    have yet. That is allowed (2.5.5); but RabbitMQ 4 takes what is said in the new one for the old
    one's, and drops it without a word.

    Attributes:
        links: what each session is for; None for the one that only tries the connection.
    """

    def __init__(self) -> None:
        self.links: dict[Any, Link | None] = {}
        self._ending: set[Any] = set()
        self._waiting: dict[Any, Link] = {}

    def begin(self, session: Any, link: Link) -> None:
        """Have a link begin its session, now or when it may."""
        self.links[session] = link
        if self._ending:
            self._waiting[session] = link
        else:
            link.begin()

    def begin_anyway(self) -> None:
        """Wait for ends no longer, since the peer owes them for too long, and perhaps for ever."""
        self._ending.clear()
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for link in waiting.values():
            link.begin()

    def try_one(self, session: Any) -> None:
        """Begin one for no link, to see whether it is refused."""
        self.links[session] = None
        lib.pn_session_open(session)

    def end(self, session: Any) -> None:
        """End one, or answer the peer's end of it. The peer hears nothing of one not yet begun."""
        if self._waiting.pop(session, None) is not None:
            del self.links[session]
            lib.pn_session_free(session)
            return
        if not lib.pn_session_state(session) & constants.PN_REMOTE_CLOSED:
            self._ending.add(session)
        lib.pn_session_close(session)

    def ended(self, session: Any) -> None:
        """The peer has ended it, or answered the end."""
        self._ending.discard(session)
        if not self._ending:
            self._begin_waiting()
