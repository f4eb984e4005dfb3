"""Peers as raw bytes: ZMTP 3.0, which knows no PING and no SUBSCRIBE, and what came before it.

The bytes are those of libzmq 4.1 (3.0), 3.2 (2.0) and 2.2 (1.0).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

import hypersocket as hs
from hypersocket import events

from .peers import PATIENCE, Theirs, ours, until

TCP = "tcp://127.0.0.1:*"

SIGNATURE = b"\xff\0\0\0\0\0\0\0\1\x7f"
GREETING_3_0 = SIGNATURE + b"\3\0" + b"NULL".ljust(20, b"\0") + bytes(32)
GREETING_2_0 = SIGNATURE + b"\1"
IDENTITY_1_0 = b"\1\0"  # anonymous; a frame of one octet, its flags
OUR_VERSION = (3, 1)


def ready(socket_type: bytes, identity: bytes | None = None) -> bytes:
    body = b"\5READY\x0bSocket-Type" + len(socket_type).to_bytes(4, "big") + socket_type
    if identity is not None:
        body += b"\x08Identity" + len(identity).to_bytes(4, "big") + identity
    return bytes((4, len(body))) + body


class Raw:
    """A connection to one of our sockets."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def write(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read(self, count: int) -> bytes:
        with trio.fail_after(PATIENCE):
            while len(self._buffer) < count:
                data = await self.stream.receive_some()
                assert data, f"the connection was closed after {self._buffer!r}"
                self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    async def read_frame(self) -> tuple[int, bytes]:
        """The flags and the body of the next frame."""
        flags, size = await self.read(2)
        if flags & 2:
            size = int.from_bytes(bytes((size,)) + await self.read(7), "big")
        return flags, await self.read(size)

    async def read_to_end(self) -> bytes:
        """What comes before the connection is closed."""
        found, self._buffer = self._buffer, b""
        with trio.fail_after(PATIENCE):
            try:
                async for data in self.stream:
                    found += data
            except trio.BrokenResourceError:
                pass
        return found

    async def shake_hands(self, socket_type: bytes, identity: bytes | None = None) -> None:
        await self.write(GREETING_3_0)
        greeting = await self.read(64)
        assert greeting[:10] == b"\xff" + bytes(8) + b"\x7f"
        assert tuple(greeting[10:12]) == OUR_VERSION
        assert greeting[12:32] == b"NULL".ljust(20, b"\0")
        await self.write(ready(socket_type, identity))
        flags, command = await self.read_frame()
        assert flags == 4
        assert command.startswith(b"\5READY\x0bSocket-Type")


@asynccontextmanager
async def raw_peer(endpoint: str) -> AsyncIterator[Raw]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        yield Raw(stream)


async def test_3_0_messages_both_ways() -> None:
    async with ours("DEALER") as mine, raw_peer(await mine.bind(TCP)) as peer:
        await peer.shake_hands(b"DEALER", b"")
        await peer.write(b"\0\5hello\1\1a\1\0\0\1b\2" + (256).to_bytes(8, "big") + b"x" * 256)
        assert await mine.recv() == b"hello"
        assert await mine.recv_multipart() == [b"a", b"", b"b"]
        assert await mine.recv() == b"x" * 256
        await mine.send_multipart([b"a", b"", b"y" * 256])
        assert await peer.read_frame() == (1, b"a")
        assert await peer.read_frame() == (1, b"")
        assert await peer.read_frame() == (2, b"y" * 256)


async def test_3_0_peer_that_listens() -> None:
    connected = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        peer = Raw(stream)
        await peer.shake_hands(b"ROUTER", b"old router")
        assert await peer.read_frame() == (0, b"hello")
        await peer.write(b"\0\5reply")
        connected.set()
        await peer.read_to_end()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with ours("DEALER", heartbeat_ivl=0.05) as mine:
            await mine.connect(f"tcp://127.0.0.1:{port}")
            await mine.send(b"hello")
            assert await mine.recv() == b"reply"
        nursery.cancel_scope.cancel()
    assert connected.is_set()


