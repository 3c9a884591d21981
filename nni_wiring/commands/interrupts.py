"""Ctrl-C in a command that can go on: one line with the command that does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

_ARGUMENTS = f"{__name__}.arguments"


def program() -> str:
    """The words that a user starts this program with: ``nni-wiring``, or Python and ``cli.py``."""
    started = Path(sys.argv[0])
    if started.name == "nni-wiring":
        return started.name
    return f"python {shlex.quote(str(started)) if started.name == 'cli.py' else 'cli.py'}"


def keep_arguments(ctx: click.Context, arguments: Sequence[str]) -> None:
    """Keep what was typed behind the program's name, for :func:`this_command`."""
    ctx.meta[_ARGUMENTS] = tuple(arguments)


def this_command() -> str:
    """The command that runs now, as it was typed, for a shell."""
    return f"{program()} {shlex.join(click.get_current_context().meta[_ARGUMENTS])}"


@contextmanager
def goes_on_with(commands: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Let Ctrl-C in the block end the program with a line for each command that goes on.

    commands: asked once the block was interrupted, as late as that they know what is left.
    """
    try:
        yield
    except KeyboardInterrupt:
        lines = [f"interrupted; go on with:  {command}" for command in commands()]
        raise KeyboardInterrupt("\n".join(lines)) from None
