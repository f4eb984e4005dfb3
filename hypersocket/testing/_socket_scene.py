"""What the checks of socket types share: two sockets that talk, whatever their types."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeAlias

import trio

from .. import sockets as s
from ._asserting import plainly, within
from ._transport_scene import MakeEndpoint

SocketType: TypeAlias = type[s.Socket]

SocketCheck: TypeAlias = Callable[[SocketType, SocketType, MakeEndpoint], Awaitable[None]]

SENDING_CALLS = ("send", "send_multipart", "send_many")
RECEIVING_CALLS = ("recv", "recv_multipart", "recv_many")

_PEER_ID = b"peer"
_OWN_ID = b"own"
_numbers = count(1)


def fresh_inproc() -> str:
    """An inproc endpoint that nobody has: the endpoints of checks, unless told otherwise."""
    return f"inproc://hypersocket.testing-{next(_numbers)}"


class SocketChecks(dict[str, SocketCheck]):
    """Checks by name, in the order of their definition."""

    def __call__(self, check: SocketCheck) -> SocketCheck:
        """Add one, as a decorator."""
        plain = plainly(check)
        self[check.__name__] = plain
        return plain


def can_send(cls: SocketType) -> bool:
    """Whether sockets of the type send."""
    return hasattr(cls, "send")


def can_receive(cls: SocketType) -> bool:
    """Whether sockets of the type receive."""
    return hasattr(cls, "recv")


def is_strict(socket: SocketType | s.Socket) -> bool:
    """Whether requests and replies are in strict turn."""
    return socket.socket_type in ("REQ", "REP")


def own_options(cls: SocketType, routing_id: bytes) -> dict[str, Any]:
    """What the constructor is given, so that ROUTERs know the peer."""
    return {"routing_id": routing_id} if hasattr(cls, "routing_id") else {}


class Talk:
    """A socket and its peer, with the envelopes and turns of their types.

    Attributes:
        socket: of the type that is checked.
        peer: at the other side.
    """

    def __init__(self, socket: Any, peer: Any) -> None:
        self.socket = socket
        self.peer = peer

    async def begin(self) -> None:
        """Wait until messages pass both ways."""
        with within("two sockets of types that match find each other"):
            await self.socket.wait_connected()
            await self.peer.wait_connected()
            for one, other in ((self.socket, self.peer), (self.peer, self.socket)):
                if isinstance(one, (s.Sub, s.XSub)):
                    if isinstance(one, s.Sub):
                        one.subscribe(b"")
                    else:
                        await one.send(b"\1")
                    await other.wait_subscribed(b"")
            for one in (self.socket, self.peer):
                if isinstance(one, s.XPub):
                    await one.recv()  # the news of the subscription

    def _frames(self, sender: Any, receiver: Any, to: bytes, body: list[bytes]) -> list[bytes]:
        """What ``sender`` has to send so that ``body`` reaches ``receiver``'s user."""
        frames = list(body)
        if receiver.socket_type in ("REP", "REQ") and not is_strict(sender):
            frames = [b"", *frames]
        if isinstance(sender, s.Router):
            frames = [to, *frames]
        return frames

    def outgoing(self, *body: bytes) -> list[bytes]:
        """The frames that the socket sends to bring ``body`` to its peer."""
        return self._frames(self.socket, self.peer, _PEER_ID, list(body))

    def incoming(self, *body: bytes) -> list[bytes]:
        """The frames that the peer sends to bring ``body`` to the socket."""
        return self._frames(self.peer, self.socket, _OWN_ID, list(body))

    def _arriving(
        self, sender: Any, receiver: Any, came_from: bytes, body: list[bytes]
    ) -> list[bytes]:
        frames = body
        if is_strict(sender) and not is_strict(receiver):
            frames = [b"", *frames]
        if isinstance(receiver, s.Router):
            frames = [came_from, *frames]
        return frames

    def received(self, *body: bytes) -> list[bytes]:
        """What the socket receives when its peer has sent ``body``."""
        return self._arriving(self.peer, self.socket, _PEER_ID, list(body))

    def received_by_peer(self, *body: bytes) -> list[bytes]:
        """What the peer receives when the socket has sent ``body``."""
        return self._arriving(self.socket, self.peer, _OWN_ID, list(body))

    async def turn_to_send(self) -> None:
        """Bring the socket to where it may send."""
        if isinstance(self.socket, s.Rep) or isinstance(self.peer, s.Req):
            await self.peer.send_multipart(self.incoming(b"a request"))
            await self.socket.recv_multipart()

    async def turn_to_receive(self) -> None:
        """Bring the socket to where it may receive."""
        if isinstance(self.socket, s.Req):
            await self.socket.send(b"a request")
        if isinstance(self.peer, s.Rep) or isinstance(self.socket, s.Req):
            if isinstance(self.peer, s.Rep) and not isinstance(self.socket, s.Req):
                await self.socket.send_multipart(self.outgoing(b"a request"))
            await self.peer.recv_multipart()

    async def deliver(self, *body: bytes) -> None:
        """Have the peer send."""
        await self.peer.send_multipart(self.incoming(*body))

    async def arrival(self) -> None:
        """Wait until the socket has a message to receive."""
        with within("messages arrive without being asked for"):
            while not self.socket.stats().queued_in:  # noqa: ASYNC110  # there is no such event
                await trio.sleep(0.002)


@asynccontextmanager
async def talk(
    cls: SocketType,
    peer_cls: SocketType,
    make_endpoint: MakeEndpoint,
    *,
    options: dict[str, Any] | None = None,
    peer_options: dict[str, Any] | None = None,
) -> AsyncGenerator[Talk, None]:
    """A socket that is bound, and its peer, which has connected; messages pass."""
    async with (
        cls(**own_options(cls, _OWN_ID), linger=0.0, **(options or {})) as socket,
        peer_cls(**own_options(peer_cls, _PEER_ID), linger=0.0, **(peer_options or {})) as peer,
    ):
        await peer.connect(await socket.bind(make_endpoint()))
        conversation = Talk(socket, peer)
        await conversation.begin()
        yield conversation


def calls_of(cls: SocketType, socket: Any) -> dict[str, Callable[[], Any]]:
    """Every call that a closed or unopened socket of the type must refuse, by name."""
    calls: dict[str, Callable[[], Any]] = {
        "bind": lambda: socket.bind("inproc://hypersocket.testing"),
        "connect": lambda: socket.connect("inproc://hypersocket.testing"),
        "unbind": lambda: socket.unbind("inproc://hypersocket.testing"),
        "disconnect": lambda: socket.disconnect("inproc://hypersocket.testing"),
        "wait_connected": socket.wait_connected,
    }
    arguments: dict[str, tuple[Any, ...]] = {
        "send": (b"x",),
        "send_nowait": (b"x",),
        "send_multipart": ([b"x", b"y"],),
        "send_multipart_nowait": ([b"x", b"y"],),
        "send_many": ([b"x"],),
        "recv": (),
        "recv_nowait": (),
        "recv_multipart": (),
        "recv_multipart_nowait": (),
        "recv_many": (),
        "request": (b"x",),
        "request_multipart": ([b"x"],),
        "wait_subscribed": (b"",),
    }
    for name, given in arguments.items():
        if hasattr(cls, name):
            calls[name] = lambda name=name, given=given: getattr(socket, name)(*given)  # type: ignore[misc]
    return calls