async def test_3_0_subscriber_subscribes_by_messages() -> None:
    async with ours("XPUB") as mine, raw_peer(await mine.bind(TCP)) as peer:
        await peer.shake_hands(b"SUB")
        await peer.write(b"\0\4\1abc" + b"\0\3\1xy")
        assert await mine.recv() == b"\1abc"
        assert await mine.recv() == b"\1xy"
        for topic in (b"ab", b"abcd", b"xyz"):
            await mine.send(topic)
        assert await peer.read_frame() == (0, b"abcd")
        assert await peer.read_frame() == (0, b"xyz")
        await peer.write(b"\0\4\0abc")
        assert await mine.recv() == b"\0abc"
        await mine.send(b"abcd")
        await mine.send(b"xyz")
        assert await peer.read_frame() == (0, b"xyz")


async def test_3_0_publisher_is_told_of_subscriptions_by_messages() -> None:
    async with ours("SUB", subscribe=b"abc") as mine, raw_peer(await mine.bind(TCP)) as peer:
        await peer.shake_hands(b"PUB")
        assert await peer.read_frame() == (0, b"\1abc")
        await peer.write(b"\0\4abcd")
        assert await mine.recv() == b"abcd"
        mine.unsubscribe(b"abc")
        assert await peer.read_frame() == (0, b"\0abc")
        mine.subscribe(b"t" * 300)
        assert await peer.read_frame() == (2, b"\1" + b"t" * 300)


async def test_3_0_peer_gets_no_ping_and_owes_no_reply() -> None:
    async with (
        ours("DEALER", heartbeat_ivl=0.01, heartbeat_timeout=0.02, heartbeat_ttl=0.1) as mine,
        raw_peer(await mine.bind(TCP)) as peer,
    ):
        await peer.shake_hands(b"DEALER")
        await trio.sleep(0.5)
        await mine.send(b"hello")
        assert await peer.read_frame() == (0, b"hello")
        assert mine.stats().disconnects == 0


async def test_3_0_requests() -> None:
    async with ours("REP") as mine, raw_peer(await mine.bind(TCP)) as peer:
        await peer.shake_hands(b"REQ", b"old")
        await peer.write(b"\1\0\0\5hello")
        assert await mine.recv() == b"hello"
        await mine.send(b"world")
        assert await peer.read_frame() == (1, b"")
        assert await peer.read_frame() == (0, b"world")


async def test_3_0_identity() -> None:
    async with ours("ROUTER") as mine, raw_peer(await mine.bind(TCP)) as peer:
        await peer.shake_hands(b"DEALER", b"old")
        await peer.write(b"\0\5hello")
        assert await mine.recv_multipart() == [b"old", b"hello"]
        await mine.send_multipart([b"old", b"world"])
        assert await peer.read_frame() == (0, b"world")


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        pytest.param(GREETING_2_0, hs.Reason.VERSION_TOO_OLD, id="2.0"),
        pytest.param(GREETING_2_0 + b"\2\0\0", hs.Reason.VERSION_TOO_OLD, id="2.0 and more"),
        pytest.param(
            b"\xff" + bytes(7) + b"\1\0", hs.Reason.VERSION_TOO_OLD, id="1.0 with a long length"
        ),
        pytest.param(IDENTITY_1_0, hs.Reason.BAD_GREETING, id="1.0"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", hs.Reason.BAD_GREETING, id="HTTP"),
    ],
)
async def test_what_is_no_zmtp_3_is_refused(greeting: bytes, reason: hs.Reason) -> None:
    async with ours("PULL") as mine, mine.monitor() as told, Theirs("PUSH") as other:
        endpoint = await mine.bind(TCP)
        await join_other(mine, other, endpoint)
        async with raw_peer(endpoint) as peer:
            await peer.write(greeting)
            failed = await until(told, events.HandshakeFailed)
            assert failed.reason is reason
            assert failed.detail
            assert len(await peer.read_to_end()) <= 64  # our greeting, and that was all
        await expect_unharmed(mine, other)


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"CURVE", b"", b"null", b"NULL\0junk", b"X" * 20])
async def test_another_mechanism_is_refused(mechanism: bytes) -> None:
    async with ours("PULL") as mine, mine.monitor() as told, Theirs("PUSH") as other:
        endpoint = await mine.bind(TCP)
        await join_other(mine, other, endpoint)
        async with raw_peer(endpoint) as peer:
            await peer.write(GREETING_3_0[:12] + mechanism.ljust(20, b"\0") + bytes(32))
            failed = await until(told, events.HandshakeFailed)
            assert failed.reason is hs.Reason.MECHANISM_MISMATCH
            await peer.read_to_end()
        await expect_unharmed(mine, other)


