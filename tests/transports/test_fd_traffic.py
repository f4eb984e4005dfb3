"""Connections over the system's sockets: what peers of bytes do to them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket import events as ev
from hypersocket.transports import _fd_traffic, _poller, _waits
from hypersocket.transports._acceptor import Acceptor
from hypersocket.transports._traffic import End
from hypersocket.zmtp import Connection
from hypersocket.zmtp import HandshakeSucceeded as ShookHands

pytestmark = pytest.mark.skipif(not _poller.AVAILABLE, reason="this system has no epoll")

PING_WITHIN_A_SECOND = b"\4\7\4PING\0\12"


@pytest.fixture(params=["tcp", "ipc"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{tmp_path}/s"}[request.param]


class Peer:
    """Connected to a bound socket, and past the handshake; then it says what the test wants."""

    def __init__(self, sock: Any, kind: str) -> None:
        self.sock = sock
        self.conn = Connection(kind, as_server=False, now=0.0)

    @classmethod
    async def dial(cls, where: hs.Socket, kind: str, **buffers: int) -> Peer:
        """Connected, with no word said."""
        scheme, _, address = where.endpoints[0].partition("://")
        family = socket.AF_UNIX if scheme == "ipc" else socket.AF_INET
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        for name, size in buffers.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), size)
        host, _, port = address.rpartition(":")
        await sock.connect(address if scheme == "ipc" else (host, int(port)))
        return cls(sock, kind)

    @classmethod
    async def connect(cls, where: hs.Socket, kind: str, **buffers: int) -> Peer:
        self = await cls.dial(where, kind, **buffers)
        await self.sock.send(self.conn.data_to_send())
        while not any(isinstance(one, ShookHands) for one in await self.events()):
            pass
        await where.wait_connected()
        return self

    async def events(self) -> list[Any]:
        self.conn.receive(await self.sock.recv(1 << 20), 0.0)
        events = list(self.conn.next_events())
        if reply := self.conn.data_to_send():
            await self.sock.send(reply)
        return events

    async def send(self, *messages: bytes) -> None:
        out: list[bytes] = []
        self.conn.encode(messages, out)
        await self.sock.send(b"".join(out))
        await settle()

    def reset(self) -> None:
        """Vanish; over tcp without a farewell."""
        if self.sock.family == socket.AF_INET:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def fill(pair: hs.Pair) -> None:
    with contextlib.suppress(trio.WouldBlock):
        while True:
            pair.send_nowait(bytes(10_000))


async def settle() -> None:
    """Until nothing happens any more; fails where something goes on for ever."""
    with trio.fail_after(30):
        await trio.testing.wait_all_tasks_blocked(3 * _poller.STANDBY)


async def next_event(events: ev.Monitor, kind: type[Any]) -> Any:
    with trio.fail_after(30):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__}")


# Nothing goes on for ever


async def test_a_peer_that_is_gone_while_nothing_is_read(endpoint: str) -> None:
    async with hs.Pull(bind=endpoint, rcvhwm=1) as pull, pull.monitor() as events:
        peer = await Peer.connect(pull, "PUSH")
        await peer.send(b"1")
        await peer.send(b"2")  # stays in the system's buffer
        peer.reset()
        await settle()
        assert await pull.recv() == b"1"
        if endpoint.startswith("ipc"):  # with a reset, TCP throws away what was not read yet
            assert await pull.recv() == b"2"
        await next_event(events, ev.Disconnected)


async def test_a_peer_that_reads_no_more_but_writes(tmp_path: Path) -> None:
    async with hs.Pair(bind=f"ipc://{tmp_path}/s") as pair:
        peer = await Peer.connect(pair, "PAIR")
        fill(pair)
        peer.sock.shutdown(socket.SHUT_RD)
        await settle()
        await peer.send(b"last words")
        assert await pair.recv() == b"last words"
        peer.sock.close()


async def test_both_at_once(tmp_path: Path) -> None:
    async with hs.Pair(bind=f"ipc://{tmp_path}/s", rcvhwm=1) as pair, pair.monitor() as events:
        peer = await Peer.connect(pair, "PAIR")
        fill(pair)
        await peer.send(b"1")
        await peer.send(b"2")
        peer.reset()
        await settle()
        assert [await pair.recv(), await pair.recv()] == [b"1", b"2"]
        await next_event(events, ev.Disconnected)


# Ending within the handshake


async def test_an_end_while_the_handshake_comes_in(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is established, nor polled, for one who was ended as the last bytes came."""
    next_events = Connection.next_events
    ended = False

    def end_first(conn: Connection, *args: Any) -> Any:
        nonlocal ended
        happened = next_events(conn, *args)
        if conn is not peer.conn and not ended and happened:
            assert isinstance(happened[0], ShookHands)
            (binding,) = pull._host.bound.values()
            assert isinstance(binding, Acceptor)
            (session,) = binding._sessions
            session.end(End(hs.Reason.CLOSED_BY_US))
            ended = True
        return happened

    async with hs.Pull(bind=endpoint) as pull:
        monkeypatch.setattr(Connection, "next_events", end_first)
        peer = await Peer.dial(pull, "PUSH")
        await peer.sock.send(peer.conn.data_to_send())
        happened: Any = ()
        while not happened:
            peer.conn.receive(await peer.sock.recv(1 << 20), 0.0)
            happened = peer.conn.next_events()
        # The socket has said all that it has to say: what it is told last needs no answer.
        await peer.sock.send(peer.conn.data_to_send())
        await settle()
        assert ended
        peer.sock.close()
        assert pull.stats().connects == 0
        assert not pull._host.poller._channels
        async with hs.Push(connect=pull.endpoints[0]) as push:
            await push.send(b"x")
            with trio.fail_after(30):
                assert await pull.recv() == b"x"


