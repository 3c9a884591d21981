"""The explanation in `analyze` and on the page: its numbers from the table, its ties by hand."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recomputed
from click.testing import CliRunner
from synthetic_runs import LETTERS, cell_of, write_run

from nni_wiring.commands import main
from nni_wiring.explain import explain, told
from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.html import write_report
from nni_wiring.report.sections import findings
from nni_wiring.report.sections.reasons import Reasons
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS, Wiring

ROW, BEST = "ss.c1a", 6111
NUMBER = r"(-?\d+\.\d\d)"


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests read the words."""
    monkeypatch.setattr("nni_wiring.report.html.section_pictures", lambda section: [])


def terminal(folder: Path) -> str:
    answer = CliRunner().invoke(main, ["analyze", str(folder)])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_every_number_of_an_edge_is_recomputed_from_the_table(
    tmp_path: Path, no_pictures: None
) -> None:
    table = load_table()
    values = table.values("cifar10", "valid").astype(float)
    cell = [OPERATIONS.index(name) for name in cell_of(ROW).values()]
    shares = recomputed.shares(table, cell, table.operations[BEST].tolist())
    text = terminal(write_run(tmp_path / "r1", f"ssssss {ROW}").path)
    own = values[table.index_of(cell)]
    regret = f"{values.max() - own:.2f}"
    assert f"cifar10 valid: {own:.2f} % " in text and f"{regret} points below the best" in text
    said: dict[str, float] = {}
    for place, edge in enumerate(NB201.edge_names):
        [line] = re.findall(rf"^{edge} {OPERATIONS[cell[place]]}: (.*)$", text, re.MULTILINE)
        costs = re.search(rf"costs {NUMBER} of the {regret} points", line)
        back = re.search(rf"gives back {NUMBER} points", line)
        said[edge] = float(costs[1]) if costs else -float(back[1]) if back else 0.0
        assert said[edge] == pytest.approx(shares[place], abs=0.006)
        choices = re.findall(rf"(\w+) {NUMBER} \(([+-]\d+\.\d\d)\)", line)
        expected = recomputed.choices(table, cell, place)
        assert [name for name, _, _ in choices] == list(expected)
        for name, reached, gain in choices:
            assert float(reached) == pytest.approx(expected[name], abs=0.006)
            assert float(gain) == pytest.approx(expected[name] - own, abs=0.006)
    order = [line.split()[0] for line in text.splitlines() if re.match(r"\d-\d \w+: ", line)]
    assert order == sorted(said, key=lambda edge: -said[edge])
    assert sum(said.values()) == pytest.approx(values.max() - own, abs=0.04)


def test_terminal_page_and_explain_have_the_same_words(tmp_path: Path, no_pictures: None) -> None:
    run = write_run(tmp_path / "r1", f"ssssss {ROW}")
    explained = told(explain(RunFolder.open(run.path), load_table(), "cifar10", "valid"))
    found = analyse_run(run, load_table())
    page = unescape(write_report(found, tmp_path / "out").read_text())
    text = terminal(run.path)
    spoken = findings(found)
    assert len(explained) >= 9
    for topic, lines in explained:
        assert (topic, " ".join(lines)) in spoken
        assert f"{topic}: {' '.join(lines)}" in text
        assert f"<dt>{topic}</dt><dd>{' '.join(lines)}</dd>" in page


def run_with_costs(folder: Path, costs: dict[str, float]) -> RunFolder:
    """Skip over none on every edge by a hair; by edge the mean cost of skip, none's is 0.

    Variance 0.1 over 3 epochs of 40 steps: two means of 120 differ by 0.041 (one standard error).
    """

    def table(skip: dict[str, float], other: float) -> dict[str, dict[str, float]]:
        return {edge: {"none": other, "skip_connect": skip[edge]} for edge in NB201.edge_names}

    same = dict.fromkeys(NB201.edge_names, 0.0)
    run = RunFolder.create(folder, folder.name, {"data": "digits", "space": "nasbench201"})
    for epoch in range(3):
        alpha = dict.fromkeys(same, 0.01 * (epoch + 1))
        moments = {
            "mean": table(costs, 0.0),
            "variance": table(dict.fromkeys(same, 0.1), 0.1),
            "count": table(dict.fromkeys(same, 40), 40),
        }
        line: dict[str, Any] = {"epoch": epoch, "cost": {"alpha": moments}}
        line |= {"arch": Wiring(NB201, ("skip_connect",) * 6).arch, "alpha": table(alpha, 0.0)}
        line["z"] = table(dict.fromkeys(same, 0.2025), 0.2002)
        run.append_epoch(line)
    run.set_status("finished")
    return run


