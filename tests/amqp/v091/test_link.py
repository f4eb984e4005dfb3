"""The client's tasks against a broker that does what no real one can be made to do."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio.testing
from pamqp import commands, heartbeat

from hypersocket.amqp import (
    CONFIRMED,
    ChannelLost,
    ConnectionLost,
    Outcome,
    Publication,
    Queue,
    Result,
    Subscription,
)
from hypersocket.devices.amqp_gateway._client import BrokerAddress, PromptSender, Receiver
from hypersocket.devices.amqp_gateway.clients.v091 import connect
from hypersocket.devices.amqp_gateway.clients.v091._client import BrokerClient
from hypersocket.devices.amqp_gateway.clients.v091._link import MAX_UNWRITTEN, Link

from .peers import content, deliver, method, opened, publication, read, start, tune

GRANTS: dict[type[Any], Callable[[Any], Any]] = {
    commands.Channel.Open: lambda _: commands.Channel.OpenOk(),
    commands.Channel.Close: lambda _: commands.Channel.CloseOk(),
    commands.Confirm.Select: lambda _: commands.Confirm.SelectOk(),
    commands.Basic.Qos: lambda _: commands.Basic.QosOk(),
    commands.Basic.Consume: lambda asked: commands.Basic.ConsumeOk(asked.consumer_tag),
    commands.Queue.Declare: lambda asked: commands.Queue.DeclareOk(asked.queue, 0, 0),
    commands.Connection.Close: lambda _: commands.Connection.CloseOk(),
}


class Scene:
    """A client on an open connection, and the broker's end of it."""

    def __init__(self, near: trio.StapledStream[Any, Any], far: Any, **changes: Any) -> None:
        self.far = far
        self.connection = opened(**changes)
        self.blocked: list[str | None] = []
        self.link = Link(near, self.connection, self.connection._heartbeat, self.blocked.append)
        self.client = BrokerClient(self.link, {}, "test")
        self.outcomes: dict[Publication, Outcome] = {}
        self.batches = 0

    def on_settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.batches += 1
        for one in publications:
            assert one not in self.outcomes
            self.outcomes[one] = outcome

    async def say(self, data: bytes) -> None:
        await self.far.send_all(data)

    async def hear(self) -> list[Any]:
        return read(bytes(await self.far.receive_some()))

    async def grant(self, requests: int, channel: int = 1) -> None:
        """Say yes to so many requests."""
        while requests:
            for one in await self.hear():
                await self.say(method(GRANTS[type(one)](one), channel))
                requests -= 1
        await trio.testing.wait_all_tasks_blocked()

    async def asked(self, request: Callable[[], Any], grants: int, channel: int = 1) -> Any:
        """The answer to a request that the broker grants."""
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await request())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await self.grant(grants, channel)
        return answers[0]

    async def sender(self, **options: Any) -> PromptSender:
        opening = self.asked(lambda: self.client.open_sender(self.on_settled, **options), 2)
        return cast("PromptSender", await opening)

    async def receiver(self) -> Receiver:
        wanted = Subscription(queue="q")
        return cast("Receiver", await self.asked(lambda: self.client.open_receiver(wanted), 3))


@asynccontextmanager
async def scene(
    pair: Any = trio.testing.memory_stream_pair, **changes: Any
) -> AsyncIterator[Scene]:
    made = Scene(*pair(), **changes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.link.run)
        try:
            yield made
        finally:
            made.link.stop()