async def test_an_error_of_our_own_just_after_the_handshake(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends this connection alone, which the poller serves no more when it is closed."""
    after_protocol = _fd_traffic.FdTraffic._after_protocol

    def fail_once(traffic: _fd_traffic.FdTraffic) -> None:
        monkeypatch.setattr(_fd_traffic.FdTraffic, "_after_protocol", after_protocol)
        raise ZeroDivisionError("ours")

    async with hs.Pull(bind=endpoint) as pull, pull.monitor() as events:
        monkeypatch.setattr(_fd_traffic.FdTraffic, "_after_protocol", fail_once)
        peer = await Peer.connect(pull, "PUSH")
        lost = await next_event(events, ev.Disconnected)
        assert lost.reason is hs.Reason.INTERNAL_ERROR
        await settle()
        peer.sock.close()
        assert not pull._host.poller._channels
        async with hs.Push(connect=pull.endpoints[0]) as push:
            await push.send(b"x")
            with trio.fail_after(30):
                assert await pull.recv() == b"x"
    assert "error of our own" in caplog.text


# Reading that paused


async def test_a_peer_that_falls_silent_after_a_pause_is_given_up(
    endpoint: str, mock_clock: trio.testing.MockClock
) -> None:
    async with hs.Pull(bind=endpoint, rcvhwm=1) as pull, pull.monitor() as events:
        peer = await Peer.connect(pull, "PUSH")
        await peer.sock.send(PING_WITHIN_A_SECOND)
        await settle()
        await peer.send(b"1")
        await peer.sock.send(PING_WITHIN_A_SECOND)
        await peer.send(b"2")
        await settle()
        mock_clock.jump(1.5)  # longer than that: silence proves nothing while nobody reads
        await settle()
        assert [await pull.recv(), await pull.recv()] == [b"1", b"2"]
        await settle()
        mock_clock.jump(2 * _poller.STANDBY)  # whoever stood by for the next receiver reads again
        await settle()
        await peer.sock.send(PING_WITHIN_A_SECOND)
        await settle()
        mock_clock.jump(1.5)
        gone = await next_event(events, ev.Disconnected)
        assert gone.reason is hs.Reason.HEARTBEAT_TIMEOUT
        peer.sock.close()


# Writing


async def test_a_message_of_more_buffers_than_the_system_takes_at_once(endpoint: str) -> None:
    frames = [bytes([number % 256]) * 65536 for number in range(600)]
    async with hs.Pull(bind=endpoint) as pull, hs.Push(connect=pull.endpoints[0]) as push:
        await push.send_multipart(frames)
        with trio.fail_after(30):
            assert await pull.recv_multipart() == frames


async def test_a_flush_gives_way_to_others(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fd_traffic, "TURN_BYTES", 1)
    async with hs.Pull(bind=endpoint) as pull, hs.Push(connect=pull.endpoints[0]) as push:
        for number in range(200):
            await push.send(b"%d" % number * 3000)
        for number in range(200):
            assert await pull.recv() == b"%d" % number * 3000


@pytest.mark.skipif(
    hs.speedups == "compiled", reason="no handler of signals runs within the compiled core"
)
def test_an_interrupt_does_not_write_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes just after the system took the bytes, and before that is noted."""
    got: list[bytes] = []
    writev = os.writev

    async def main() -> None:
        async with (
            hs.Pair(bind="tcp://127.0.0.1:*") as one,
            hs.Pair(connect=one.endpoints[0]) as two,
        ):
            await two.wait_connected()

            def interrupted(fd: int, buffers: list[Any]) -> int:
                count = writev(fd, buffers)
                monkeypatch.setattr(os, "writev", writev)
                signal.raise_signal(signal.SIGINT)
                return count

            monkeypatch.setattr(os, "writev", interrupted)
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - when it comes is not the point
                two.send_nowait(b"large" * 100_000)  # written at once, by this very task
                await trio.lowlevel.checkpoint()
            await two.send(b"next")
            with trio.fail_after(30):
                got.extend([await one.recv(), await one.recv()])

    trio.run(main)
    assert got == [b"large" * 100_000, b"next"]


def test_an_interrupt_between_queue_and_wait_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the socket would go on to wake a task that does not wait."""
    wait = _poller.Poller.wait

    async def main() -> None:
        async with hs.Pull(bind="inproc://x") as pull, hs.Push(connect="inproc://x") as push:

            async def interrupted(self: _poller.Poller, entry: _waits.Wait) -> Any:
                monkeypatch.setattr(_poller.Poller, "wait", wait)
                signal.raise_signal(signal.SIGINT)
                return await wait(self, entry)

            monkeypatch.setattr(_poller.Poller, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await pull.recv()
            await push.send(b"x")
            assert await pull.recv() == b"x"

    trio.run(main)


async def test_what_broke_in_the_middle_comes_once_and_in_order(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after each number of bytes; whole messages are not sent again."""
    sizes = (0, 255, 256, 70_000, 1)
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]
    encoded: list[bytes] = []
    _encoder().encode(messages, encoded)
    wire = b"".join(encoded)
    for limit in (0, 1, 2, 258, 259, 260, 267, 268, 523, 524, 533, 60_000, 70_532, len(wire) - 1):
        conn = _encoder()
        sent = bytearray()

        class Pipe:
            def __init__(self) -> None:
                self.outbox = list(messages)
                self.done = 0

            @property
            def has_outgoing(self) -> bool:
                return bool(self.outbox)

            def take_outgoing(self, *_: int) -> list[bytes]:
                taken, self.outbox = self.outbox, []
                return taken

            def written(self, count: int, size: int) -> None:
                self.done += count

            def put_back(self, rest: list[bytes], begun: bool, sent: bytearray = sent) -> None:
                done = messages[: self.done]
                whole = sum(len(one) + (2 if len(one) < 256 else 9) for one in done)
                assert begun == (len(sent) > whole)
                self.outbox = rest + self.outbox

        pipe = Pipe()

        def writev(fd: int, buffers: list[Any], limit: int = limit, sent: Any = sent) -> int:
            room = limit - len(sent)
            if room <= 0:
                raise BrokenPipeError
            data = b"".join(bytes(one) for one in buffers)[: min(room, 1000)]
            sent += data
            return len(data)

        monkeypatch.setattr(os, "writev", writev)
        traffic = _fd_traffic.FdTraffic.__new__(_fd_traffic.FdTraffic)
        traffic._pipe, traffic._conn = pipe, conn  # type: ignore[assignment]
        traffic._control, traffic._subscriptions = bytearray(), OrderedDict()
        traffic._buffers, traffic._batch, traffic._batch_written = [], [], 0
        traffic._fd, traffic._ended = 0, False
        with pytest.raises(BrokenPipeError):
            traffic._write()
        traffic._settle()
        assert wire.startswith(sent)
        whole: list[bytes] = []
        _encoder().encode(messages[: pipe.done], whole)
        assert len(b"".join(whole)) <= limit
        assert messages[pipe.done :] == pipe.outbox
        if pipe.done < len(messages):
            _encoder().encode([messages[pipe.done]], whole)
            assert len(b"".join(whole)) > limit


