"""docs/tutorial.ipynb: its stored numbers are the table's, and it runs on a fresh clone's data."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from nni_wiring.explain import explain
from nni_wiring.truth import TruthTable, load_table

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "docs" / "tutorial.ipynb"


def read() -> NotebookNode:
    return nbformat.read(PATH, as_version=4)


def code_cells(notebook: NotebookNode) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: NotebookNode) -> str:
    """All printed text and all tables as text, in order."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    )


def cells_found(text: str) -> dict[str, str]:
    """Per method the cell that its search ended with."""
    return dict(re.findall(r"^(darts|gdas): (\|.+\|)$", text, re.MULTILINE))


def check_against_the_table(text: str, table: TruthTable) -> None:
    """Accuracy, rank, regret, null, and the shares of the regret, from the cells printed first."""
    found = cells_found(text)
    assert set(found) == {"darts", "gdas"}
    everything = sorted(
        table.query(index)["accuracy"]["cifar10"]["valid"] for index in range(15625)
    )
    for name, arch in found.items():
        own = table.query(arch)["accuracy"]["cifar10"]["valid"]
        better = sum(value > own for value in everything)
        null = sum(value >= own for value in everything) / len(everything)
        regret = everything[-1] - own
        line = f"{name}: {own:.2f} %, rank {better + 1}, regret {regret:.2f}, null {null:.3f}"
        assert line in text.splitlines()
    best, mean = everything[-1], sum(everything) / len(everything)
    assert f"best cell: {best:.2f} %, mean random cell: {mean:.2f} %" in text.splitlines()
    shares = re.findall(r"^\d-\d .* (-?\d+\.\d\d)$", text.split("sum of the shares")[1], re.M)
    wanted = explain(found["darts"], table, "cifar10", "valid").edges
    assert [float(share) for share in shares] == pytest.approx(
        [edge.shapley for edge in wanted], abs=0.0051
    )


def check_is_whole(notebook: NotebookNode) -> None:
    """Each code cell ran once, in order, without error or warning; two pictures."""
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_what_is_stored_is_whole_small_and_the_tables() -> None:
    notebook = read()
    check_is_whole(notebook)
    check_against_the_table(texts(notebook), load_table())
    assert PATH.stat().st_size < 300_000
    assert re.findall(r"/(?:home|root|tmp|work|Users)/", PATH.read_text()) == []


def test_every_link_leads_to_a_page() -> None:
    prose = "\n".join(cell.source for cell in read().cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", prose)
    assert len(links) >= 4
    assert [link for link in links if not (PATH.parent / link).exists()] == []


def mean_costs(lines: Iterable[dict[str, Any]], edge: str) -> dict[str, float]:
    """Mean over epochs of the costs of one edge's operations."""
    rows = [line["cost"]["alpha"]["mean"][edge] for line in lines]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


@pytest.mark.slow
def test_it_runs_and_shows_what_its_runs_recorded(tmp_path: Path) -> None:
    notebook = read()
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    own = {"NNI_WIRING_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)}
    client = NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute(env={**os.environ, **own})
    check_is_whole(notebook)
    text = texts(notebook)
    check_against_the_table(text, load_table())
    for name, arch in cells_found(text).items():
        (folder,) = (tmp_path / "runs").glob(f"{name}-s1-*")
        lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
        assert lines[-1]["arch"] == arch
        if name == "darts":
            assert f"({len(lines)}, " in text
            names, row = re.findall(r"^(?:operation|0-3) +(.+)$", text, re.MULTILINE)[:2]
            shown = dict(zip(names.split(), map(float, row.split()), strict=True))
            assert shown == pytest.approx(mean_costs(lines, "0-3"), abs=5.1e-6)
