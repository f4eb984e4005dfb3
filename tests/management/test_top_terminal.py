"""``hypersocket top`` in a terminal."""

from __future__ import annotations

import os
import signal
import struct
import subprocess

import pytest

from ..cli.commands import MODULE, ROOT, Running

pytest.importorskip("termios", reason="needs POSIX terminals")

import pty
import termios
from fcntl import ioctl


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str, width: int = 80, height: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [*MODULE, "top", *arguments],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, cwd=ROOT,
            start_new_session=True, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        self.seen = b""

    def resize(self, width: int, height: int) -> None:
        ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read_until(self, wanted: bytes) -> None:
        """Read on until something comes that has not been read yet."""
        while wanted not in self.seen:
            self.seen += os.read(self.master, 65536)
        self.seen = self.seen[self.seen.index(wanted) + len(wanted) :]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.mark.parametrize("end", ["q", "SIGINT", "SIGTERM"])
def test_live_in_a_terminal(streamer: tuple[Running, str], end: str) -> None:
    terminal = Terminal(streamer[1], "--interval", "0.1")
    try:
        terminal.read_until(b"\x1b[?1049h")  # the other screen
        terminal.read_until(b"orders")
        terminal.read_until(b"streamer")
        terminal.read_until(b"running")
        os.write(terminal.master, b"e")
        terminal.read_until(b"nothing has happened since")
        os.write(terminal.master, b"s")
        terminal.read_until(b"frontend")
        terminal.resize(160, 24)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.read_until(b"WHERE")
        if end == "q":
            os.write(terminal.master, b"q")
        else:
            terminal.process.send_signal(getattr(signal, end))
        terminal.read_until(b"\x1b[?1049l")  # back
        assert terminal.process.wait(30) == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()
