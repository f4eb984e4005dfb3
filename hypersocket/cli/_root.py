"""The command line: which commands there are, and what becomes of a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from .. import __version__
from ._command import PROGRAM, Command, Commands
from ._logging import Wishes, begin
from ._outcome import BAD_USAGE, SUCCEEDED, say

COMMANDS = {
    "demo": ("_root", "each pattern and device at work, in this process"),
    "queue": ("_device_commands", "a device: requests of many clients to many workers"),
    "forwarder": ("_device_commands", "a device: publishers to subscribers"),
    "streamer": ("_device_commands", "a device: sources to sinks"),
    "gateway": ("_gateway_command", "a device: between sockets and an AMQP broker"),
    "run": ("_topology_commands", "run the devices and gateways of a topology file"),
    "check": ("_topology_commands", "check a topology file, or a gateway file"),
    "graph": ("_topology_commands", "draw a topology file"),
    "top": ("top", "watch devices and sockets live"),
    "req": ("_socket_commands", "send requests, and print the replies"),
    "rep": ("_socket_commands", "print requests, and answer them"),
    "pub": ("_socket_commands", "publish lines"),
    "sub": ("_socket_commands", "print what is published"),
    "push": ("_socket_commands", "share out lines"),
    "pull": ("_socket_commands", "print what is pushed"),
    "completion": ("_root", "completion for bash, zsh or fish"),
}

SHELLS = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/hypersocket.fish",
}


@click.group(
    cls=Commands,
    parts=COMMANDS,
    examples={
        "hypersocket demo": "Watch each pattern and device at work",
        "hypersocket rep --bind tcp://127.0.0.1:5555\n"
        "hypersocket req tcp://127.0.0.1:5555 --data hello": "A server, and a client elsewhere",
        "hypersocket queue --frontend 'tcp://*:5555' --backend 'tcp://*:5556'": (
            "Clients to workers"
        ),
        "python -m hypersocket demo": "The same command, where it is not on the path",
    },
    subcommand_metavar="COMMAND ...",
)
@click.version_option(__version__, message="hypersocket %(version)s")
def root() -> None:
    """ZeroMQ-style sockets and devices, native to trio.

    `hypersocket COMMAND --help` says what a command does.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit status.

    What goes wrong at work is raised.
    """
    wishes = Wishes()
    try:
        # What is understood is done outside of click, which has its own ways with interrupts.
        work: object = root.main(
            list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=wishes
        )
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else PROGRAM
        say(f"{error.format_message().removesuffix('.')}; see {path} --help", who=path)
        return BAD_USAGE
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as leaving:  # completion, and a reader of the help who left early
        return leaving.code if isinstance(leaving.code, int) else SUCCEEDED
    if not callable(work):
        return work if isinstance(work, int) else SUCCEEDED  # --help and --version
    begin(wishes)
    status: object = work()
    return status if isinstance(status, int) else SUCCEEDED


@click.command(
    cls=Command,
    examples={"hypersocket demo": "The first thing to try"},
)
def demo() -> Callable[[], int]:
    """Show each pattern and device at work.

    All of it runs in this process, over real tcp sockets on 127.0.0.1, with nothing else running.
    Every delivery is printed, and checked: the exit status is 1 if one is wrong.
    """
    from . import demonstrate

    return demonstrate


@click.command(
    cls=Command,
    examples={
        'eval "$(hypersocket completion bash)"': "In ~/.bashrc",
        'eval "$(hypersocket completion zsh)"': "In ~/.zshrc",
        f"hypersocket completion fish > {SHELLS['fish']}": "For fish, once",
    },
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> Callable[[], int]:
    """Print the script that lets a shell complete this command."""

    def work() -> int:
        from click.shell_completion import get_completion_class

        made = get_completion_class(shell)
        assert made is not None
        print(made(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
        return SUCCEEDED

    return work