async def test_their_plain_client_is_refused() -> None:
    async with ours("PULL") as mine, mine.monitor() as told, Theirs("PUSH") as other:
        endpoint = await mine.bind(TCP)
        await join_other(mine, other, endpoint)
        async with Theirs(
            "PUSH", plain_username=b"user", plain_password=b"word", reconnect_ivl=-1
        ) as theirs:
            theirs.connect(endpoint)
            failed = await until(told, events.HandshakeFailed)
            # libzmq may close when it has read our mechanism, before it tells its own.
            assert failed.reason in {hs.Reason.MECHANISM_MISMATCH, hs.Reason.CLOSED_BY_PEER}
        await expect_unharmed(mine, other)


@pytest.mark.parametrize("wrong", ["PUSH", "PULL", "REQ", "PAIR", "PUB", "DEALER"])
async def test_their_socket_of_the_wrong_type_is_refused(wrong: str) -> None:
    async with ours("PUB") as mine, mine.monitor() as told, Theirs("SUB", subscribe=b"") as other:
        endpoint = await mine.bind(TCP)
        other.connect(endpoint)
        await mine.wait_subscribed(b"")
        async with Theirs(wrong, reconnect_ivl=-1) as theirs:
            theirs.connect(endpoint)
            failed = await until(told, events.HandshakeFailed)
            assert failed.reason is hs.Reason.INCOMPATIBLE_TYPE
            assert wrong in failed.detail
            await mine.send(b"as if nothing had happened")
            assert await other.recv() == b"as if nothing had happened"
        stats = mine.stats()
        assert (stats.handshake_failures, stats.disconnects) == (1, 0)


async def test_ours_connects_to_theirs_of_the_wrong_type() -> None:
    async with ours("PUB") as mine, mine.monitor() as told, Theirs("PULL") as theirs:
        await mine.connect(theirs.bind(TCP))
        failed = await until(told, events.HandshakeFailed)
        assert failed.reason is hs.Reason.INCOMPATIBLE_TYPE
        assert "PULL" in failed.detail
        retried = await until(told, events.ConnectRetried)
        assert retried.reason is hs.Reason.INCOMPATIBLE_TYPE


async def join_other(mine: hs.Pull, other: Theirs, endpoint: str) -> None:
    other.connect(endpoint)
    await expect_unharmed(mine, other)


async def expect_unharmed(mine: hs.Pull, other: Theirs) -> None:
    await other.send(b"as if nothing had happened")
    assert await mine.recv() == b"as if nothing had happened"
    assert mine.stats().disconnects == 0


async def test_wrong_type_over_ipc() -> None:
    async with ours("PUB") as mine, mine.monitor() as told, Theirs("PUSH") as theirs:
        theirs.connect(await mine.bind("ipc://*"))
        failed = await until(told, events.HandshakeFailed)
        assert failed.reason is hs.Reason.INCOMPATIBLE_TYPE


async def test_a_pair_that_is_taken_refuses_another() -> None:
    async with ours("PAIR") as mine, mine.monitor() as told, Theirs("PAIR") as one:
        endpoint = await mine.bind(TCP)
        one.connect(endpoint)
        await mine.wait_connected()
        async with Theirs("PAIR", reconnect_ivl=-1) as two:
            two.connect(endpoint)
            failed = await until(told, events.HandshakeFailed)
            assert failed.reason is hs.Reason.BUSY
        await one.send(b"mine")
        assert await mine.recv() == b"mine"
