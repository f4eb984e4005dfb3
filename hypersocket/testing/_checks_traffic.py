"""Checks of socket types: sending and receiving, waiting and cancelling."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from .._errors import MultipartError
from ._asserting import cancelled_after, expect, raises, same, until, within
from ._socket_scene import (
    SocketChecks,
    SocketType,
    Talk,
    can_receive,
    can_send,
    is_strict,
    talk,
)
from ._transport_scene import MakeEndpoint

TRAFFIC_CHECKS = SocketChecks()

BUDGET = 1024
"""The most calls in a row that may finish without letting other tasks run."""


@TRAFFIC_CHECKS
async def messages_leave(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """What is sent arrives: single-part, empty, multipart, from any bytes-like object."""
    if not can_send(cls) or not can_receive(peer_cls):
        return
    for body in ([b"one"], [b""], [b"a", b"", b"b"], [b"x" * 70_000]):
        async with talk(cls, peer_cls, make) as scene:
            await scene.turn_to_send()
            frames = scene.outgoing(*body)
            with within("a message is sent and arrives"):
                await scene.socket.send_multipart(
                    [bytearray(frame) if frame else memoryview(frame) for frame in frames]
                )
                got = await scene.peer.recv_multipart()
            same(got, scene.received_by_peer(*body), "a message arrives as it was sent")
            # The peer may have it before the transport says that it has written it.
            await until(
                lambda: scene.socket.stats().messages_out > 0,
                "sent messages are counted",
            )
            for wrong in ("text", 5, None):
                with raises(TypeError, f"{wrong!r} is no message"):
                    await scene.socket.send(wrong)
                with raises(TypeError, f"{wrong!r} is no multipart message"):
                    await scene.socket.send_multipart(wrong)
            with raises(ValueError, "a message has at least one frame"):
                await scene.socket.send_multipart([])


@TRAFFIC_CHECKS
async def messages_come(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """What the peer sends is received, by every form of the call."""
    if not can_receive(cls) or not can_send(peer_cls):
        return
    for body in ([b"one"], [b""], [b"a", b"", b"b"], [b"x" * 70_000]):
        for nowait in (False, True):
            async with talk(cls, peer_cls, make) as scene:
                await scene.turn_to_receive()
                with raises(trio.WouldBlock, "recv_nowait without a message"):
                    scene.socket.recv_nowait()
                with raises(trio.WouldBlock, "recv_multipart_nowait without a message"):
                    scene.socket.recv_multipart_nowait()
                await scene.deliver(*body)
                await scene.arrival()
                wanted = scene.received(*body)
                same(await _receive(scene.socket, wanted, nowait), wanted, "what came is received")
                same(scene.socket.stats().queued_in, 0, "what was taken is no longer queued")


async def _receive(socket: Any, wanted: list[bytes], nowait: bool) -> list[bytes]:
    with within("a message that is there is received"):
        if len(wanted) == 1:
            return [socket.recv_nowait() if nowait else await socket.recv()]
        frames: list[bytes] = (
            socket.recv_multipart_nowait() if nowait else await socket.recv_multipart()
        )
        return frames


@TRAFFIC_CHECKS
async def single_part_calls_leave_multipart_messages(
    cls: SocketType, peer_cls: SocketType, make: MakeEndpoint
) -> None:
    """``recv`` of a multipart message raises MultipartError; the message stays."""
    if not can_receive(cls) or not can_send(peer_cls):
        return
    async with talk(cls, peer_cls, make) as scene:
        await scene.turn_to_receive()
        await scene.deliver(b"a", b"b")
        await scene.arrival()
        names = [name for name in ("recv", "recv_many") if hasattr(cls, name)]
        for name in names * 2:
            with raises(MultipartError, f"{name} of a multipart message"):
                await getattr(scene.socket, name)()
        with raises(MultipartError, "recv_nowait of a multipart message"):
            scene.socket.recv_nowait()
        same(scene.socket.stats().queued_in, 1, "a message that was refused is still queued")
        got = await scene.socket.recv_multipart()
        same(got, scene.received(b"a", b"b"), "the message stays where it is")
    async with talk(cls, peer_cls, make) as scene:
        await scene.turn_to_receive()
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with raises(MultipartError, "recv that waits when a multipart message comes"):
                    await scene.socket.recv()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await scene.deliver(b"a", b"b")
        got = await scene.socket.recv_multipart()
        same(got, scene.received(b"a", b"b"), "the message stays where it is")


@TRAFFIC_CHECKS
async def a_cancelled_recv_loses_nothing(
    cls: SocketType, peer_cls: SocketType, make: MakeEndpoint
) -> None:
    """``recv``, cancelled at any point before or after its message came, has not taken it."""
    if not can_receive(cls) or not can_send(peer_cls):
        return
    for steps in range(25):
        async with talk(cls, peer_cls, make) as scene:
            await scene.turn_to_receive()
            got: list[list[bytes]] = []
            async with trio.open_nursery() as nursery:

                async def receive(steps: int = steps) -> None:
                    with cancelled_after(steps, of_all_tasks=True):
                        got.append(await scene.socket.recv_multipart())  # noqa: B023

                nursery.start_soon(receive)
                nursery.start_soon(scene.deliver, b"precious", b"")
            if not got:
                with within(f"what a recv cancelled after {steps} steps left can be received"):
                    got.append(await scene.socket.recv_multipart())
            same(got, [scene.received(b"precious", b"")], "a cancelled recv loses nothing")
            _expect_nothing(scene, "a message is received once")


def _expect_nothing(scene: Talk, contract: str) -> None:
    if is_strict(scene.socket):
        return  # it is not its turn
    with raises(trio.WouldBlock, contract):
        scene.socket.recv_multipart_nowait()


@TRAFFIC_CHECKS
async def a_cancelled_send_has_not_sent(
    cls: SocketType, peer_cls: SocketType, make: MakeEndpoint
) -> None:
    """``send``, cancelled at any point, has sent its message or has not, and says which."""
    if not can_send(cls) or not can_receive(peer_cls) or is_strict(cls) or is_strict(peer_cls):
        return
    for steps in range(25):
        marks: Any = {"sndhwm": 1} if hasattr(cls, "sndhwm") else {}
        async with talk(cls, peer_cls, make, options=marks, peer_options={"rcvhwm": 1}) as scene:
            accepted: list[int] = []
            got: list[bytes] = []

            async def send_all(steps: int = steps) -> None:
                for number in range(6):
                    with cancelled_after(steps, of_all_tasks=True) as scope:
                        await scene.socket.send_multipart(scene.outgoing(b"%d" % number))
                    if not scope.cancelled_caught:
                        accepted.append(number)  # noqa: B023
                    await trio.lowlevel.checkpoint()

            async def receive_all() -> None:
                while True:
                    got.append((await scene.peer.recv_multipart())[-1])  # noqa: B023

            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive_all)
                await send_all()
                await until(
                    lambda: len(got) == len(accepted) - scene.socket.stats().dropped,  # noqa: B023
                    "what was accepted arrives",
                )
                nursery.cancel_scope.cancel()
            numbers = [int(one) for one in got]
            expect(set(numbers) <= set(accepted), "a send that was cancelled has not sent")
            same(numbers, sorted(set(numbers)), "messages keep their order, each once")


@TRAFFIC_CHECKS
async def receivers_are_served_in_order(
    cls: SocketType, peer_cls: SocketType, make: MakeEndpoint
) -> None:
    """Tasks that wait to receive get messages in the order of their coming."""
    if not can_receive(cls) or not can_send(peer_cls) or is_strict(cls) or is_strict(peer_cls):
        return
    async with talk(cls, peer_cls, make) as scene:
        got: dict[int, bytes] = {}
        async with trio.open_nursery() as nursery:

            async def receive(number: int) -> None:
                got[number] = (await scene.socket.recv_multipart())[-1]

            scopes = [trio.CancelScope() for _ in range(6)]

            async def receive_in_scope(number: int) -> None:
                with scopes[number]:
                    await receive(number)

            for number in range(6):
                nursery.start_soon(receive_in_scope, number)
                await trio.testing.wait_all_tasks_blocked()
            scopes[0].cancel()
            scopes[3].cancel()
            await trio.testing.wait_all_tasks_blocked()
            for body in (b"a", b"b", b"c", b"d"):
                await scene.deliver(body)
            await until(lambda: len(got) >= 4, "every task that waits is served")
        same(got, {1: b"a", 2: b"b", 4: b"c", 5: b"d"}, "who waited longest is served first")


@TRAFFIC_CHECKS
async def senders_are_served_in_order(
    cls: SocketType, peer_cls: SocketType, make: MakeEndpoint
) -> None:
    """Tasks that wait to send get room in the order of their coming."""
    if not can_send(cls) or is_strict(cls) or is_strict(peer_cls):
        return
    async with cls(linger=0.0) as socket, peer_cls(linger=0.0) as peer:
        sender: Any = socket
        receiver: Any = peer
        try:
            sender.send_nowait(b"x")
        except trio.WouldBlock:
            pass
        except ValueError:
            return  # it wants an address first, and sends to each by itself
        else:
            return  # it never waits
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(sender.send, b"%d" % number)
                await trio.testing.wait_all_tasks_blocked()
            with raises(trio.WouldBlock, "send_nowait does not go before those who wait"):
                sender.send_nowait(b"pushy")
            await peer.connect(await socket.bind(make()))
            got: list[bytes] = []
            with within("those who waited for a peer are let in when it comes"):
                for _ in range(5):
                    frames = await receiver.recv_multipart()
                    got.append(frames[-1])
        same(got, [b"0", b"1", b"2", b"3", b"4"], "who waited longest sends first")


@TRAFFIC_CHECKS
async def many_tasks(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """Many tasks may receive on one socket: each message reaches one of them."""
    if not can_receive(cls) or not can_send(peer_cls) or is_strict(cls) or is_strict(peer_cls):
        return
    async with talk(cls, peer_cls, make) as scene:
        got: list[int] = []
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                async for frames in scene.socket.multipart():
                    got.append(int(frames[-1]))
                    await trio.lowlevel.checkpoint()

            for _ in range(10):
                nursery.start_soon(receive)
            for number in range(200):
                await scene.deliver(b"%d" % number)
            await until(lambda: len(got) >= 200, "every message is received")
            await scene.socket.aclose()  # which ends the iterations
        same(sorted(got), list(range(200)), "each message is received once")


@TRAFFIC_CHECKS
async def iteration(cls: SocketType, peer_cls: SocketType, make: MakeEndpoint) -> None:
    """``async for`` receives until the socket is closed, by anyone."""
    if not can_receive(cls) or not can_send(peer_cls) or is_strict(cls) or is_strict(peer_cls):
        return
    async with talk(cls, peer_cls, make) as scene:
        got: list[list[bytes]] = []
        for body in (b"a", b"b", b"c"):
            await scene.deliver(body)
        with within("iteration ends when the socket is closed"):
            async for frames in scene.socket.multipart():
                got.append(frames)
                if len(got) == 3:
                    await scene.socket.aclose()
        same(got, [scene.received(body) for body in (b"a", b"b", b"c")], "iteration receives")


@TRAFFIC_CHECKS
async def a_busy_socket_starves_nobody(
    cls: SocketType, peer_cls: SocketType, make: MakeEndpoint
) -> None:
    """Calls that need not wait let other tasks run now and then."""
    if is_strict(cls) or is_strict(peer_cls):
        return
    async with talk(cls, peer_cls, make, options=_no_marks(cls)) as scene:
        if can_send(cls):
            await _check_budget(lambda: scene.socket.send_multipart(scene.outgoing(b"x")), "send")
        if can_receive(cls) and can_send(peer_cls):
            if can_send(cls):
                return  # what was sent fills the peer; receiving has the same budget
            for _ in range(BUDGET):
                await scene.deliver(b"x")
            await until(lambda: scene.socket.stats().queued_in >= BUDGET, "messages arrive")
            await _check_budget(scene.socket.recv_multipart, "recv")


def _no_marks(cls: SocketType) -> dict[str, int]:
    return {name: 0 for name in ("sndhwm", "rcvhwm") if hasattr(cls, name)}


async def _check_budget(call: Any, name: str) -> None:
    ran = False

    async def other() -> None:
        nonlocal ran
        ran = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(BUDGET):
            await call()
            if ran:
                return
        raise AssertionError(
            f"{BUDGET} calls of {name} in a row let no other task run: a call that does not wait "
            "is a checkpoint all the same, once in a bounded number of calls"
        )
