"""Ctrl-C: ends at once, as itself, whatever is queued and however long one could linger."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import joined

PROGRAM = """
import math, signal, trio
import hypersocket as hs

signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    async with (
        hs.Pull(bind="tcp://127.0.0.1:*") as pull,
        hs.Push(connect="tcp://127.0.0.1:1", linger=math.inf) as push,
    ):
        for number in range(1000):
            push.send_nowait(b"%d" % number)
        print("ready", flush=True)
        {wait}

trio.run(main)
"""


@pytest.mark.parametrize("wait", ["await pull.recv()", "pass"], ids=["in the body", "lingering"])
def test_sigint_ends_a_program_at_once(wait: str) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(wait=wait)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "ExceptionGroup" not in errors
    assert process.returncode == -signal.SIGINT


def test_an_interrupt_while_a_socket_waits_for_its_transport() -> None:
    """Everything is written, but the peer's system has not taken all of it."""
    lingered = False

    async def interrupt(push: hs.Push) -> None:
        nonlocal lingered
        while push.stats().queued_out or "closed" not in repr(push):  # noqa: ASYNC110
            await trio.sleep(0.001)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        lingered = push.stats().peers != ()
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        async with hs.Pull(bind="tcp://127.0.0.1:*", rcvhwm=1, rcvbuf=4096) as pull:
            push = hs.Push(connect=pull.endpoints[0], linger=math.inf, sndbuf=1 << 20)
            async with push:
                await push.send_many([b"", b"", b""])
                await trio.testing.wait_all_tasks_blocked(0.01)  # it reads no more
                await push.send_many([bytes(1000)] * 12)
                trio.lowlevel.spawn_system_task(interrupt, push)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert lingered


# Anywhere within a call


class Everywhere:
    """Interrupts where our code calls its function number so and so, or is called by the core."""

    def __init__(self, place: int) -> None:
        self.left = place

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event in {"call", "c_call"} and OURS in frame.f_code.co_filename:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)


OURS = str(Path(hs.__file__).parent)
Call = Callable[..., Awaitable[Any]]


def worlds() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    return {
        "push and pull": (lambda: hs.Push(sndhwm=4), lambda: hs.Pull(rcvhwm=2)),
        "pub and sub": (hs.Pub, lambda: hs.Sub(subscribe="", rcvhwm=2)),
        "dealer and router": (lambda: hs.Dealer(sndhwm=4), lambda: hs.Router(rcvhwm=2)),
    }


def receives(socket: Any) -> Call:
    if isinstance(socket, hs.Router):

        async def last_frame() -> bytes:
            return (await socket.recv_multipart())[-1]

        return last_frame
    call: Call = socket.recv
    return call


@pytest.mark.parametrize("scheme", ["inproc", "tcp"])
@pytest.mark.parametrize("what", worlds())
def test_an_interrupt_anywhere_within_send(what: str, scheme: str) -> None:
    """The message is sent or it is not; and the next one comes through in any case."""

    async def main(place: int) -> int:
        make_sender, make_receiver = worlds()[what]
        endpoint = {"inproc": "inproc://x", "tcp": "tcp://127.0.0.1:*"}[scheme]
        async with joined(make_receiver(), make_sender(), endpoint) as (receiver, sender):
            if isinstance(sender, hs.Pub):
                await sender.wait_subscribed("")
            recv = receives(receiver)
            everywhere = Everywhere(place)
            try:
                with everywhere:
                    await sender.send(b"first")
                await trio.lowlevel.checkpoint()  # where it may have been kept for
            except KeyboardInterrupt:
                pass
            await sender.send(b"second")
            got: list[bytes] = []
            with trio.fail_after(30):
                while got[-1:] != [b"second"]:
                    got.append(await recv())
            assert got in ([b"first", b"second"], [b"second"])
            return everywhere.left

    place = 1
    while trio.run(main, place) <= 0:
        place += 1


@pytest.mark.parametrize("scheme", ["inproc", "tcp"])
@pytest.mark.parametrize("what", worlds())
def test_an_interrupt_anywhere_within_recv(what: str, scheme: str) -> None:
    """What was not returned is still there; and what is behind it comes, too."""
    sent = [b"%d" % number for number in range(6)]

    async def main(place: int) -> int:
        make_sender, make_receiver = worlds()[what]
        endpoint = {"inproc": "inproc://x", "tcp": "tcp://127.0.0.1:*"}[scheme]
        async with joined(make_receiver(), make_sender(), endpoint) as (receiver, sender):
            if isinstance(sender, hs.Pub):
                await sender.wait_subscribed("")
            for message in sent:
                sender.send_nowait(message)
            await trio.testing.wait_all_tasks_blocked(0.005)
            got: list[bytes] = []
            left = place
            while len(got) < len(sent):
                call = receiver.recv_multipart if what.endswith("router") else receiver.recv
                everywhere = Everywhere(left)
                try:
                    with everywhere, trio.fail_after(30):
                        message = await call()
                        got.append(message[-1] if isinstance(message, list) else message)
                except KeyboardInterrupt:
                    pass
                left = everywhere.left
            with contextlib.suppress(KeyboardInterrupt):
                await trio.lowlevel.checkpoint()
            assert got == sent
            return left

    place = 1
    while trio.run(main, place) <= 0:
        place += 1
