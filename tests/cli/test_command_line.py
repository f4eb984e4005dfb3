"""The command line itself: help, mistakes, completion, and what it needs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import hypersocket as hs

from .commands import MODULE, PATIENCE, ROOT, run

COMMANDS = [
    "demo", "queue", "forwarder", "streamer", "gateway", "run", "check", "graph", "top",
    "req", "rep", "pub", "sub", "push", "pull", "completion",
]  # fmt: skip

SCRIPT = Path(sys.executable).with_name("hypersocket")


def test_version() -> None:
    done = run("--version")
    said = f"hypersocket {hs.__version__}\n".encode()
    assert (done.returncode, done.stdout, done.stderr) == (0, said, b"")


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, b"")
    listed = done.stdout.decode().partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == COMMANDS
    assert "hypersocket demo" in done.stdout.decode().partition("Examples:")[2]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_every_command_has_help_with_examples(command: str, asked: str) -> None:
    done = run(command, asked, PYTHONIOENCODING="ascii", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, b"")
    text, _, examples = done.stdout.decode("ascii").partition("Examples:")
    assert text.startswith(f"Usage: hypersocket {command}")
    assert f"hypersocket {command}" in examples
    assert b"\x1b" not in done.stdout


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)  # what measures coverage imports some, too\n"
        "from hypersocket.cli import main\nassert main(['--help']) == 0\n"
        "print(*{name.partition('.')[0] for name in {*sys.modules} - before}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    )
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not loaded & {"rich", "pydantic", "prometheus_client", "h11", "tomllib"}


TCP = "tcp://127.0.0.1:5555"
STREAMER = f"streamer --frontend {TCP} --backend {TCP}"


@pytest.mark.parametrize(
    ("arguments", "who", "named"),
    [
        ("", "hypersocket", "expected a COMMAND"),
        ("juggle", "hypersocket", "No such command 'juggle'"),
        ("quue", "hypersocket", "No such command 'quue'. Did you mean 'queue'?"),
        (f"push {TCP} --data", "hypersocket push", "'--data' requires an argument"),
        ("--loud demo", "hypersocket", "--loud"),
        ("demo --loud", "hypersocket demo", "--loud"),
        ("demo twice", "hypersocket demo", "twice"),
        ("push", "hypersocket push", "ENDPOINT"),
        ("push 127.0.0.1:5555", "hypersocket push", "'127.0.0.1:5555' is no endpoint"),
        ("push carrier://pigeon", "hypersocket push", "no transport serves 'carrier'"),
        ("push tcp://*:5555", "hypersocket push", "cannot connect to '*'"),
        ("push --bind tcp://127.0.0.1:99999", "hypersocket push", "99999 is out of range"),
        (f"push {TCP} --count 0", "hypersocket push", "--count"),
        (f"push {TCP} --timeout soon", "hypersocket push", "'soon': expected 0 or more seconds"),
        (f"push {TCP} --timeout -1", "hypersocket push", "'-1': expected 0 or more seconds"),
        (f"push {TCP} --format xml", "hypersocket push", "'xml'"),
        (f"push {TCP} --format hex --data xyz", "hypersocket push", "--data: 'xyz' is not hex"),
        (f"push {TCP} --file no/such/file", "hypersocket push", "'no/such/file' does not exist"),
        (f"push {TCP} --file README.md --data x", "hypersocket push", "exclude each other"),
        (f"push {TCP} --option sndhwm", "hypersocket push", "'sndhwm': expected NAME=VALUE"),
        (f"push {TCP} --option sndhwm=x", "hypersocket push", "sndhwm=x: expected a whole"),
        (f"push {TCP} --option sndhmw=1", "hypersocket push", "did you mean 'sndhwm'"),
        (f"push {TCP} --option tos=1 --option tos=2", "hypersocket push", "'tos' is given twice"),
        (f"push {TCP} --topic x", "hypersocket push", "--topic"),
        ("queue", "hypersocket queue", "--frontend or --frontend-connect"),
        (f"queue --frontend {TCP}", "hypersocket queue", "--backend or --backend-connect"),
        (f"queue --frontend x --backend {TCP}", "hypersocket queue", "--frontend: 'x' is no"),
        (f"queue --frontend {TCP} --backend {TCP} --balance best", "hypersocket queue", "'best'"),
        (
            f"queue --frontend {TCP} --backend {TCP} --max-outstanding 3",
            "hypersocket queue",
            "--balance least-outstanding",
        ),
        (
            f"streamer --frontend {TCP} --backend {TCP} --balance round-robin",
            "hypersocket streamer",
            "--balance",
        ),
        (
            f"streamer --frontend {TCP} --backend {TCP} --option sndhmw=1",
            "hypersocket streamer",
            "'sndhmw'",
        ),
        (
            f"streamer --frontend {TCP} --backend {TCP} --option frontend.sndhwm=1",
            "hypersocket streamer",
            "Pull has no option 'sndhwm'",
        ),
        (
            f"streamer --frontend {TCP} --backend {TCP} --option middle.sndhwm=1",
            "hypersocket streamer",
            "expected frontend.sndhwm or backend.sndhwm",
        ),
        (f"streamer --frontend {TCP} --backend {TCP} --monitor x", "hypersocket streamer", "'x'"),
        (f"{STREAMER} --metrics here", "hypersocket streamer", "'here': expected HOST:PORT"),
        (f"{STREAMER} --metrics h:65536", "hypersocket streamer", "expected HOST:PORT"),
        (f"{STREAMER} --interval 0", "hypersocket streamer", "'0': expected more than 0"),
        (f"{STREAMER} --interval inf", "hypersocket streamer", "'inf': expected more than 0"),
        (f"{STREAMER} --name {'x' * 256}", "hypersocket streamer", "expected 1 to 255 bytes"),
        (f"{STREAMER} --name \udcff", "hypersocket streamer", "cannot be encoded"),
        ("run tcp://h:x#net", "hypersocket run", "TOPOLOGY.toml: 'tcp://h:x'"),
        ("check carrier://h", "hypersocket check", "no transport serves 'carrier'"),
        ("run net.toml --metrics here", "hypersocket run", "'here': expected HOST:PORT"),
        ("run", "hypersocket run", "TOPOLOGY.toml"),
        ("run net.toml --set x", "hypersocket run", "--set: 'x': expected NAME=VALUE"),
        ("completion csh", "hypersocket completion", "'csh'"),
    ],
)
def test_bad_usage_is_one_line_that_names_it(arguments: str, who: str, named: str) -> None:
    done = run(*arguments.split())
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert said.startswith(f"{who}: ")
    assert said.endswith(f"; see {who} --help\n")
    assert said.count("\n") == 1
    assert named in said


@pytest.mark.parametrize(
    "command",
    [
        *(["pull", "--bind"], ["rep", "--bind"], ["pub", "--data", "x", "--bind"]),
        ["streamer", "--frontend", "tcp://127.0.0.1:*", "--backend"],
        ["queue", "--backend", "tcp://127.0.0.1:*", "--frontend"],
        ["forwarder", "--frontend", "inproc://f", "--backend", "inproc://b", "--monitor"],
        ["forwarder", "--frontend", "inproc://f", "--backend", "inproc://b", "--control"],
        ["forwarder", "--frontend", "inproc://f", "--backend", "inproc://b", "--capture"],
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)
@pytest.mark.parametrize("why", ["in use", "no interface"])
def test_what_cannot_be_bound_is_one_line(command: list[str], why: str, start: object) -> None:
    if why == "in use":
        assert callable(start)
        endpoint = start("pull", "--bind", "tcp://127.0.0.1:*").endpoint()
        named = f"{endpoint} is in use"
    else:
        endpoint, named = "tcp://nosuch0:5555", "no interface of that name"
    done = run(*command, endpoint)
    lines = [line for line in done.stderr.decode().splitlines() if "listening at" not in line]
    assert done.returncode == 1
    assert len(lines) == 1
    assert named in lines[0]


def test_a_port_for_metrics_in_use_is_one_line(start: object) -> None:
    assert callable(start)
    address = start("pull", "--bind", "tcp://127.0.0.1:*").endpoint().removeprefix("tcp://")
    done = run(
        *("streamer", "--frontend", "inproc://f", "--backend", "inproc://b", "--metrics", address)
    )
    lines = [line for line in done.stderr.decode().splitlines() if "listening at" not in line]
    assert done.returncode == 1
    assert len(lines) == 1
    assert address in lines[0]
    # Nobody was let in meanwhile, whose messages would have been lost.
    assert b"frontend listening" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = run("completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"hypersocket" in done.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed here")
@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("hypersocket p", {"pub", "push", "pull"}),
        ("hypersocket push --fo", {"--format"}),
        ("hypersocket push --format ", {"raw", "text", "hex", "json"}),
        ("hypersocket completion z", {"zsh"}),
    ],
)
def test_bash_completes(typed: str, offered: set[str]) -> None:
    words = typed.split(" ")
    script = f"""
    {run("completion", "bash").stdout.decode()}
    COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
    _hypersocket_completion hypersocket '{words[-1]}' '{words[-2]}'
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        env={**os.environ, "PATH": f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.stderr == ""
    assert set(done.stdout.split()) == offered


def without(tmp_path: Path, *names: str) -> str:
    """A search path on which some packages cannot be imported."""
    for name in names:
        missing = f"raise ModuleNotFoundError(\"No module named '{name}'\", name={name!r})\n"
        (tmp_path / f"{name}.py").write_text(missing, encoding="utf-8")
    return os.pathsep.join([str(tmp_path), str(ROOT)])


@pytest.mark.parametrize("arguments", [[], ["--help"], ["pull", TCP], ["run", "net.toml"]], ids=str)
def test_without_the_extra_it_is_named_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, PYTHONPATH=without(tmp_path, "click", "rich"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert (
        done.stderr == b"hypersocket: this needs click and rich: pip install 'hypersocket[cli]'\n"
    )


def test_the_demo_needs_no_extra(tmp_path: Path) -> None:
    path = without(tmp_path, "click", "rich", "pydantic", "prometheus_client", "h11")
    done = run("demo", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run("demo").stdout


def test_without_an_extra_of_one_command_it_is_named_in_one_line(tmp_path: Path) -> None:
    topology = tmp_path / "net.toml"
    topology.write_text("", encoding="utf-8")
    done = run("check", str(topology), PYTHONPATH=without(tmp_path, "pydantic"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"pip install 'hypersocket[topology]'" in done.stderr


def test_without_standard_output() -> None:
    for arguments in (["demo"], ["pull", TCP]):
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *MODULE, *arguments],
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            cwd=ROOT,
        )
        assert done.returncode == 1
        assert done.stderr == b"hypersocket: there is no standard output to write to\n"


def test_the_help_s_reader_may_leave_early() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *MODULE, "push", "--help"],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    assert done.stderr == b""


def every_example() -> list[str]:
    """The command lines in the help, and those in the documentation."""
    from hypersocket.cli._root import COMMANDS as PARTS
    from hypersocket.cli._root import root

    ctx = click.Context(root)
    lines = [*root.examples]
    for name in PARTS:
        command = root.get_command(ctx, name)
        lines += [*getattr(command, "examples", ())]
    for page in ("docs/guide/command-line.md", "docs/quickstart.md", "README.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            lines += re.findall(r"^\$ (.*)", block, re.MULTILINE)
    text = "\n".join(lines).replace("\\\n", " ")
    found = re.findall(r"\bhypersocket (?!-)[^|<>)#\n]*(?:#\w+)?", text)
    return sorted({line.strip() for line in found})


@pytest.mark.parametrize("line", every_example())
def test_every_example_is_good_usage(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypersocket.cli._root import root

    (tmp_path / "picture.png").touch()
    monkeypatch.chdir(tmp_path)
    _, *arguments = shlex.split(line)
    work = root.main(arguments, prog_name="hypersocket", standalone_mode=False)
    assert callable(work)
