"""What people do wrong, and what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

import hypersocket as hs

from .worlds import eventually, joined

hs_: Any = hs  # a type checker would find most of these


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda: hs_.Pull(bind=5), "bind=5: expected an endpoint"),
        (lambda: hs_.Pull(connect=None), "connect=None: expected an endpoint"),
        (lambda: hs_.Pull(bind=b"tcp://127.0.0.1:*"), "expected an endpoint, which is a str"),
        (lambda: hs_.Pull(rcvtimeo=1), "trio.move_on_after"),
        (lambda: hs_.Dealer(identity=b"x"), "called 'routing_id'"),
        (lambda: hs_.Pull(RCVHWM=1), "did you mean 'rcvhwm'"),
        (lambda: hs_.Pull(sndhwm=1), "other socket types do"),
        (lambda: hs_.Sub(subscribe=5), "a topic is bytes or str, not int"),
        (lambda: hs_.Sub().subscribe(["a"]), "a topic is bytes or str, not list"),
        (lambda: setattr(hs.Pub(), "sndhmw", 5), "did you mean 'sndhwm'"),
        (lambda: setattr(hs.Pull(), "sndhwm", 5), "other socket types do"),
        (lambda: setattr(hs.Pull(), "rcvtimeo", 5), "trio.move_on_after"),
        (lambda: setattr(hs.Sub(), "subscribe", b"a"), "subscribe is called, not set"),
        (lambda: setattr(hs.Pull(), "hwm", 5), "'sndhwm' and 'rcvhwm'"),
    ],
    ids=range(14),
)
def test_wrong_at_once(mistake: Callable[[], Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        mistake()


def test_no_limit_is_zero() -> None:
    with pytest.raises(ValueError, match="0 stands for pyzmq's -1"):
        hs.Pull(rcvhwm=-1)


def test_a_class_of_ones_own_has_attributes_of_its_own() -> None:
    class Mine(hs.Push):
        pass

    mine = Mine()
    mine.purpose = "testing"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="other socket types do"):
        mine.rcvhwm = 1  # type: ignore[attr-defined]


async def test_wrong_batches_and_counts() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        wrong: Any
        for wrong in (3, b"xy", "xy", None):
            with pytest.raises(TypeError, match="expected a sequence of messages"):
                await push.send_many(wrong)
        with pytest.raises(ValueError, match="peers=-1"):
            await pull.wait_connected(-1)
        with pytest.raises(ValueError, match="max=0"):
            await pull.recv_many(max=0)


async def test_another_run_is_told_so() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        call: Any
        for call in (pull.recv, pull.aclose, pull.recv_many):
            with pytest.raises(RuntimeError, match=r"another trio\.run"):
                await trio.to_thread.run_sync(trio.run, call)
        with pytest.raises(RuntimeError, match=r"within trio\.run"):
            await trio.to_thread.run_sync(push.send_nowait, b"lost")
        await push.send(b"found")
        assert await pull.recv() == b"found"


def test_asyncio_is_told_so() -> None:
    async def main() -> None:
        async with hs.Pull():
            pass

    with pytest.raises(RuntimeError, match=r"within trio\.run"):
        asyncio.run(main())


async def test_the_bytes_of_topics_are_bounded(anywhere: str) -> None:
    pub = hs.Pub(max_subscription_bytes=10)
    async with (
        joined(pub, hs.Sub(reconnect_ivl=60.0), anywhere) as (pub, sub),
        pub.monitor() as told,
    ):
        sub.subscribe("12345")
        sub.subscribe("67890")
        await pub.wait_subscribed("67890")
        sub.subscribe("x")
        await eventually(lambda: pub.stats().disconnects)
        async for event in told:
            if isinstance(event, hs.events.Disconnected):
                assert event.reason is hs.Reason.TOO_MANY_SUBSCRIPTIONS
                break


async def test_a_server_that_hangs_up_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    with listener:
        async with hs.Req(connect=f"tcp://127.0.0.1:{port}", linger=0):
            peer, _ = await listener.accept()
            peer.close()
            await eventually(lambda: "handshake" in caplog.text)
    (record,) = (one for one in caplog.records if "handshake" in one.getMessage())
    assert record.levelname == "WARNING"
    assert "perhaps it asks for another security mechanism" in record.getMessage()


async def test_a_call_is_awaited_once() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        call = push.send(b"once")
        await call
        with pytest.raises(RuntimeError, match=r"cannot (await|reuse)"):
            await call
        assert await pull.recv() == b"once"
        with pytest.raises(trio.WouldBlock):
            pull.recv_nowait()
