"""The examples as their users run them: devices by the command, programs by Python."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import trio

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "topologies"
PATIENCE = 30.0
"""Seconds that one step may take before it has failed; far more than any needs."""


class Process:
    """A process whose output is read line by line."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = bytearray()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self) -> str:
        """The next line."""
        assert self._process.stdout is not None
        with trio.fail_after(PATIENCE):
            while b"\n" not in self._buffer:
                data = await self._process.stdout.receive_some()
                if not data:
                    raise AssertionError(f"the process has ended: {bytes(self._buffer)!r}")
                self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer[:] = rest
        return line.decode()

    async def lines(self, count: int) -> list[str]:
        """So many lines."""
        return [await self.line() for _ in range(count)]

    async def until(self, pattern: str) -> str:
        """The first line that matches."""
        while True:
            line = await self.line()
            if re.search(pattern, line):
                return line

    async def kill(self) -> None:
        """End it as nothing can be prepared for."""
        self._process.kill()
        await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        """The exit status, when it has ended."""
        with trio.fail_after(PATIENCE):
            return await self._process.wait()

    def memory(self) -> int:
        """The bytes of memory that it holds."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024


class Processes:
    """Starts processes, and ends them with the scope.

    Args:
        variables: for the topology file that all of them are given.
    """

    def __init__(self, where: str, variables: dict[str, str]) -> None:
        self._where = where
        self._variables = [f"{name}={value}" for name, value in variables.items()]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        with trio.CancelScope(shield=True):
            await self._stack.aclose()

    async def run(self, *arguments: str) -> Process:
        """``hypersocket run``."""
        sets = [word for one in self._variables for word in ("--set", one)]
        return await self.start("-m", "hypersocket", "run", self._where, *sets, *arguments)

    async def program(self, name: str, *arguments: str) -> Process:
        """One of the programs."""
        return await self.start(
            str(FOLDER / f"{name}.py"), self._where, *arguments, *self._variables
        )

    async def start(self, *arguments: str) -> Process:
        return await self._stack.enter_async_context(_process(*arguments))


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[Process]:
    process = await trio.lowlevel.open_process(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()


def ipc(folder: Path, *names: str) -> dict[str, str]:
    """An address for each name that nobody else has."""
    return {name: f"ipc://{folder}/{name}" for name in names}