def _encoder() -> Connection:
    one = Connection("PUSH", as_server=False, now=0.0)
    two = Connection("PULL", as_server=True, now=0.0)
    for _ in range(3):
        for source, target in ((one, two), (two, one)):
            if data := source.data_to_send():
                target.receive(data, 0.0)
                target.next_events()
    return one


# The end


async def test_heartbeats_do_not_cut_the_linger(
    endpoint: str, mock_clock: trio.testing.MockClock
) -> None:
    """The peer reads late, and its replies to our PINGs are no longer read."""
    options: dict[str, Any] = {"linger": 30, "sndbuf": 1 << 20, "heartbeat_ivl": 0.02}
    left = trio.Event()
    async with trio.open_nursery() as nursery:
        push = hs.Push(bind=endpoint, **options)
        opened = trio.Event()
        leave = trio.Event()

        async def use() -> None:
            async with push:
                opened.set()
                await leave.wait()
                await push.send_many([bytes(1000)] * 12)
            left.set()

        nursery.start_soon(use)
        await opened.wait()
        peer = await Peer.connect(push, "PULL", SO_RCVBUF=4096)
        leave.set()
        for _ in range(15):  # many heartbeats
            await settle()
            mock_clock.jump(0.02)
        await settle()
        assert not left.is_set()
        count = 0
        with trio.fail_after(30):
            while count < 12:
                count += sum(one == bytes(1000) for one in await peer.events())
        peer.sock.close()


