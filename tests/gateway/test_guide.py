"""The guide's five minutes, as they are written there, with a broker and ports of our own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ..brokers.child import free_ports
from ..brokers.rabbitmq import RabbitMQ
from ..cli.commands import MODULE, PATIENCE, ROOT, Start, run
from ..cli.conftest import start as start

pytestmark = pytest.mark.interop

GUIDE = ROOT / "docs/guide/amqp-gateway.md"


def shown(rabbitmq: RabbitMQ) -> tuple[str, list[tuple[str, str]]]:
    """The file, and the commands with what they print."""
    text = GUIDE.read_text(encoding="utf-8")
    chapter = text[text.index("## Five minutes") : text.index("## The kinds of route")]
    for port, free in zip(("5555", "5556"), free_ports(2), strict=True):
        chapter = chapter.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
    chapter = chapter.replace("amqp://localhost", rabbitmq.url)
    chapter = chapter.replace(
        "BlockingConnection()", f"BlockingConnection(pika.URLParameters('{rabbitmq.url}'))"
    )
    (file,) = re.findall(r"^```toml\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
    commands: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL):
        for command, printed in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE):
            commands.append((command, printed))
    return file, commands


def test_the_five_minutes_of_the_guide(start: Start, rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    file, commands = shown(rabbitmq)
    (tmp_path / "bridge.toml").write_text(file, encoding="utf-8")
    (check, right), (gateway, listening), *rest = commands
    done = run(*check.split()[1:-1], str(tmp_path / "bridge.toml"))
    assert done.stdout.decode().replace(f"{tmp_path}/", "") == right
    running = start(*gateway.split()[1:-1], str(tmp_path / "bridge.toml"))
    for line in listening.splitlines():
        assert running.err.line().decode().rstrip("\n") == line
    for command, printed in rest:
        if "rabbitmqctl" in command:
            # The gateway may still be at it when the command before this one has ended.
            asked, said = command.split()[-1], ""
            while not set(printed.splitlines()) <= set(said.splitlines()):
                said = rabbitmq.node.ctl(asked, "-p", rabbitmq.vhost)
            continue
        # As a shell would do it, with the interpreter of these tests.
        words = re.sub(r"\bhypersocket\b", " ".join(MODULE), command)
        words = re.sub(r"^python\b", MODULE[0], words)
        answered = subprocess.run(
            ["sh", "-c", words], capture_output=True, check=False, timeout=PATIENCE, cwd=ROOT
        )
        assert (answered.returncode, answered.stderr) == (0, b""), command
        assert answered.stdout.decode() == printed
    assert len(commands) == 6
    assert running.end() == 0
