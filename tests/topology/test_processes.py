"""A running topology as its operator has it: a process, signals, a file that changes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio
import zmq
from zmq.utils.monitor import recv_monitor_message

from .processes import Processes

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="uses POSIX signals"),
]


def streamer(folder: Path, name: str) -> str:
    return f"""
[devices.{name}]
kind = "streamer"
frontend.bind = "ipc://{folder}/{name}-in"
backend.bind = "ipc://{folder}/{name}-out"
"""


class Pair:
    """A PUSH and a PULL of libzmq's with a streamer between them."""

    def __init__(self, context: zmq.Context, folder: Path, name: str) -> None:
        self._push, self._pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        self._monitor = self._push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._pull.rcvtimeo = 20_000
        self._push.connect(f"ipc://{folder}/{name}-in")
        self._pull.connect(f"ipc://{folder}/{name}-out")

    async def passes(self, message: bytes) -> None:
        self._push.send(message)
        assert await trio.to_thread.run_sync(self._pull.recv) == message

    def disconnects(self) -> int:
        count = 0
        while self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            count += 1
        return count

    def close(self) -> None:
        self._push.disable_monitor()
        self._monitor.close(0)
        self._push.close(0)
        self._pull.close(0)


async def test_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(streamer(tmp_path, "one"), encoding="utf-8")
    with zmq.Context() as context:
        one, two = Pair(context, tmp_path, "one"), Pair(context, tmp_path, "two")
        try:
            async with Processes(str(path), {}) as processes:
                run = await processes.run()
                await one.passes(b"to begin with")

                path.write_text(
                    streamer(tmp_path, "one") + streamer(tmp_path, "two"), encoding="utf-8"
                )
                run.signal(signal.SIGHUP)
                await two.passes(b"by the new one")
                await one.passes(b"by the old one")
                assert one.disconnects() == 0  # unlike the new one, which was not there yet

                path.write_text("[devices.one]\n", encoding="utf-8")
                run.signal(signal.SIGHUP)
                await one.passes(b"in spite of a wrong file")
                await two.passes(b"likewise")

                path.write_text(
                    streamer(tmp_path, "one") + "backend.options.sndhwm = 7\n", encoding="utf-8"
                )
                run.signal(signal.SIGHUP)
                with trio.fail_after(20):
                    while not one.disconnects():  # noqa: ASYNC110 - libzmq has no event of trio's
                        await trio.sleep(0.01)
                await one.passes(b"by what was started anew")

                run.signal(signal.SIGTERM)
                assert await run.wait() == 0
        finally:
            one.close()
            two.close()


async def test_killed_and_started_again(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(streamer(tmp_path, "one"), encoding="utf-8")
    with zmq.Context() as context:
        one = Pair(context, tmp_path, "one")
        try:
            async with Processes(str(path), {}) as processes:
                run = await processes.run()
                await one.passes(b"before")
                await run.kill()
                with trio.fail_after(20):
                    while not one.disconnects():  # noqa: ASYNC110 - libzmq has no event of trio's
                        await trio.sleep(0.01)
                await processes.run()
                await one.passes(b"after")
        finally:
            one.close()
