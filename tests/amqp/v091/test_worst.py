"""Brokers, and peers behind them, at their worst: each of these once ended or lost something."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from pamqp import commands

from hypersocket.amqp import (
    CONFIRMED,
    ConnectionLost,
    Outcome,
    Properties,
    Publication,
    Result,
)
from hypersocket.amqp.v091 import ACCEPTED, ChannelEnded, Ended, Message, Settled, Settlements
from hypersocket.devices.amqp_gateway._client import BrokerAddress
from hypersocket.devices.amqp_gateway.clients.v091 import connect

from .peers import method, open_ok, opened, publication, publishing, read, returned, start, tune
from .test_link import scene
from .test_publishing import packed


@pytest.mark.parametrize(("size", "fits"), [(4063, True), (4064, False), (100_000, False)])
def test_properties_that_no_frame_can_hold_are_refused(size: int, fits: bool) -> None:
    """RabbitMQ ends the connection for them, and all that goes over it."""
    said = Properties(headers={"h": "x" * size})
    big, good = publication(properties=said), publication(b"good")
    frames, refused = packed([big, good], frame_max=4096)
    assert frames[-1].value == b"good"
    assert [one for one, _ in refused] == ([] if fits else [big])
    assert fits or "room for 4076" in refused[0][1]


def test_settlements_behind_one_that_stays_unsettled_are_forgotten() -> None:
    settlements = Settlements()
    (first,) = messages(settlements, [1])
    before = held = 0
    tracemalloc.start()
    try:
        for tag in range(2, 20_000):
            settlements.settle(messages(settlements, [tag]), ACCEPTED)
            (ack,) = read(settlements.write(1))
            assert (ack.delivery_tag, ack.multiple) == (tag, False)
            if tag == 2_000:
                before, _ = tracemalloc.get_traced_memory()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held - before < 100_000
    settlements.settle([first], ACCEPTED)
    (ack,) = read(settlements.write(1))
    assert ack.delivery_tag == 1
    assert settlements.unsettled == 0


def messages(settlements: Settlements, tags: Sequence[int]) -> list[Message]:
    made = [Message(settlements, tag, False, b"\0\0", b"\0\0", b"") for tag in tags]
    settlements.add(made)
    return made


class TestClosingChannels:
    def test_what_was_returned_is_not_confirmed(self) -> None:
        connection = opened()
        channel = publishing(connection)
        one, two = publication(b"1"), publication(b"2")
        channel.publish([one, two])
        channel.close()
        came = returned("key", b"1") + method(commands.Basic.Ack(2, True), 1)
        events = connection.receive(came + method(commands.Channel.CloseOk(), 1))
        assert events == [
            Settled(channel, [one], Outcome(Result.RETURNED, "312 NO_ROUTE")),
            Settled(channel, [two], CONFIRMED),
            ChannelEnded(channel, None),
        ]

    def test_what_was_confirmed_is_told_though_the_connection_breaks(self) -> None:
        connection = opened()
        channel = publishing(connection)
        one = publication()
        channel.publish([one])
        channel.close()
        events = connection.receive(method(commands.Basic.Ack(1, False), 1)) + connection.eof()
        assert events[0] == Settled(channel, [one], CONFIRMED)
        assert isinstance(events[1], Ended)

    def test_what_comes_back_to_a_sender_that_gave_it_up_ends_nothing(self) -> None:
        connection = opened()
        channel = publishing(connection)
        channel.publish([publication()])
        channel.close()
        assert channel.confirms is not None
        channel.confirms.abandon()
        came = returned("key", b"body") + method(commands.Basic.Ack(1, False), 1)
        events = connection.receive(came + method(commands.Channel.CloseOk(), 1))
        assert events == [ChannelEnded(channel, None)]


class TestCallbacksThatRaise:
    async def test_outcomes(self, caplog: pytest.LogCaptureFixture) -> None:
        async with scene() as it:

            def fail(publications: Sequence[Publication], outcome: Outcome) -> None:
                raise ZeroDivisionError

            it.on_settled = fail  # type: ignore[method-assign]
            sender = await it.sender()
            await sender.send([publication()])
            await it.hear()
            with caplog.at_level(logging.ERROR, "hypersocket"):
                await it.say(method(commands.Basic.Ack(1, False), 1))
                await sender.wait_settled()
            assert it.client.lost is None
            assert "the callback for outcomes raised" in caplog.text

    async def test_blocked(self, caplog: pytest.LogCaptureFixture) -> None:
        async with scene() as it:

            def fail(reason: str | None) -> None:
                raise ZeroDivisionError

            it.link._on_blocked = fail
            await it.say(method(commands.Connection.Blocked("no disk")))
            await trio.testing.wait_all_tasks_blocked()
            assert it.client.blocked == "no disk"
            assert it.client.lost is None
            assert "the callback for a blocked connection raised" in caplog.text


class TestRightAfterTheHandshake:
    """What comes in the same bytes as Connection.OpenOk."""

    async def connected(self, more: bytes, then: Any) -> None:
        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                for word in (start(), tune(), open_ok() + more):
                    await stream.receive_some()
                    await stream.send_all(word)
                while await stream.receive_some():
                    pass

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, serve, listeners)
                port = listeners[0].socket.getsockname()[1]
                await then(BrokerAddress(host="127.0.0.1", port=port, connect_timeout=30))
                nursery.cancel_scope.cancel()

    async def test_the_end(self) -> None:
        async def then(address: BrokerAddress) -> None:
            with pytest.raises(ConnectionLost, match="530 NOT_ALLOWED - too many"):
                async with connect(address):
                    pytest.fail("it is closed")

        await self.connected(method(commands.Connection.Close(530, "too many", 0, 0)), then)

    async def test_that_it_is_blocked(self) -> None:
        said: list[str | None] = []

        async def then(address: BrokerAddress) -> None:
            async with connect(address, on_blocked=said.append) as client:
                assert client.blocked == "no disk"

        await self.connected(method(commands.Connection.Blocked("no disk")), then)
        assert said[0] == "no disk"
