"""The group of commands: lazy, and errors as one line with the right exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nni_wiring import __version__
from nni_wiring.commands import COMMANDS, main
from nni_wiring.commands.groups import LazyGroup
from nni_wiring.errors import ConfigError, RunError
from search_spaces.errors import SpaceError

REPO = Path(__file__).resolve().parents[2]


def group_that_raises(error: BaseException) -> LazyGroup:
    group = LazyGroup(table={}, help="test")

    @click.command()
    def boom() -> None:
        raise error

    group.get_command = lambda ctx, name: boom  # type: ignore[method-assign]
    return group


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (RunError("no run at x"), 1, "error: no run at x\n"),
        (ConfigError("lr: too big"), 1, "error: lr: too big\n"),
        (SpaceError("edge 9-9"), 1, "error: edge 9-9\n"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.UsageError("wrong"), 2, "Error: wrong"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(error: BaseException, code: int, line: str) -> None:
    result = CliRunner().invoke(group_that_raises(error), ["boom"])

    assert result.exit_code == code
    assert line in result.stderr
    assert "Traceback" not in result.stderr


def test_a_programming_error_is_not_hidden() -> None:
    result = CliRunner().invoke(group_that_raises(ZeroDivisionError("bug")), ["boom"])

    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (("serch",), "(did you mean search?)\n"),
        (("xyzzy",), ", tensorboard, watch\n"),
        (("benchmark", "qery"), "(did you mean query or verify?)\n"),
        (("benchmark", "xyzzy"), "top, use, verify\n"),
    ],
)
def test_a_mistyped_command_is_answered_with_those_spelt_alike(
    typed: tuple[str, ...], hint: str
) -> None:
    result = CliRunner().invoke(main, typed)

    assert result.exit_code == 2
    line = result.stderr.splitlines(keepends=True)[-1]
    assert line.startswith(f"Error: command: {typed[-1]!r} is not known; allowed: ")
    assert line.endswith(hint)


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert "no-such" in result.stderr.lower()


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys\n"
        "from nni_wiring.commands import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = [m for m in ('torch', 'nni', 'pandas', 'matplotlib') if m in sys.modules]\n"
        "loaded = {m for m in sys.modules if m.startswith('nni_wiring.commands.')}\n"
        "loaded -= {'nni_wiring.commands.groups', 'nni_wiring.commands.interrupts'}\n"
        "assert not heavy and not loaded, (heavy, loaded)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=60
    )

    assert answer.returncode == 0, answer.stderr
    for name in COMMANDS:
        assert f"  {name} " in answer.stdout


def test_names_help_typos_and_one_cell_wait_for_no_heavy_import() -> None:
    """One process for all: what any of these answers import is seen at the end."""
    calls = [
        *([name, "--help"] for name in COMMANDS),
        ["serch"],
        ["strategies"],
        ["spaces"],
        ["study"],
        ["benchmark", "query", "5"],
    ]
    code = (
        "import sys\n"
        "from nni_wiring.commands import main\n"
        f"for call in {calls!r}:\n"
        "    try:\n"
        "        main(call)\n"
        "    except SystemExit as end:\n"
        "        assert end.code == (2 if call == ['serch'] else 0), (call, end.code)\n"
        "    heavy = {'torch', 'nni', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, (call, heavy)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=60
    )

    assert answer.returncode == 0, answer.stderr
    for listed in ("gdas", "nasbench201_s2", "growing", "index 5, NAS-Bench-201"):
        assert listed in answer.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_loads_and_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])

    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: nni-wiring " + name)


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert result.exit_code == 0
    assert __version__ in result.output
