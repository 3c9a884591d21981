"""Groups of commands: names spelt alike in a refusal, whole sentences in a listing."""

from __future__ import annotations

import errno
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from nni_wiring.commands.interrupts import keep_arguments
from nni_wiring.errors import WiringError
from nni_wiring.files.messages import printable
from search_spaces.names import not_known

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C


class HintingGroup(click.Group):
    """A group that answers an unknown command with the allowed ones and those spelt alike."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; wrong usage names what is allowed."""
        known = self.list_commands(ctx)
        typed = not ctx.resilient_parsing and args[0] and not args[0].startswith("-")
        if typed and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(not_known("command", args[0], known), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with its whole summary."""
        rows = self.summaries(ctx)
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        """The commands, and the first sentence of each one's help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, one.get_short_help_str(limit=1000)) for name, one in commands if one]


class LazyGroup(HintingGroup):
    """A group whose commands come from a table and are imported on their first use.

    table: name -> "module:object:short help".
    """

    def __init__(self, *, table: dict[str, str], help: str) -> None:
        super().__init__(name="nni-wiring", help=help)
        self.table = table

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, then read it."""
        keep_arguments(ctx, args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table, which is the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called `cmd_name`; None where the table has no such name."""
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name].split(":", 2)
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin so; none is imported."""
        rows = [row for row in self.summaries(ctx) if row[0].startswith(incomplete)]
        items = [CompletionItem(name, help=text) for name, text in rows]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        """The commands by the table's help, so that `--help` imports none of them."""
        return [(name, entry.split(":", 2)[2]) for name, entry in self.table.items()]

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what a user can cause ends in one line on stderr and an exit code.

        Errors of this project and of the operating system (a full disk, no permission) exit
        with 1, Ctrl-C with 130, wrong usage with click's own 2.
        """
        try:
            return super().invoke(ctx)
        except WiringError as error:
            click.echo(f"error: {printable(str(error))}", err=True)
            ctx.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:  # click ends a closed pipe quietly
                raise
            click.echo(f"error: {printable(str(error))}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt as stop:
            click.echo(str(stop) or "interrupted", err=True)
            ctx.exit(INTERRUPTED)
