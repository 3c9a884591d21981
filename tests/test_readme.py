"""The README's code and commands, run word for word."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import recomputed

from nni_wiring.explain import explain
from nni_wiring.explain import told as told_of
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
def test_the_python_example_searches_and_prints_a_cell_and_its_truth(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code) == 1
    (tmp_path / "example.py").write_text(code[0])
    done = _run([sys.executable, "example.py"], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    sample = next(line for line in done.stdout.splitlines() if line.startswith("[{"))
    assert sorted(re.findall(r"cell/(\d_\d)", sample)) == ["0_1", "0_2", "0_3", "1_2", "1_3", "2_3"]
    assert re.search(r"Score\(accuracy=\d", done.stdout)


@pytest.mark.slow
def test_the_tour_runs_word_for_word(tmp_path: Path) -> None:
    blocks = re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    tour = [c for c in commands if c.startswith("python cli.py ") and " tensorboard " not in c]
    assert len(tour) >= 6
    output = ""
    for command in tour:
        arguments = shlex.split(command)
        arguments[:2] = [sys.executable, str(ROOT / "cli.py")]
        done = _run(arguments, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        output += done.stdout
    assert "derived cell: |" in output
    pages = re.findall(r"^report: (.+)$", output, flags=re.MULTILINE)
    assert pages
    assert [page for page in pages if not (tmp_path / page).is_file()] == []


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_figures_of_the_tabs_picture_are_the_tables() -> None:
    last = "|skip_connect~0|skip_connect~1|skip_connect~2|"
    arch = f"|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+{last}"
    found = explain(arch, load_table(), "cifar10", "valid")
    [edge] = [one for one in found.edges if one.edge == "0-1"]
    accuracy = f"{found.accuracy:.2f} %"
    share = f"{edge.shapley:.2f} of the {found.regret:.2f} points"
    assert accuracy in README and f"0-1 accounts for {share}" in " ".join(README.split())
    text = " ".join((ROOT / "docs" / "explain.md").read_text().split())
    gain = (edge.choices["nor_conv_3x3"] or 0) - (found.accuracy or 0)
    assert f"{share}, and the convolution there would bring {gain:.2f} back" in text
    assert found.worst_first[0] is edge


def test_the_explained_search_names_its_edges_with_the_tables_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every figure of the README's explanation, from the kept rows and the table."""
    text = README.split("## One search, explained")[1].split("## Two commands")[0]
    told = " ".join(text.split("```")[1].split())
    kept = ROOT / "docs" / "results" / "reference" / "darts-s2.json.gz"
    search = json.loads(gzip.decompress(kept.read_bytes()))
    epochs, table = search["epochs"], load_table()
    cell = table.operations[table.index_of(search["result"]["arch"])].tolist()
    own, optimum = recomputed.accuracy(table, cell), table.optimum("cifar10", "valid")
    best = table.operations[table.index_of(optimum.arch)].tolist()
    regret = f"{optimum.accuracy - own:.2f}"
    shares = recomputed.shares(table, cell, best)
    named = re.findall(
        r"(\d-\d) (\w+): costs (\S+) of the (\S+) points; the best cell has (\w+)", told
    )
    by_share = sorted(range(6), key=lambda place: -shares[place])
    costly = [place for place in by_share if shares[place] > 0.005]
    assert named == [
        (NB201.edge_names[k], OPERATIONS[cell[k]], f"{shares[k]:.2f}", regret, OPERATIONS[best[k]])
        for k in costly
    ]
    for place in costly:
        edge, winner = NB201.edge_names[place], OPERATIONS[cell[place]]
        paragraph = told.split(f"{edge} {winner}: ")[1]
        others = recomputed.choices(table, cell, place)
        listed = ", ".join(
            f"{name} {value:.2f} ({value - own:+.2f})" for name, value in others.items()
        )
        assert paragraph.split("All else equal: ")[1].startswith(f"{listed}.")
        leads = [max(one["alpha"][edge], key=one["alpha"][edge].get) for one in epochs]
        since = len(leads) - next(
            n for n, lead in enumerate([*leads[::-1], None]) if lead != leads[-1]
        )
        z = sorted(epochs[-1]["z"][edge].values())[-2:]
        assert leads[-1] == winner
        assert re.match(
            rf".*?Decided in epoch {since} \(the last is 49\): {winner} over \w+, "
            rf"Z {z[1]:.4f} against {z[0]:.4f}\.",
            paragraph,
        )
    first = next(iter(recomputed.choices(table, cell, costly[0]).values()))
    assert (
        f"Best repair of one edge: nor_conv_3x3 on 0-1, {first:.2f} ({first - own:+.2f})." in told
    )
    ranks = table.rank("cifar10", "valid")
    passed = [ranks[table.index_of(one["arch"])] for one in epochs]
    assert (passed[2], min(passed), passed[-1]) == (2, 2, 11291)
    assert "second best of all 15,625 cells in epoch 2 and ended with rank 11,291" in text
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path))
    folder = RunFolder.open(unpacked("darts-s2"))
    for subject in told_of(explain(folder, table, "cifar10", "valid")):
        if subject.topic[:3] in ("Tie", "0-1", "1-3", "2-3", "Bes", "Cha"):
            assert f"{subject.topic}: {' '.join(subject.lines)}" in told


def unpacked(label: str) -> Path:
    """A kept search as a run's folder, by the README's own command."""
    done = _run([sys.executable, str(ROOT / "docs" / "results" / "unpack.py"), label], ROOT)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