def test_exactly_the_decisions_within_their_uncertainty_are_ties(
    tmp_path: Path, no_pictures: None
) -> None:
    # 0.041 is a standard error: 0.06 is within 1.96 of them, 0.1 is not
    costs = dict(zip(NB201.edge_names, (-0.1, -0.06, 0.0, 0.06, 0.1, -0.5), strict=True))
    text = terminal(run_with_costs(tmp_path / "r1", costs).path)
    ties = ["0-2", "1-2", "0-3"]
    assert "Ties: 3 of 6 decisions, within their uncertainty: 0-2, 1-2, 0-3. Another" in text
    for edge in NB201.edge_names:
        [line] = re.findall(rf"^{edge} skip_connect: (.*)$", text, re.MULTILINE)
        assert (" A tie, within the uncertainty of its local cost" in line) == (edge in ties)
        assert "in epoch 0 (the last is 2): skip_connect over none, Z 0.2025 against 0.2002" in line
        assert ("Its local cost was lower than the runner-up's" in line) == (edge in ("0-1", "2-3"))
        assert ("Against its local cost" in line) == (edge == "1-3")
    answer = CliRunner().invoke(main, ["analyze", str(tmp_path / "r1"), "--json"])
    [said] = json.loads(answer.stdout)["runs"]
    assert [e for e, one in said["decisions"].items() if one["verdict"] == "tie"] == ties
    [valid] = load_table().values("cifar10", "valid")[[load_table().index_of([1] * 6)]]
    assert said["explanation"]["accuracy"] == pytest.approx(valid, abs=1e-4)
    none = run_with_costs(tmp_path / "r2", dict.fromkeys(NB201.edge_names, -0.5))
    assert "Ties" not in terminal(none.path)


def test_a_tie_of_alphas_alone_needs_no_costs(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "r1", "r1", {})
    for epoch in range(2):
        run.append_epoch({"epoch": epoch, "alpha": {"layer": {"a": 0.1 * epoch, "b": 0.1}}})
    section = Reasons.of(analyse_run(run, None))
    assert section is not None
    said = dict(section.findings())
    assert said["Ties"].startswith("1 of 1 decisions, within their uncertainty: layer.")
    assert said["layer a"] == "A tie: a and b have the same alpha."
    assert section.notes() == []  # without truth the run's own notes say so


def live(cell: np.ndarray) -> list[str]:
    """The operations on paths from 0 to 3 without none, by listing the four paths."""
    names = dict(zip(NB201.edge_names, (OPERATIONS[k] for k in cell), strict=True))
    paths = (("0-3",), ("0-1", "1-3"), ("0-2", "2-3"), ("0-1", "1-2", "2-3"))
    alive = {e for path in paths if all(names[e] != "none" for e in path) for e in path}
    return [names[edge] for edge in alive]


def collapsed(operations: list[str]) -> str | None:
    """The first rule that fits, see the definition that the sentence prints."""
    half = len(operations) / 2
    bare = [name for name in operations if name in ("skip_connect", "avg_pool_3x3")]
    if not operations:
        return "none"
    if operations.count("skip_connect") > half:
        return "skip"
    if operations.count("avg_pool_3x3") > half:
        return "pooling"
    return "no parameters" if len(bare) > half else None


@pytest.fixture(scope="module")
def verdicts() -> list[str | None]:
    """Of all 15,625 cells."""
    return [collapsed(live(cell)) for cell in load_table().operations]


@pytest.mark.parametrize(
    ("row", "kind", "said"),
    [
        ("......", "none", "Collapsed to none"),
        ("ssssss", "skip", "Collapsed to skip: 6 of 6"),
        ("aaaaac", "pooling", "Collapsed to pooling: 5 of 6"),
        ("ssa.ac", "no parameters", "Collapsed to operations without parameters: 1 of 5"),
        ("cccccc", None, "No collapse: 0 of 6"),
    ],
)
def test_collapse_of_every_kind_beside_the_random_cells_share(
    row: str, kind: str | None, said: str, tmp_path: Path, verdicts: list[str | None]
) -> None:
    share = 1 - verdicts.count(None) / 15625 if kind is None else verdicts.count(kind) / 15625
    assert collapsed(live(np.array([OPERATIONS.index(LETTERS[one]) for one in row]))) == kind
    spoken = dict(findings(analyse_run(write_run(tmp_path / "r1", row), load_table())))["Collapse"]
    assert spoken.startswith(said)
    [percent] = re.findall(r"([\d.]+) % of random cells", spoken)
    assert float(percent) == pytest.approx(100 * share, abs=0.5)
