"""The argument RUN_ID... of the commands that take several runs."""

from __future__ import annotations

import click

from nni_wiring.commands import completion

#: As ``run_ids``, read by :func:`nni_wiring.service.resolve.resolve`.
run_ids_argument = click.argument(
    "run_ids",
    metavar="RUN_ID...",
    nargs=-1,
    required=True,
    shell_complete=completion.run_or_experiment,
)
