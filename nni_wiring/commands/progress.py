"""Progress on stderr: a line that is drawn anew on a terminal, elsewhere plain ones now and then.

Plain lines are flushed, so that a log file says at once how far a long command is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

#: Called with done, total, and the thing that is done.
Tell = Callable[[int, int, str], None]

Say = Callable[[str], None]

_EVERY = 10.0  # seconds


def on_terminal() -> bool:
    """True where stderr is a terminal, on which a line can be drawn anew."""
    return sys.stderr.isatty()


@contextmanager
def progress(title: str, *, every: float = _EVERY, early: bool = True) -> Iterator[Tell]:
    """Tell how far something is, with an estimate of the time that is left.

    Args:
        title: of the thing.
        every: seconds between two plain lines; the last step has its own.
        early: whether the first step has a plain line, too. Without, what takes no longer than
            ``every`` stays silent.
    """
    if on_terminal():
        with _bar(title) as tell:
            yield tell
    else:
        yield Lines(title, every, early)


@contextmanager
def _bar(title: str) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    long = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=long),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        expand=True,
        redirect_stdout=sys.stdout.isatty(),  # a file gets its lines, whatever is drawn
        speed_estimate_period=3600,  # a step may take minutes: the last half minute says nothing
    ) as shown:
        task = shown.add_task(title, total=None, count="")

        def tell(done: int, total: int, what: str) -> None:
            shown.update(task, completed=done, total=total, count=_count(done, total, what))

        yield tell


@contextmanager
def steps(title: str) -> Iterator[tuple[Say, Say]]:
    """Tell the steps of something whose number nobody knows; yields two functions of a text: for
    the beginning of a step, and for what goes on within it, of which a line every ten seconds is
    enough.
    """
    if on_terminal():
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True)

        def line(text: str) -> Text:
            room = console.width - 3  # the spinner stands before it
            return Text(text if len(text) <= room else f"{text[: room - 3]}...")

        with console.status(line(title)) as shown:
            yield (tell := lambda text: shown.update(line(text))), tell
    else:
        yield _say, _Sparse()


def _say(text: str) -> None:
    click.echo(text, err=True)


class _Sparse:
    """Says a text unless the last one, or the beginning, is younger than ten seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._said >= _EVERY:
            self._said = now
            _say(text)


class Lines:
    """Plain lines about how far something is, with the time left by the speed since the first
    step.
    """

    def __init__(self, title: str, every: float = _EVERY, early: bool = True) -> None:
        self._title, self._every = title, every
        self._start: tuple[int, float] | None = None
        self._said = None if early else time.monotonic()
        self._silent = not early

    def __call__(self, done: int, total: int, what: str) -> None:
        """Print a line, unless the last one is too young."""
        now = time.monotonic()
        if self._start is None:
            self._start = done, now
        first, began = self._start
        young = self._said is not None and now - self._said < self._every
        if young and (done < total or self._silent):
            return
        self._said, self._silent = now, False
        left = ""
        if first < done < total:
            left = f", about {_time((now - began) * (total - done) / (done - first))} left"
        click.echo(f"{self._title}: {_count(done, total, what)}{left}", err=True)


def _count(done: int, total: int, what: str) -> str:
    """ "3 of 6 trainings"; of bytes, which nobody counts, the share."""
    if what == "bytes":
        return f"{100 * done / max(total, 1):.0f} %"
    return f"{done} of {total} {what}"


def _time(seconds: float) -> str:
    minutes = seconds / 60
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
