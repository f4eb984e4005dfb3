"""What shows at a terminal, and does not in a pipe."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .commands import ANY_PORT, MODULE, PATIENCE, ROOT, Start, run

pty = pytest.importorskip("pty", reason="there are no pseudo terminals here")
termios: Any = pytest.importorskip("termios")

COLOUR = re.compile(rb"\x1b\[[0-9;]*(3[0-9]|9[0-7]|38;[0-9;]*)[0-9;]*m")


def at_a_terminal(*arguments: str, **environment: str) -> tuple[int, bytes]:
    """Run a command whose standard error is a terminal; its exit status, and what shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (25, 100))
    shown = b""
    with subprocess.Popen(
        [*MODULE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(theirs)
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError as error:  # what Linux says when the other end is closed
            if error.errno != errno.EIO:
                raise
        finally:
            os.close(ours)
        return process.wait(PATIENCE), shown


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%06d\n" % number for number in range(50_000)))
    return str(path)


def test_a_long_send_from_a_file_shows_its_progress(start: Start, file: str) -> None:
    pull = start("pull", "--bind", ANY_PORT, "--count", "50000")
    status, shown = at_a_terminal("push", pull.endpoint(), "--file", file)
    assert status == 0
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown)
    assert b"350.0/350.0 kB" in text
    assert COLOUR.search(shown)
    assert pull.wait() == 0


def test_no_color_is_honoured(start: Start, file: str) -> None:
    pull = start("pull", "--bind", ANY_PORT, "--count", "50000")
    status, shown = at_a_terminal("push", pull.endpoint(), "--file", file, NO_COLOR="1")
    assert status == 0
    assert b"350.0/350.0 kB" in shown
    assert not COLOUR.search(shown)


def test_in_a_pipe_there_is_no_progress(start: Start, file: str) -> None:
    pull = start("pull", "--bind", ANY_PORT, "--count", "50000")
    done = run("push", pull.endpoint(), "--file", file, TERM="xterm-256color")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert pull.wait() == 0
    assert b"\x1b" not in pull.out.rest()


def test_what_is_not_a_file_shows_no_progress(start: Start) -> None:
    pull = start("pull", "--bind", ANY_PORT, "--count", "1")
    assert at_a_terminal("push", pull.endpoint(), "--data", "a") == (0, b"")


def test_mistakes_are_one_line_at_a_terminal_too() -> None:
    status, shown = at_a_terminal("push", "nowhere")
    assert status == 2
    assert shown.count(b"\n") == 1
    assert b"\x1b" not in shown
