"""The server of metrics, against clients of every kind."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing

from hypersocket.management import _http
from hypersocket.management._http import Request, Response, plain, serve_http

from .test_metrics import get

GET = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"


async def respond(request: Request) -> Response:
    if request.path == "/broken":
        raise ZeroDivisionError
    if request.path == "/large":
        return Response(200, bytes(50_000_000), {})
    return plain(200, f"{request.method} {request.path}")


@asynccontextmanager
async def serving() -> AsyncGenerator[str, None]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, listeners, respond)
        host, port = listeners[0].socket.getsockname()
        yield f"{host}:{port}"
        nursery.cancel_scope.cancel()


async def connect(where: str) -> trio.SocketStream:
    host, _, port = where.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


async def read_all(stream: trio.SocketStream) -> bytes:
    with trio.fail_after(30):
        return b"".join([part async for part in stream])


async def read_response(stream: trio.SocketStream) -> bytes:
    """One response, of a text that ends with a line."""
    data = b""
    with trio.fail_after(30):
        while not (b"\r\n\r\n" in data and data.endswith(b"\n") and not data.endswith(b"\r\n")):
            data += await stream.receive_some()
    return data


async def test_get_and_head() -> None:
    async with serving() as where:
        response, body = await get(where)
        assert (response.status, body) == (200, b"GET /metrics\n")
        assert response.headers["Content-Length"] == "13"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Date"].endswith("GMT")
        response, body = await get(where, method="HEAD")
        assert (response.status, body) == (200, b"")
        assert response.headers["Content-Length"] == "14"
        response, body = await get(where, path="/metrics?name=x")
        assert body == b"GET /metrics\n"


async def test_a_connection_serves_many_requests_one_after_the_other() -> None:
    async with serving() as where, await connect(where) as stream:
        for _ in range(3):
            await stream.send_all(GET)
            assert (await read_response(stream)).startswith(b"HTTP/1.1 200 OK\r\n")
        await stream.send_all(GET * 3 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await read_all(stream)).count(b"HTTP/1.1 200 OK") == 4


async def test_a_request_byte_by_byte() -> None:
    async with serving() as where, await connect(where) as stream:
        for number in range(len(GET)):
            await stream.send_all(GET[number : number + 1])
        assert (await read_response(stream)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_old_client() -> None:
    async with serving() as where, await connect(where) as stream:
        await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        assert (await read_all(stream)).endswith(b"GET /\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345", b"405"),
        (b"DELETE /metrics HTTP/1.1\r\nHost: h\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # without Host
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\nbad name: x\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),  # TLS
        (b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f" + bytes(54) + b"\r\n\r\n", b"400"),  # ZMTP
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 10_000, b"431"),
        (b"GET /" + b"x" * 10_000, b"431"),
    ],
    ids=[
        *("post", "delete", "body", "chunked", "no host", "two hosts", "two lengths", "bad name"),
        *("tls", "zmtp", "large head", "large line"),
    ],
)
async def test_what_is_refused_is_told_and_the_connection_closed(
    request_bytes: bytes, status: bytes
) -> None:
    async with serving() as where, await connect(where) as stream:
        await stream.send_all(request_bytes)
        answer = await read_all(stream)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"connection: close" in answer.lower()
        assert (b"Allow: GET, HEAD" in answer) == (status == b"405")
        assert (await get(where))[0].status == 200


async def test_who_leaves_in_the_middle_is_no_calamity(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as where:
        for begun in (b"", b"GET / HT", GET, GET.replace(b"metrics", b"large")):
            async with await connect(where) as stream:
                await stream.send_all(begun)
        assert (await get(where))[0].status == 200
    assert caplog.records == []


async def test_a_mistake_of_ours_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as where:
        response, body = await get(where, path="/broken")
        assert (response.status, body) == (500, b"Internal Server Error\n")
        assert (await get(where))[0].status == 200
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR, "metrics: GET /broken failed",
    )  # fmt: skip


# Time, with streams in memory, so that no real clock is needed


@asynccontextmanager
async def talking(
    pair: Callable[[], Any] = trio.testing.memory_stream_pair,
) -> AsyncGenerator[trio.StapledStream[Any, Any], None]:
    client, server = pair()
    conversation = _http._Conversation(server, respond, crowded=False)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            async with server:
                with suppress(trio.BrokenResourceError):
                    await conversation.run()

        nursery.start_soon(run)
        yield client
        nursery.cancel_scope.cancel()


async def test_a_connection_without_a_request_is_closed(autojump_clock: Any) -> None:
    async with talking() as client:
        began = trio.current_time()
        assert await client.receive_some() == b""
        assert trio.current_time() - began == _http.HEAD_SECONDS


async def test_a_slow_request_is_given_up(autojump_clock: Any) -> None:
    async with talking() as client, trio.open_nursery() as nursery:

        async def drip() -> None:
            for number in range(len(GET)):
                await client.send_all(GET[number : number + 1])
                await trio.sleep(_http.HEAD_SECONDS / 4)

        began = trio.current_time()
        nursery.start_soon(drip)
        answer = await client.receive_some()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began == _http.HEAD_SECONDS
        nursery.cancel_scope.cancel()


async def test_who_does_not_read_is_given_up(autojump_clock: Any) -> None:
    async with talking(trio.testing.lockstep_stream_pair) as client:
        began = trio.current_time()
        await client.send_all(GET)
        await trio.sleep(_http.WRITE_SECONDS + 1)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(GET)
        assert trio.current_time() - began == _http.WRITE_SECONDS + 1


async def test_an_idle_connection_is_kept_for_a_while(autojump_clock: Any) -> None:
    async with talking() as client:
        for _ in range(3):
            await client.send_all(GET)
            assert (await client.receive_some()).startswith(b"HTTP/1.1 200 ")
            await trio.sleep(_http.IDLE_SECONDS - 1)
        await client.send_all(GET)
        assert (await client.receive_some()).startswith(b"HTTP/1.1 200 ")
        began = trio.current_time()
        assert await client.receive_some() == b""
        assert trio.current_time() - began == _http.IDLE_SECONDS


async def test_too_many_connections_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "CONNECTIONS", 2)
    async with serving() as where:
        async with await connect(where) as one, await connect(where) as two:
            for stream in (one, two):
                await stream.send_all(GET)
                assert (await read_response(stream)).startswith(b"HTTP/1.1 200 ")
            async with await connect(where) as third:
                answer = await read_all(third)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"Retry-After: 10" in answer
        with trio.fail_after(30):
            while (await get(where))[0].status == 503:  # before it was noticed that they left
                pass
