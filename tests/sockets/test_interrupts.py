"""Ctrl-C: ends at once, as itself, whatever is queued and however long one could linger."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

import hypersocket as hs

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
