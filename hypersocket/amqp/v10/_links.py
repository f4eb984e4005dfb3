"""The two ends of a link, each in a session of its own.

RabbitMQ answers a refused attach by ending the session, so a session has one link, and whatever
ends it ends nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._types import (
    AmqpError,
    ChannelLost,
)
from ._conditions import Condition, condition_of
from ._events import LinkEnded, LinkOpened
from ._proton import chars, constants, lib

if TYPE_CHECKING:
    from ._engine import Engine


class Link:
    """What both ends have in common. Made by :class:`~hypersocket.amqp.v10.Engine`.

    Attributes:
        context: whatever its owner wants to find again when an event comes.
        lost: why it ended; None while it stands, or if we closed it.
        is_open: whether the peer has attached its end, and nobody has ended it.
    """

    _new: Callable[[Any, Any], Any]

    def __init__(self, engine: Engine, name: str, wanted: str) -> None:
        self.context: Any = None
        self.lost: AmqpError | None = None
        self.is_open = False
        self._engine = engine
        self._wanted = wanted
        self._begun = self._closing = False
        self._session = lib.pn_session(engine.connection)
        self._link = type(self)._new(self._session, chars(name))
        engine.links[self._link] = self

    @property
    def alive(self) -> bool:
        """Whether it can be used, or is being opened."""
        return self._link is not None and not self._closing

    @property
    def attached(self) -> bool:
        """Whether the engine still knows it."""
        return self._link is not None

    @property
    def begun(self) -> bool:
        """Whether the peer has been asked for it, or will be with the next bytes."""
        return self._begun

    def close(self) -> None:
        """Detach, and end the session. :class:`LinkEnded` comes when the peer has answered.

        It comes at once, where the session has not begun.
        """
        if not self.alive:
            return
        self._closing = True
        self.is_open = False
        if self._begun:
            lib.pn_link_close(self._link)
        else:
            self.ended(None)
            self._engine.tell(LinkEnded(self, None))

    def begin(self) -> None:
        """Attach, in a session that begins now."""
        self._begun = True
        lib.pn_session_open(self._session)
        lib.pn_link_open(self._link)

    def _give_up(self, error: AmqpError) -> None:
        """Detach for something that the peer has done. What it sends until it answers is late."""
        self._closing = True
        self.is_open = False
        self.lost = error
        lib.pn_link_close(self._link)
        self._engine.tell(LinkEnded(self, error))

    def opened(self) -> None:
        """The peer attached its end. A null terminus announces that it will detach (2.6.3)."""
        if self.is_open or not self.alive:
            return
        if lib.pn_terminus_get_type(self._remote_terminus()) != constants.PN_UNSPECIFIED:
            self._ready()

    def _ready(self) -> None:
        self.is_open = True
        self._engine.tell(LinkOpened(self))

    def _remote_terminus(self) -> Any:
        raise NotImplementedError

    def condition(self) -> Condition | None:
        """Why the peer detached, or ended the session."""
        found = condition_of(lib.pn_link_remote_condition(self._link))
        return found or condition_of(lib.pn_session_remote_condition(self._session))

    def reason(self, condition: Condition | None) -> ChannelLost | None:
        """The error for an end by the peer; None if we had closed the link."""
        if self._closing:
            return None
        what = "ended" if self.is_open else "refused"
        words = str(condition) if condition else "without giving a reason"
        return ChannelLost(
            f"{self._engine.peer} {what} the link {self._wanted}: {words}",
            condition=condition.name if condition else "",
            temporary=condition.temporary if condition else True,
        )

    def _attach(self) -> None:
        self._engine.sessions.begin(self._session, self)

    def ended(self, error: AmqpError | None) -> None:
        """Forget the engine's objects: after this nothing here touches them."""
        del self._engine.links[self._link]
        link, self._link = self._link, None
        self.is_open = False
        self.lost = self.lost or error
        lib.pn_link_close(link)
        lib.pn_link_free(link)
        self._engine.sessions.end(self._session)

    def updated(self, handle: Any) -> None:
        """Something became of a delivery."""
        raise NotImplementedError

    def flowed(self) -> None:
        """The peer told its end's state of flow."""
