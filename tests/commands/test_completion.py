"""What a shell is offered, through click's own completion, where torch cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blocked_imports import TORCH_AND_NNI, blocking

from nni_wiring.commands import COMMANDS
from nni_wiring.data.registry import data_names
from nni_wiring.runs.store import RunFolder
from nni_wiring.selection.registry import SELECTIONS
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.studies.registry import STUDIES
from nni_wiring.train.protocols import PROTOCOLS
from search_spaces.registry import SPACES

REPO = Path(__file__).resolve().parents[2]

WITHOUT = f"""{blocking(*TORCH_AND_NNI, "pandas", "matplotlib")}
import json
from click.shell_completion import BashComplete
from nni_wiring.commands import main
shell = BashComplete(main, {{}}, "nni-wiring", "_NNI_WIRING_COMPLETE")
for *words, begun in json.loads(sys.argv[1]):
    print(json.dumps([item.value for item in shell.get_completions(words, begun)]))
"""


def begin(names: object, letters: str) -> list[str]:
    return [name for name in names if name.startswith(letters)]  # type: ignore[attr-defined]


RUNS = ["darts-s1-one", "enas-s2-two"]
TABLES = ["bundled", "clutter201", "mine", "nasbench201", "transnas101_micro"]
#: words, the last one begun -> what is offered
OFFERED: dict[tuple[str, ...], list[str]] = {
    ("",): list(COMMANDS),
    ("st",): begin(COMMANDS, "st"),
    ("--v",): ["--version"],
    ("search", "--strategy", ""): list(STRATEGIES),
    ("search", "--strategy", "da"): begin(STRATEGIES, "da"),
    ("search", "--space", "nasbench201_s"): begin(SPACES, "nasbench201_s"),
    ("search", "--data", "n"): ["npz:"],
    ("search", "--data", "c"): begin(data_names(), "c"),
    ("search", "--resume", ""): [*RUNS, "latest"],
    ("train", "--protocol", ""): list(PROTOCOLS),
    ("train", "d"): ["darts-s1-one"],
    ("select", "enas"): ["enas-s2-two"],
    ("select", "enas-s2-two", "--method", ""): list(SELECTIONS),
    ("analyze", ""): [*RUNS, "latest"],
    ("analyze", "e"): ["enas-s2-two", "exp1"],
    ("compare", "darts-s1-one", "en"): ["enas-s2-two"],
    ("trials", ""): ["exp1", "latest"],
    ("watch", "e"): ["exp1"],
    ("study", ""): list(STUDIES),
    ("study", "con"): begin(STUDIES, "con"),
    ("strategies", "--options", "s"): begin(STRATEGIES, "s"),
    ("spaces", "--options", "m"): ["minimal"],
    ("benchmark", "q"): ["query"],
    ("benchmark", "query", "5", "--benchmark", ""): TABLES,
    ("benchmark", "use", "m"): ["mine"],
    ("benchmark", "top", "--dataset", "cifar10"): ["cifar10", "cifar100"],
    ("benchmark", "top", "--split", ""): ["valid", "test"],
    ("benchmark", "build", "--space", "darts_s"): begin(SPACES, "darts_s"),
    ("explain", "--split", "t"): ["test"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user with two runs, one NNI experiment and one table."""
    home = tmp_path_factory.mktemp("home")
    for name in RUNS:
        RunFolder.create(home / "runs" / name, name, {})
    (home / "nni-experiments").mkdir()
    (home / "nni-experiments" / ".experiment").write_text('{"exp1": {"startTime": 1}}')
    (home / "cache" / "tables").mkdir(parents=True)
    (home / "cache" / "tables" / "mine.npz").touch()
    return home


def python(home: Path, *arguments: str, **more: str) -> str:
    known = {"PYTHONPATH": str(REPO), "HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        env={**known, "NNI_WIRING_CACHE": str(home / "cache"), **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def offered(home: Path) -> dict[tuple[str, ...], list[str]]:
    lines = python(home, "-c", WITHOUT, json.dumps(list(OFFERED))).splitlines()
    return dict(zip(OFFERED, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("words", OFFERED, ids=" ".join)
def test_a_shell_is_offered_what_there_is(
    words: tuple[str, ...], offered: dict[tuple[str, ...], list[str]]
) -> None:
    assert offered[words] == OFFERED[words]


def test_what_cannot_be_read_completes_to_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "nni-experiments").mkdir()
    (tmp_path / "nni-experiments" / ".experiment").write_text("[")

    calls = json.dumps([["trials", ""], ["study", "land"]])
    lines = python(tmp_path, "-c", WITHOUT, calls).splitlines()

    assert [json.loads(line) for line in lines] == [[], ["landscape"]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_of_the_page_sets_a_shell_up(shell: str, home: Path) -> None:
    page = (REPO / "docs" / "terminal.md").read_text()
    assert f"_NNI_WIRING_COMPLETE={shell}_source nni-wiring" in page

    code = "from nni_wiring.commands import main; main(prog_name='nni-wiring')"
    script = python(home, "-c", code, _NNI_WIRING_COMPLETE=f"{shell}_source")

    assert "_NNI_WIRING_COMPLETE" in script and "nni-wiring" in script
