"""Proton's example broker in C: a second AMQP 1.0 broker, compiled when it is first asked for.

It is Debian's (libqpid-proton11-dev, libqpid-proton11-dev-examples). It speaks ANONYMOUS alone,
makes a queue of any address, accepts everything, keeps nothing, and knows no rejecting.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import trio

from .child import Child, free_ports
from .node import BrokerError

SOURCE = Path("/usr/share/proton/examples/c/broker.c")
PATIENCE = 30.0
"""Seconds that it may take to listen."""


def missing() -> str | None:
    """Why this broker cannot be had; None if it can."""
    if not SOURCE.exists():
        return f"{SOURCE} is not there (libqpid-proton11-dev-examples)"
    if not Path("/usr/include/proton/engine.h").exists():
        return "proton's headers are not there (libqpid-proton11-dev)"
    return None if shutil.which("cc") else "there is no C compiler"


def compiled(directory: Path) -> Path:
    """Compile it into a directory, unless it is there already."""
    program = directory / "proton-broker"
    if not program.exists():
        command = ["cc", "-O1", "-o", str(program), str(SOURCE), "-lqpid-proton", "-lpthread"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise BrokerError(f"proton's broker does not compile: {done.stderr}")
    return program


class ProtonBroker:
    """``async with ProtonBroker(directory) as broker``: on a port that nobody else is given.

    Args:
        directory: where the program and what it prints go.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        self._child: Child | None = None
        self.port = 0

    def start(self) -> None:
        """Start it; returns when it listens. Started again, it has the port that it had."""
        program = compiled(self._directory)
        self.port = self.port or free_ports(1)[0]
        output = self._directory / "proton-broker.log"
        output.unlink(missing_ok=True)
        self._child = Child(
            [str(program), "127.0.0.1", str(self.port)],
            env={"PATH": os.defpath},
            output=output,
            cwd=self._directory,
        )
        self._wait_until_it_listens(output)

    def _wait_until_it_listens(self, output: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._child is not None and self._child.running and time.monotonic() < deadline:
            for line in output.read_text().splitlines(keepends=True):
                if line.startswith("listening on ") and line.endswith("\n"):
                    return
            time.sleep(0.01)
        self.kill()
        raise BrokerError(f"proton's broker did not start: {output.read_text()}")

    def kill(self) -> None:
        """SIGKILL; returns when it is gone. It forgets all its messages."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    async def __aenter__(self) -> Self:
        if reason := missing():
            raise BrokerError(reason)
        await trio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()


@pytest.fixture(scope="session")
def proton_broker() -> Iterator[ProtonBroker]:
    """One that the tests of a session share: each uses addresses of its own."""
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="proton-") as directory:
        broker = ProtonBroker(directory)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
