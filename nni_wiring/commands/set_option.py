"""`--set KEY=VALUE` of every command that takes options of what it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def set_option(allowed: str) -> Callable[[Any], Any]:
    """The option, whose parameter is ``assignments``; allowed: its help, a sentence or two."""
    return click.option(
        "--set",
        "assignments",
        metavar="KEY=VALUE",
        multiple=True,
        help=f"{allowed} May be repeated.",
    )
