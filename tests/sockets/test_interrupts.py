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


async def _interrupt() -> None:
    await trio.testing.wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_while_a_socket_waits_for_its_transport() -> None:
    """What was sent is written, but the peer's system has not taken it."""
    closed = []

    async def main() -> None:
        pull = hs.Pull(bind="tcp://127.0.0.1:*", rcvhwm=1, rcvbuf=4096)
        async with pull:
            trio.lowlevel.spawn_system_task(_interrupt)
            push = hs.Push(connect=pull.endpoints[0], linger=math.inf, sndbuf=1 << 20)
            try:
                async with push:
                    await push.wait_connected()
                    for _ in range(100):
                        await push.send(bytes(1000))
            finally:
                closed.append(push.stats())

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert closed