class TestTime:
    async def test_heartbeats_both_ways(self, autojump_clock: trio.testing.MockClock) -> None:
        async with scene(heartbeat=5) as it:
            heard: list[float] = []

            async def listen() -> None:
                while it.client.lost is None:
                    for one in await it.hear():
                        assert isinstance(one, heartbeat.Heartbeat)
                        heard.append(trio.current_time())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                for _ in range(20):
                    await trio.sleep(4)
                    await it.say(heartbeat.Heartbeat().marshal())
                assert it.client.lost is None
                last = trio.current_time()
                lost = await it.client.wait_lost()
                nursery.cancel_scope.cancel()
            assert trio.current_time() == pytest.approx(last + 10)
            assert "nothing came for 10 s, not even a heartbeat" in str(lost)
            assert lost.temporary
            gaps = [after - before for before, after in itertools.pairwise(heard)]
            assert gaps == pytest.approx([2.5] * len(gaps))
            assert len(heard) >= 32

    async def test_no_heartbeats_wanted(self, autojump_clock: trio.testing.MockClock) -> None:
        async with scene(heartbeat=0) as it:
            await trio.sleep(50_000)
            assert it.client.lost is None

    async def test_a_broker_that_does_not_close(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with scene() as it:
            before = trio.current_time()
            await it.link.close()
            assert trio.current_time() == pytest.approx(before + 5)
            with pytest.raises(ConnectionLost, match="being closed"):
                await it.client.open_sender(it.on_settled)


class TestWriting:
    async def test_what_is_sent_in_one_turn_is_written_at_once(self) -> None:
        async with scene() as it:
            sender = await it.sender()
            sends = 0
            stream = cast("Any", it.link._stream).send_stream
            deliver_it = stream.send_all_hook

            async def count() -> None:
                nonlocal sends
                sends += 1
                await deliver_it()

            stream.send_all_hook = count
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(sender.send, [publication(b"x")])
            frames: list[Any] = []
            while len(frames) < 150:
                frames += await it.hear()
            assert sends <= 2
            await it.say(method(commands.Basic.Ack(50, True), 1))
            await sender.wait_settled()
            assert set(it.outcomes.values()) == {CONFIRMED}
            assert it.batches == 1

    async def test_settlements_are_written_together(self) -> None:
        async with scene() as it:
            receiver = await it.receiver()
            await it.say(b"".join(deliver(n) for n in range(1, 101)))
            deliveries = await receiver.receive()
            assert len(deliveries) == 100
            for one in deliveries:
                receiver.accept([one])
            (ack,) = await it.hear()
            assert (ack.delivery_tag, ack.multiple) == (100, True)

    async def test_memory_is_bounded_while_the_broker_does_not_read(self) -> None:
        async with scene(trio.testing.lockstep_stream_pair) as it:
            sender = await it.sender()
            publications = [publication(bytes(1000)) for _ in range(5000)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.send, publications)
                await trio.testing.wait_all_tasks_blocked()
                assert 0 < sender.taken < 5000
                held = it.link._in_flight + it.connection.unwritten
                assert MAX_UNWRITTEN < held < 2 * MAX_UNWRITTEN
                taken = sender.taken
                nursery.cancel_scope.cancel()
            assert sender.taken == taken == sender.unsettled
            frames: list[Any] = []
            rest = b""
            while len(rest) < taken * 1000:
                rest += bytes(await it.far.receive_some())
                await trio.testing.wait_all_tasks_blocked()
            frames = read(rest)
            assert len(frames) == taken * 3  # those that were taken, and no others
            await it.say(method(commands.Basic.Ack(taken, True), 1))
            await sender.wait_settled()
            assert list(it.outcomes) == publications[:taken]

    async def test_blocked_and_unblocked(self) -> None:
        async with scene() as it:
            sender = await it.sender()
            await it.say(method(commands.Connection.Blocked("no disk")))
            await trio.testing.wait_all_tasks_blocked()
            assert it.client.blocked == "no disk"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.send, [publication()])
                await trio.testing.wait_all_tasks_blocked()
                assert sender.taken == 0
                await it.say(method(commands.Connection.Unblocked()))
            assert sender.taken == 1
            assert it.blocked == ["no disk", None]

    async def test_flow(self) -> None:
        async with scene() as it:
            sender = await it.sender()
            await it.say(method(commands.Channel.Flow(False), 1))
            await it.hear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.send, [publication()])
                await trio.testing.wait_all_tasks_blocked()
                assert sender.taken == 0
                await it.say(method(commands.Channel.Flow(True), 1))
            assert sender.taken == 1

    async def test_a_dead_channel_does_not_wait_for_a_blocked_connection(self) -> None:
        async with scene() as it:
            sender = await it.sender()
            await it.say(method(commands.Connection.Blocked("no disk")))
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    with pytest.raises(ChannelLost, match="406"):
                        await sender.send([publication()])

                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked()
                await it.say(method(commands.Channel.Close(406, "", 0, 0), 1))


