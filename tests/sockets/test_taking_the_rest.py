"""Unbinding a socket that only receives loses nothing of what its peers have written."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.transports import _poller
from hypersocket.zmtp import Connection

from .worlds import eventually

MESSAGES = 3000


@pytest.fixture(params=["epoll", "tasks"])
def traffic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "tasks":
        monkeypatch.setattr(_poller, "AVAILABLE", False)
    return str(request.param)


@pytest.mark.parametrize("how", ["unbind", "disconnect"])
async def test_what_is_under_way_still_arrives(anywhere: str, how: str, traffic: str) -> None:
    """With more under way than there is room for, while somebody receives."""
    binding: Any
    pull, push = hs.Pull(rcvhwm=10), hs.Push(sndhwm=0, linger=0)
    binding, dialling = (pull, push) if how == "unbind" else (push, pull)
    async with pull, push:
        endpoint = await binding.bind(anywhere)
        await dialling.connect(endpoint)
        await push.wait_connected()
        await push.send_many([b"%d" % number + bytes(100) for number in range(MESSAGES)])
        await eventually(lambda: push.stats().messages_out > 100 or anywhere.startswith("inproc"))
        got: list[bytes] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                while True:
                    got.extend(await pull.recv_many())

            await getattr(pull, how)(endpoint)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await eventually(lambda: not any(peer.connected for peer in push.stats().peers))
        stats = push.stats()
        assert got == [b"%d" % number + bytes(100) for number in range(len(got))]
        if not anywhere.startswith("inproc"):
            # Tasks do not know how much of the last batch was written.
            assert len(got) >= stats.messages_out
            assert len(got) == stats.messages_out or traffic == "tasks"


@pytest.mark.usefixtures("traffic")
async def test_a_peer_that_does_not_end_is_waited_for_no_longer_than_linger(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with hs.Pull(bind="tcp://127.0.0.1:*", linger=3, handshake_ivl=0) as pull:
        stream = await trio.open_tcp_stream("127.0.0.1", int(pull.endpoints[0].split(":")[-1]))
        async with stream:
            conn = Connection("PUSH", as_server=False, now=trio.current_time())
            await stream.send_all(conn.data_to_send())
            while not pull.stats().peers:
                conn.receive(await stream.receive_some(), trio.current_time())
                conn.next_events(1)
                await stream.send_all(conn.data_to_send() or b"")
                await trio.testing.wait_all_tasks_blocked()
            begun = trio.current_time()
            await pull.unbind(pull.endpoints[0])
            assert trio.current_time() - begun == pytest.approx(3)


BEGUN = {
    "part of a short body": (b"\x00\x05ab", b"cde", [b"abcde"]),
    "part of a long body": (
        b"\x02" + (40_000).to_bytes(8, "big") + bytes(20_000),
        bytes(20_000),
        [bytes(40_000)],
    ),
    "some frames": (b"\x01\x01a", b"\x00\x01b", [b"a", b"b"]),
    "part of a header": (b"\x00\x01z\x00", b"\x01a", [b"a"]),
}


@pytest.mark.skipif(not _poller.AVAILABLE, reason="tasks tell the peer at once")
@pytest.mark.parametrize(("first", "rest", "message"), BEGUN.values(), ids=BEGUN.keys())
async def test_a_peer_that_has_begun_a_message_is_not_told_before_its_end(
    first: bytes, rest: bytes, message: list[bytes], mock_clock: trio.testing.MockClock
) -> None:
    """libzmq forgets what it has begun when it learns of our end.

    Time stands still, so that patience does not end.
    """
    assert mock_clock.rate == 0
    async with hs.Pull(bind="tcp://127.0.0.1:*", linger=9, handshake_ivl=0) as pull:
        stream = await trio.open_tcp_stream("127.0.0.1", int(pull.endpoints[0].split(":")[-1]))
        async with stream:
            conn = Connection("PUSH", as_server=False, now=trio.current_time())
            await stream.send_all(conn.data_to_send())
            while not pull.stats().peers:
                conn.receive(await stream.receive_some(), trio.current_time())
                conn.next_events(1)
                await stream.send_all(conn.data_to_send() or b"")
                await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(first)
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pull.unbind, pull.endpoints[0])
                await trio.testing.wait_all_tasks_blocked()
                while stream.socket.is_readable():  # what is left of the handshake
                    assert await stream.receive_some() != b""
                await stream.send_all(rest)
                assert await stream.receive_some() == b""
                await stream.aclose()
        got = [await pull.recv_multipart() for _ in range(pull.stats().queued_in)]
        assert got[-1] == message