async def test_unread_input_does_not_make_the_end_a_reset(endpoint: str) -> None:
    async with trio.open_nursery() as nursery:
        pair = hs.Pair(bind=endpoint, rcvhwm=1, linger=30)
        opened, leave = trio.Event(), trio.Event()

        async def use() -> None:
            async with pair:
                opened.set()
                await leave.wait()
                await pair.send(b"farewell")

        nursery.start_soon(use)
        await opened.wait()
        peer = await Peer.connect(pair, "PAIR")
        await peer.send(b"1")
        await peer.send(b"2")
        await peer.send(b"3")
        leave.set()
        await settle()
        got = b""
        while data := await peer.sock.recv(1000):
            got += data
        assert got == b"\0\10farewell"
        peer.sock.close()


# The system refuses


async def test_too_few_descriptors_for_the_poller(monkeypatch: pytest.MonkeyPatch) -> None:
    epoll = select.epoll
    tries = 0

    def full() -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return epoll()

    async with (
        hs.Pull(bind="tcp://127.0.0.1:*") as pull,
        hs.Push(reconnect_ivl=0.01) as push,
        push.monitor() as events,
    ):
        monkeypatch.setattr(select, "epoll", full)
        await push.connect(pull.endpoints[0])
        lost = await next_event(events, ev.Disconnected)
        assert "Too many open files" in lost.detail or lost.reason is hs.Reason.CLOSED_BY_PEER
        with trio.fail_after(30):
            await push.send(b"x")
            assert await pull.recv() == b"x"


async def test_timers_end_with_their_connections(endpoint: str) -> None:
    async with hs.Pull(bind=endpoint, heartbeat_ivl=1000) as pull:
        for _ in range(5):
            peer = await Peer.connect(pull, "PUSH")
            assert len(pull._host.poller.timers)
            peer.sock.close()
            with trio.fail_after(30):
                while pull.stats().peers:  # noqa: ASYNC110 - there is no event for it
                    await trio.sleep(0.001)
            assert not len(pull._host.poller.timers)


async def test_a_message_that_ends_connections_is_dropped_and_told(caplog) -> None:
    """A peer that refuses a message must not keep the next ones from coming for ever."""
    async with (
        hs.Pull(bind="tcp://127.0.0.1:*", maxmsgsize=1000) as pull,
        hs.Push(connect=pull.endpoints, reconnect_ivl=0.001) as push,
    ):
        async with push.monitor() as events:
            await push.send(bytes(20_000_000))
            for number in range(5):
                await push.send(b"%d" % number)
            for number in range(5):
                assert await pull.recv() == b"%d" % number
            told = [event async for event in until_dropped(events)]
        assert told[-1].reason is hs.DropReason.PEER_GONE
        assert push.stats().drops == {hs.DropReason.PEER_GONE: 1}
        assert push.stats().disconnects == 2
    assert "dropping messages" in caplog.text


async def until_dropped(events):
    async for event in events:
        yield event
        if isinstance(event, hs.events.MessagesDropped):
            return


# Large messages that come slowly


async def test_a_slow_large_message_is_a_sign_of_life(
    endpoint: str, mock_clock: trio.testing.MockClock
) -> None:
    """However long one waits to be woken for more of it."""
    options: dict[str, Any] = {"heartbeat_ivl": 0.05, "heartbeat_timeout": 0.05}
    async with hs.Pull(bind=endpoint, **options) as pull:
        peer = await Peer.connect(pull, "PUSH")
        body = bytes(1_000_000)
        await peer.sock.send(b"\2" + len(body).to_bytes(8, "big") + body[:50_000])
        for at in range(50_000, 100_000, 1000):
            await peer.sock.send(body[at : at + 1000])
            await settle()
            mock_clock.jump(0.01)
        rest = trio.SocketStream(peer.sock)
        await rest.send_all(body[100_000:])
        with trio.fail_after(30):
            assert await pull.recv() == body
        assert pull.stats().disconnects == 0
        peer.sock.close()


async def test_an_end_within_a_large_message_is_no_reset(endpoint: str) -> None:
    async with trio.open_nursery() as nursery:
        pair = hs.Pair(bind=endpoint, linger=30)
        opened, leave = trio.Event(), trio.Event()

        async def use() -> None:
            async with pair:
                opened.set()
                await leave.wait()
                await pair.send(b"farewell")

        nursery.start_soon(use)
        await opened.wait()
        peer = await Peer.connect(pair, "PAIR")
        await peer.sock.send(b"\2" + (1_000_000).to_bytes(8, "big") + bytes(50_000))
        await settle()
        await peer.sock.send(bytes(1000))
        leave.set()
        await settle()
        await peer.sock.send(bytes(1000))
        await settle()
        got = b""
        while data := await peer.sock.recv(1000):
            got += data
        assert got == b"\0\10farewell"
        peer.sock.close()
