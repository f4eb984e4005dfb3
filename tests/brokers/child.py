"""Processes that tests start, which end with the tests whatever becomes of those."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

# Reads until the tests' end of the pipe is closed, and ends the process then: it is closed by the
# kernel when the tests are killed, too. (PR_SET_PDEATHSIG looks at the thread that forked.)
_REAPER = 'read -r _; kill -9 "$1" 2>/dev/null'


class Child:
    """A process, and one beside it that ends it should the tests be killed."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], output: Path, cwd: Path
    ) -> None:
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._reaper = subprocess.Popen(
            ["sh", "-c", _REAPER, "reaper", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._gone(None)

    def terminate(self, timeout: float) -> None:
        """SIGTERM, and SIGKILL if it is still there after so many seconds."""
        self._process.terminate()
        try:
            self._gone(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _gone(self, timeout: float | None) -> None:
        self._process.wait(timeout)
        # First of all: from here on the pid may be somebody else's.
        self._reaper.kill()
        self._reaper.wait()
        if self._reaper.stdin is not None:
            self._reaper.stdin.close()


def environment() -> dict[str, str]:
    """What a broker is started with: nothing of the tests' own environment but where to look."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": f"{path}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nobody has.

    They are outside the range that the kernel gives to those who ask for any: a broker that was
    killed comes back to its port, and meanwhile no other test's socket may be given it, nor a
    client's own end that tries to connect there (and then, TCP being so, talks to itself).
    """
    low, high = _ephemeral()
    outside = [port for port in range(10_000, 65_000) if not low <= port <= high]
    if not outside:
        outside = list(range(10_000, 65_000))
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(outside, len(outside)):
            candidate = held.enter_context(socket.socket())
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"there are no {count} free ports on 127.0.0.1")


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except OSError:
        return 32_768, 65_535
    return int(low), int(high)