class TestEnds:
    @pytest.mark.parametrize("how", ["garbage", "eof", "close"])
    async def test_everything_on_it_has_ended(
        self, how: str, mock_clock: trio.testing.MockClock
    ) -> None:
        async with scene() as it:
            sender = await it.sender()
            publications = [publication(), publication()]
            await sender.send(publications)
            await it.hear()
            await it.say(method(commands.Basic.Ack(1, False), 1))
            if how == "garbage":
                await it.say(b"GARBAGE!")
            elif how == "eof":
                await it.far.aclose()
            else:
                await it.say(method(commands.Connection.Close(541, "INTERNAL_ERROR", 0, 0)))
            lost = await it.client.wait_lost()
            assert lost.temporary
            await sender.wait_settled()
            assert it.outcomes[publications[0]] == CONFIRMED
            assert it.outcomes[publications[1]] == Outcome(Result.UNKNOWN, str(lost))
            with pytest.raises(ConnectionLost) as caught:
                await sender.send(publications)
            assert caught.value is not lost
            assert str(caught.value) == str(lost)
            with pytest.raises(ConnectionLost):
                await it.client.declare([Queue(name="q")])
            if how != "eof":
                answer = (
                    commands.Connection.Close if how == "garbage" else commands.Connection.CloseOk
                )
                assert isinstance((await it.hear())[-1], answer)
            assert sender.taken == 2

    async def test_the_brokers_last_words_are_read_though_writing_fails(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with scene() as it:
            sender = await it.sender()
            it.far.receive_stream.close()
            await sender.send([publication()])
            await trio.testing.wait_all_tasks_blocked()
            assert it.client.lost is None
            await it.say(method(commands.Connection.Close(320, "bye", 0, 0)))
            assert "320 CONNECTION_FORCED - bye" in str(await it.client.wait_lost())

    async def test_writing_fails_and_nothing_is_said(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with scene() as it:
            sender = await it.sender()
            it.far.receive_stream.close()
            await sender.send([publication()])
            assert "broke" in str(await it.client.wait_lost())
            await sender.wait_settled()
            assert [one.result for one in it.outcomes.values()] == [Result.UNKNOWN]

    async def test_without_confirms_what_was_not_written_is_unknown(self) -> None:
        async with scene(trio.testing.lockstep_stream_pair) as it:
            opening = it.asked(lambda: it.client.open_sender(it.on_settled, confirm=False), 1)
            sender = await opening
            first, second = publication(), publication(bytes(100_000))
            await sender.send([first])
            await it.hear()
            await sender.wait_settled()
            await sender.send([second])
            await trio.testing.wait_all_tasks_blocked()
            assert sender.unsettled == 1
            await it.far.aclose()
            await sender.wait_settled()
            assert it.outcomes[first] == CONFIRMED
            assert it.outcomes[second].result is Result.UNKNOWN

    async def test_deliveries_of_an_ended_channel_are_the_brokers_again(self) -> None:
        async with scene() as it:
            receiver = await it.receiver()
            await it.say(deliver(1))
            (one,) = await receiver.receive()
            await it.say(deliver(2) + method(commands.Channel.Close(404, "gone", 0, 0), 1))
            with pytest.raises(ChannelLost, match="queue 'q': 404 NOT_FOUND - gone"):
                await receiver.receive()
            assert receiver.unsettled == 0
            receiver.accept([one])
            assert [type(said) for said in await it.hear()] == [commands.Channel.CloseOk]


class TestRequests:
    async def test_a_late_reply_is_not_anybody_elses(self) -> None:
        async with scene() as it:
            first = Queue(name="first")
            await it.asked(lambda: it.client.declare([first]), 2)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(it.client.declare, [Queue(name="late")])
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            second = Queue(name="second")
            assert await it.asked(lambda: it.client.declare([second]), 2) == ["second"]

    async def test_all_channels_are_in_use(self) -> None:
        async with scene() as it:
            it.connection.channel_max = 1
            await it.sender()
            with pytest.raises(ChannelLost, match="the broker allows 1") as caught:
                await it.client.open_receiver(Subscription(queue="q"))
            assert caught.value.temporary

    async def test_returned_and_confirmed_in_one_breath(self) -> None:
        async with scene() as it:
            sender = await it.sender()
            publications = [publication(b"same", key="a"), publication(b"same", key="b")]
            await sender.send(publications)
            await it.hear()
            back = commands.Basic.Return(312, "NO_ROUTE", "", "b")
            await it.say(content(back, b"same", 1) + method(commands.Basic.Ack(2, True), 1))
            await sender.wait_settled()
            assert it.outcomes[publications[0]] == CONFIRMED
            assert it.outcomes[publications[1]] == Outcome(Result.RETURNED, "312 NO_ROUTE")


class TestConnecting:
    @asynccontextmanager
    async def broker(
        self, *words: bytes, clock: trio.testing.MockClock | None = None
    ) -> AsyncIterator[BrokerAddress]:
        """Says one thing for each that it hears, then hangs up.

        With a clock it says nothing more instead, and the client's time to connect is over as soon
        as the client waits for the next word: not before, however slow the machine is.
        """
        patience = 30.0

        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                for word in words:
                    await stream.receive_some()
                    await stream.send_all(word)
                await stream.receive_some()
                if clock is not None:
                    clock.jump(patience)
                    await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            port = listeners[0].socket.getsockname()[1]
            yield BrokerAddress(
                host="127.0.0.1",
                port=port,
                username="u",
                password="sesame",
                connect_timeout=patience,
            )
            nursery.cancel_scope.cancel()

    async def refused(self, address: BrokerAddress) -> ConnectionLost:
        with pytest.raises(ConnectionLost) as caught:
            async with connect(address):
                pytest.fail("there was no broker")
        assert "sesame" not in str(caught.value)
        assert f"127.0.0.1:{address.port}" in str(caught.value)
        return caught.value

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ([], "waited for the broker's greeting"),
            ([start()], "waited for the answer to the log-in"),
            ([start(), tune()], "waited for the virtual host to open"),
        ],
    )
    async def test_a_broker_that_falls_silent(
        self, words: list[bytes], text: str, mock_clock: trio.testing.MockClock
    ) -> None:
        async with self.broker(*words, clock=mock_clock) as address:
            error = await self.refused(address)
        assert text in str(error)
        assert error.temporary

    @pytest.mark.parametrize(
        ("words", "text", "temporary"),
        [
            ([start()], "hung up at the log-in; it may have refused it", True),
            ([b"AMQP\x00\x01\x00\x00"], "AMQP 1.0.0", False),
            ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "no frame begins with b'HTTP", False),
        ],
    )
    async def test_not_let_in(self, words: list[bytes], text: str, temporary: bool) -> None:
        async with self.broker(*words) as address:
            error = await self.refused(address)
        assert text in str(error)
        assert error.temporary is temporary

    async def test_nobody_listens(self) -> None:
        with trio.socket.socket() as taken:
            await taken.bind(("127.0.0.1", 0))  # so that nobody else listens there meanwhile
            port = taken.getsockname()[1]
            error = await self.refused(BrokerAddress(host="127.0.0.1", port=port))
        assert "cannot be reached: Connection refused" in str(error)
        assert error.temporary
