"""Tables and help of every command on a terminal of sixty columns."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nni_wiring.commands import COMMANDS, main, output
from nni_wiring.commands.benchmark import benchmark
from nni_wiring.commands.tables import column_widths, row_by_row

REPO = Path(__file__).resolve().parents[2]
LISTS = [
    ("strategies",),
    ("strategies", "--relaxations"),
    ("strategies", "--options", "drnas"),
    ("spaces",),
    ("spaces", "--options", "darts"),
    ("study",),
    ("benchmark", "sources"),
    ("benchmark", "top", "-k", "3"),
]


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_a_list_fits_and_loses_nothing(
    command: tuple[str, ...], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CliRunner().invoke(main, command)
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    shown = CliRunner(env={"COLUMNS": str(columns)}).invoke(main, command)

    assert whole.exit_code == shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    # a word longer than a line goes on in the next one
    joined = re.sub(r"\n\s*", "", shown.stdout)
    title, *rows = whole.stdout.splitlines()
    for word in (" ".join([title.removeprefix("# "), *rows])).split():
        assert word in shown.stdout or word in joined, word


def helps() -> dict[str, str]:
    """The help of every command on a terminal of sixty columns, all from one process."""
    code = (
        "import json, sys\n"
        "from nni_wiring.commands import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    print('##', *words)\n"
        "    try:\n"
        "        main([*words, '--help'], prog_name='nni-wiring')\n"
        "    except SystemExit:\n"
        "        pass\n"
    )
    names = [[], *([name] for name in COMMANDS), *(["benchmark", n] for n in benchmark.commands)]
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(names)],
        cwd=REPO,
        env={**os.environ, "COLUMNS": "60"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    parts = re.split("^##", done.stdout, flags=re.MULTILINE)[1:]
    return {name.strip(): text for name, text in (part.split("\n", 1) for part in parts)}


def test_help_fits_and_cuts_no_sentence() -> None:
    told = helps()

    assert set(COMMANDS) < set(told) and "benchmark build" in told
    for name, text in told.items():
        assert max(map(len, text.splitlines())) <= 60, name
        assert text.startswith(f"Usage: nni-wiring {name}")
    group = " ".join(told["benchmark"].split())
    assert "..." not in group.partition("Commands:")[2]
    assert (
        "Compare our import of an official file with the answers of the official package" in group
    )


def test_columns_take_their_longest_word_at_least_and_their_text_at_most() -> None:
    columns, rows = ["a", "name"], [["x", "one two three"], ["yy", "four"]]

    # of n columns 3n + 1 characters are frame
    assert column_widths(columns, rows, 7 + 2 + 13) == [2, 13]
    assert column_widths(columns, rows, 100) == [2, 13]
    assert column_widths(columns, rows, 7 + 2 + 9) == [2, 9]
    assert column_widths(columns, rows, 7 + 2 + 5) == [2, 5]
    assert column_widths(columns, rows, 7 + 2 + 4) is None


def test_a_row_that_does_not_fit_is_a_paragraph() -> None:
    rows = [["first", "a b", ""], ["second", "c", "d e f g h i"]]

    assert list(row_by_row("the title", ["key", "one", "three"], rows, 15)) == [
        "the title",
        "",
        "key first",
        "  one    a b",
        "",
        "key second",
        "  one    c",
        "  three  d e f",
        "         g h i",
    ]
