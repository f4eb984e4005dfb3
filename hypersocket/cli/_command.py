"""Commands with examples in their help, and the group that loads them when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import click

PROGRAM = "hypersocket"


class Command(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: command lines, each with what it does.
    """

    def __init__(self, *args: Any, examples: Mapping[str, str], **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; but whatever is wrong is known to be of this command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples."""
        write_examples(formatter, self.examples)


class Commands(click.Group):
    """The command itself, whose parts are imported when they are used.

    Args:
        parts: by name, the module in this package that holds the command, and what it does.
        examples: as in :class:`Command`.
    """

    def __init__(
        self,
        *args: Any,
        parts: Mapping[str, tuple[str, str]],
        examples: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        self.parts = parts
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say what is missing in one line, rather than by the whole help."""
        if not args and not ctx.resilient_parsing:
            raise click.UsageError("expected a COMMAND", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, and says which command may have been meant."""
        if not ctx.resilient_parsing and (near := get_close_matches(args[0], self.parts, n=1)):
            name = args[0]
            if name not in self.parts:
                raise click.UsageError(f"No such command {name!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of the help."""
        return list(self.parts)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in self.parts:
            return None
        module = importlib.import_module(f".{self.parts[cmd_name][0]}", __package__)
        name = f"{cmd_name}_command"
        command: click.Command = getattr(module, name, None) or getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in self.parts.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples."""
        write_examples(formatter, self.examples)


def write_examples(formatter: click.HelpFormatter, examples: Mapping[str, str]) -> None:
    """Write each command line below what it does."""
    with formatter.section("Examples"):
        for number, (line, what) in enumerate(examples.items()):
            if number:
                formatter.write_paragraph()
            formatter.write_text(f"{what}:")
            for part in line.split("\n"):
                formatter.write(f"{'':>{formatter.current_indent + 2}}{part}\n")
