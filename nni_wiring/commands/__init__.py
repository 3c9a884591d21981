"""The command line: one file per command, each imported only when it is called.

Importing torch and NNI takes seconds, so `--help` and a mistyped command must not do it.
A new command is one module with a click command in it and one line in `COMMANDS`.
"""

from __future__ import annotations

import errno
from importlib import import_module

import click

from nni_wiring import __version__
from nni_wiring.errors import WiringError
from nni_wiring.files.messages import printable
from search_spaces.names import did_you_mean

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C

# name -> "module:object:short help"
COMMANDS: dict[str, str] = {
    "search": "nni_wiring.commands.search:search:Run one architecture search.",
    "select": "nni_wiring.commands.select:select:Read another cell off a finished run.",
    "train": "nni_wiring.commands.train:train:Train one fixed cell from scratch.",
    "export": "nni_wiring.commands.export:export:Take a cell's network away, without NNI.",
    "study": "nni_wiring.commands.study:study:Repeat a measurement of the papers.",
    "analyze": "nni_wiring.commands.analyze:analyze:Explain finished or running searches.",
    "explain": "nni_wiring.commands.explain:explain:Tell why, edge by edge, and what it cost.",
    "compare": "nni_wiring.commands.compare:compare:Set runs side by side.",
    "benchmark": "nni_wiring.commands.benchmark:benchmark:Query the table of true accuracies.",
    "baseline": "nni_wiring.commands.baseline:baseline:Search the table many times in process.",
    "configs": "nni_wiring.commands.configs:configs:List or copy the experiments for NNI.",
    "register": "nni_wiring.commands.register:register:Make the tuners known to NNI.",
    "strategies": "nni_wiring.commands.strategies:strategies:List the search strategies.",
    "spaces": "nni_wiring.commands.spaces:spaces:List the search spaces.",
    "trials": "nni_wiring.commands.trials:trials:List an NNI experiment's trials, rightly paired.",
    "tensorboard": "nni_wiring.commands.tensorboard:tensorboard:Show runs in TensorBoard.",
    "watch": "nni_wiring.commands.watch:watch:Follow an NNI experiment to its end.",
}


class LazyGroup(click.Group):
    """A group whose commands come from a table and are imported on their first use."""

    def __init__(self, *, table: dict[str, str], help: str) -> None:
        super().__init__(name="nni-wiring", help=help)
        self.table = table

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the refusal of an unknown name tells those that are spelt alike."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.table)
            raise click.UsageError(f"{error.message.rstrip('.')}{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by the table's help, so that `--help` imports none of them."""
        rows = [(name, entry.split(":", 2)[2]) for name, entry in self.table.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

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
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


main = click.version_option(__version__, prog_name="nni-wiring")(
    LazyGroup(
        table=COMMANDS,
        help="Watch how differentiable architecture search wires a cell, and judge it by the "
        "true accuracies of NAS-Bench-201.",
    )
)
