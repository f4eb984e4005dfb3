"""The command `hypersocket gateway` as a process of its own, which is stopped or killed."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that a step may take before it has failed; far more than any needs."""

PATIENT = "heartbeat = 60\nconnect_timeout = 60\n"
"""What a ``[broker]`` table says so that a broker, or the gateway, may stand still."""


class GatewayProcess:
    """One process. What it writes goes to a file beside its configuration."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log = config.with_suffix(".log")
        self._process: trio.Process | None = None

    async def start(self, *options: str, **environment: str) -> None:
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "hypersocket", "gateway", str(self.config), *options],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **environment},
            )

    @property
    def process(self) -> trio.Process:
        assert self._process is not None, "it is not running"
        return self._process

    async def ended(self) -> int:
        """Wait until it has ended by itself; its exit status."""
        with trio.fail_after(PATIENCE):
            status = await self.process.wait()
        self._process = None
        return status

    async def stop(self) -> int:
        """Ask it to stop, as a service manager does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()
            self._process = None

    def resident(self) -> int:
        """Bytes of memory that it has now."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGESIZE")

    async def endpoint(self, name: str) -> str:
        """Where one of its sockets listens, once it has said so."""
        told = re.compile(rf"{re.escape(name)} listening at (\S+)\n")
        with trio.fail_after(PATIENCE):
            while not (found := told.search(self.wrote())):  # noqa: ASYNC110 - it is a file
                await trio.sleep(0.01)
        return found[1]

    def wrote(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@asynccontextmanager
async def gateway(config: Path, text: str) -> AsyncGenerator[GatewayProcess]:
    """A gateway with this configuration, not started; ended at the end, and its words shown."""
    await trio.Path(config).write_text(text, encoding="utf-8")
    process = GatewayProcess(config)
    try:
        yield process
    finally:
        await process.kill()
        if process.log.exists():
            print(f"--- what the gateway wrote\n{process.wrote()}")  # pytest shows it on failure
