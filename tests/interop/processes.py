"""Sockets in processes of their own, which can be stopped and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from .peer import decode, encode
from .peers import PATIENCE

ROOT = Path(__file__).parents[2]


class Child:
    """A process with one socket. Calls are answered in order."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = bytearray()

    async def read(self) -> Any:
        """The next answer."""
        assert self._process.stdout is not None
        with trio.fail_after(PATIENCE):
            while b"\n" not in self._buffer:
                data = await self._process.stdout.receive_some()
                if not data:
                    raise AssertionError("the process has ended")
                self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer[:] = rest
        return decode(json.loads(line))

    async def begin(self, name: str, *arguments: Any) -> None:
        """Make a call, whose answer is to be read."""
        assert self._process.stdin is not None
        line = json.dumps(encode([name, *arguments])) + "\n"
        await self._process.stdin.send_all(line.encode())

    async def call(self, name: str, *arguments: Any) -> Any:
        """Make a call, and wait for its answer."""
        await self.begin(name, *arguments)
        return await self.read()

    async def finish(self) -> None:
        """Have it close its socket and end; return when it has."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with trio.fail_after(PATIENCE):
            assert await self._process.wait() == 0

    async def kill(self) -> None:
        """End it as nothing can be prepared for."""
        self._process.kill()
        await self._process.wait()

    def stop(self) -> None:
        """Have it stand still; it does when this returns, with all its threads."""
        stopped = None
        while stopped is None:
            os.kill(self._process.pid, signal.SIGSTOP)
            stopped = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOHANG)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)


@asynccontextmanager
async def child(whose: str, socket_type: str, **options: Any) -> AsyncIterator[Child]:
    """Start a process with a socket; it is killed at the end, if it still runs."""
    given = {name: encode(value) for name, value in options.items()}
    command = [sys.executable, "-m", "tests.interop.peer", whose, socket_type, json.dumps(given)]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        one = Child(process)
        assert await one.read() == "ready"
        yield one
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                await pipe.aclose()
