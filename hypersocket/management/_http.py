"""As much of an HTTP/1.1 server as metrics need: GET and HEAD without a body, over trio.

h11 reads and writes the protocol. What a client may cost is bounded: the size of a request's
head, the time that it may take, the connections at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio

logger = logging.getLogger("hypersocket")

HEAD_BYTES = 8 * 1024
"""Bytes of a request's head; nginx and Apache httpd allow 8 KiB for one line of it."""

HEAD_SECONDS = 10.0
"""Seconds for a request's head, from its first byte or the connection's beginning."""

IDLE_SECONDS = 120.0
"""Seconds that a connection is kept between requests; a scrape each minute finds it open."""

WRITE_SECONDS = 30.0
"""Seconds that a client may take to read a response."""

CLOSE_SECONDS = 1.0
"""Seconds, and bytes below, that are read after a refusal, so that the client gets to read it."""

CLOSE_BYTES = 64 * 1024

CONNECTIONS = 64
"""Connections at once. One more is told 503."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        method: ``"GET"`` or ``"HEAD"``.
        path: without the query.
        headers: by their names in lower case; of several, joined by commas.
    """

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(
        default_factory=lambda: {"Content-Type": "text/plain; charset=utf-8"}
    )


def plain(status: int, text: str = "", **headers: str) -> Response:
    """A response for people."""
    phrase = text or HTTPStatus(status).phrase
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status,
        f"{phrase}\n".encode(),
        {"Content-Type": "text/plain; charset=utf-8"} | more,
    )


async def serve_http(
    listeners: Sequence[trio.SocketListener], respond: Callable[[Request], Awaitable[Response]]
) -> None:
    """Answer requests until cancelled. What goes wrong with one is logged, and answered 500."""
    open_now = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal open_now
        open_now += 1
        try:
            async with stream:
                await _Conversation(stream, respond, crowded=open_now > CONNECTIONS).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has left
        except Exception:
            logger.exception("metrics: a connection failed")
        finally:
            open_now -= 1

    await trio.serve_listeners(handle, list(listeners))


class _Conversation:
    """One connection."""

    def __init__(
        self,
        stream: trio.SocketStream,
        respond: Callable[[Request], Awaitable[Response]],
        *,
        crowded: bool,
    ) -> None:
        self._stream = stream
        self._respond = respond
        self._crowded = crowded
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)

    async def run(self) -> None:
        patience = HEAD_SECONDS
        while True:
            try:
                if self._crowded:
                    refusal = plain(503, "too many connections at once", Retry_After="10")
                    return await self._refuse(refusal)
                request = await self._next_request(patience)
                if request is None:
                    return None
                if isinstance(request, Response):
                    return await self._refuse(request)
            except h11.RemoteProtocolError as error:
                return await self._refuse(plain(error.error_status_hint, str(error)))
            await self._send(request.method, await self._answer(request))
            if self._http.our_state is h11.MUST_CLOSE:
                return await self._hang_up()
            self._http.start_next_cycle()
            patience = IDLE_SECONDS

    async def _next_request(self, patience: float) -> Request | Response | None:
        """The next request, or a refusal; None where there is none."""
        head: h11.Request | None = None
        began = bool(self._http.trailing_data[0])
        with trio.move_on_after(HEAD_SECONDS if began else patience) as scope:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = await self._stream.receive_some(4096)
                    if data and not began:
                        began = True
                        scope.deadline = trio.current_time() + HEAD_SECONDS
                    self._http.receive_data(data)
                elif isinstance(event, h11.Request):
                    head = event
                    refusal = _refusal(event)
                    if refusal is not None:
                        return refusal
                elif isinstance(event, h11.EndOfMessage):
                    assert head is not None
                    return _read(head)
                else:
                    return None  # the client has closed
        return plain(408) if began else None

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._respond(request)
        except Exception:
            logger.exception("metrics: %s %s failed", request.method, request.path)
            return plain(500)

    async def _refuse(self, response: Response) -> None:
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._send("GET", response, close=True)
            await self._hang_up()

    async def _send(self, method: str, response: Response, *, close: bool = False) -> None:
        headers = response.headers | {
            "Content-Length": str(len(response.body)),
            "Date": formatdate(usegmt=True),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        if close:
            headers["Connection"] = "close"
        head = h11.Response(
            status_code=response.status,
            headers=list(headers.items()),
            reason=HTTPStatus(response.status).phrase,
        )
        data = [self._http.send(head)]
        if method != "HEAD":
            data.append(self._http.send(h11.Data(data=response.body)))
        data.append(self._http.send(h11.EndOfMessage()))
        with trio.move_on_after(WRITE_SECONDS) as scope:
            await self._stream.send_all(b"".join(part for part in data if part))
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the client does not read")

    async def _hang_up(self) -> None:
        # Closed with something unread, the system would reset the connection, and the client
        # might never see what it was told.
        with suppress(trio.BrokenResourceError), trio.move_on_after(CLOSE_SECONDS):
            await self._stream.send_eof()
            left = CLOSE_BYTES
            while left > 0 and (data := await self._stream.receive_some(4096)):
                left -= len(data)


def _refusal(head: h11.Request) -> Response | None:
    if head.method not in {b"GET", b"HEAD"}:
        return plain(405, "only GET and HEAD are answered here", Allow="GET, HEAD")
    headers = _headers(head)
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return plain(400, "a request with a body is not answered here")
    return None


def _read(head: h11.Request) -> Request:
    path = head.target.partition(b"?")[0].decode("latin-1")
    return Request(head.method.decode(), path, _headers(head))


def _headers(head: h11.Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in head.headers:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found
