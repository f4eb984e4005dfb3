"""ROUTER to DEALER: requests there, replies back."""

# ruff: noqa: SIM117 - the device outside, and inside of it who talks to it

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import TCP, Theirs, eventually, running, serve

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("clients", ["ours", "theirs"])
@pytest.mark.parametrize("workers", ["ours", "theirs"])
async def test_requests_and_replies(clients: str, workers: str) -> None:
    front, back = hs.Router(bind=TCP), hs.Dealer(bind=TCP)
    async with running("queue", front, back) as device, trio.open_nursery() as nursery:
        my_client, their_client = hs.Req(connect=front.endpoints), Theirs("REQ")
        my_worker, their_worker = hs.Rep(connect=back.endpoints), Theirs("REP")
        async with my_client, their_client, my_worker, their_worker:
            client: hs.Req | Theirs = my_client
            worker: hs.Rep | Theirs = my_worker
            if clients == "theirs":
                client = their_client
                their_client.connect(front.endpoints[0])
            if workers == "theirs":
                await my_worker.aclose()
                await eventually(lambda: not any(p.connected for p in back.stats().peers))
                worker = their_worker
                their_worker.connect(back.endpoints[0])
            nursery.start_soon(serve, worker, b"w")
            for number in range(100):
                await client.send_multipart([b"%d" % number, b"", b"more"])
                assert await client.recv_multipart() == [b"w", b"%d" % number, b"", b"more"]
            stats = device.stats()
            assert stats.frontend.messages_in == stats.backend.messages_out == 100
            assert stats.backend.messages_in == stats.frontend.messages_out == 100
            assert stats.frontend.bytes_in == stats.backend.bytes_out
            nursery.cancel_scope.cancel()


async def test_workers_have_requests_in_turn_and_may_come_and_go() -> None:
    front, back = hs.Router(bind=TCP), hs.Dealer(bind=TCP)
    async with (
        running("queue", front, back),
        hs.Req(connect=front.endpoints) as client,
        trio.open_nursery() as nursery,
    ):
        async with hs.Rep(connect=back.endpoints) as one, hs.Rep(connect=back.endpoints) as two:
            await back.wait_connected(2)
            async with trio.open_nursery() as serving:
                serving.start_soon(serve, one, b"one")
                serving.start_soon(serve, two, b"two")
                names = [(await client.request_multipart([b"?"]))[0] for _ in range(10)]
                assert names.count(b"one") == names.count(b"two") == 5
                serving.cancel_scope.cancel()
        await eventually(lambda: not any(peer.connected for peer in back.stats().peers))
        # Nobody is there now: the request waits in the queue.
        got: list[list[bytes]] = []

        @nursery.start_soon
        async def ask() -> None:
            got.append(await client.request_multipart([b"late"]))

        await trio.testing.wait_all_tasks_blocked()
        async with hs.Rep(connect=back.endpoints) as three:
            nursery.start_soon(serve, three, b"three")
            await eventually(lambda: got == [[b"three", b"late"]])
            nursery.cancel_scope.cancel()


async def test_many_clients_each_get_their_own_replies() -> None:
    front, back = hs.Router(bind=TCP), hs.Dealer(bind=TCP)
    async with running("queue", front, back), trio.open_nursery() as nursery:
        async with Theirs("REP") as one, hs.Rep(connect=back.endpoints) as two:
            one.connect(back.endpoints[0])
            nursery.start_soon(serve, one, b"w")
            nursery.start_soon(serve, two, b"w")

            async def ask(name: bytes) -> None:
                async with hs.Req(connect=front.endpoints) as client:
                    for number in range(20):
                        body = b"%s %d" % (name, number)
                        assert await client.request_multipart([body]) == [b"w", body]

            async with trio.open_nursery() as asking:
                for number in range(10):
                    asking.start_soon(ask, b"client %d" % number)
            nursery.cancel_scope.cancel()


async def test_a_reply_without_an_envelope_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    front, back = hs.Router(bind="inproc://front"), hs.Dealer(bind="inproc://back")
    async with running("queue", front, back) as device:
        async with hs.Dealer(connect="inproc://back") as odd:
            await odd.send(b"to nobody")
            await odd.send(b"again")
            await eventually(lambda: device.stats().undelivered == 2)
            assert device.stats().reasons == {"malformed": 2}
    assert [one.levelname for one in caplog.records if "routing id" in one.message] == ["WARNING"]


async def test_a_client_that_has_gone_is_counted_where_it_is_mandatory() -> None:
    front = hs.Router(bind="inproc://front", router_mandatory=True)
    back = hs.Dealer(bind="inproc://back")
    async with running("queue", front, back) as device:
        async with hs.Dealer(connect="inproc://back") as worker:
            async with hs.Dealer(connect="inproc://front") as client:
                await client.send(b"?")
                request = await worker.recv_multipart()
            await eventually(lambda: not front.stats().peers)
            await worker.send_multipart(request)
            await eventually(lambda: device.stats().reasons == {"HostUnreachable": 1})
