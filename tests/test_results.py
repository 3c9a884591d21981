"""The table of the reference searches says what the kept rows, and the real table, say."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nni_wiring.truth import load_table

RESULTS = Path(__file__).parents[1] / "docs" / "results"
CLUTTER = RESULTS / "clutter"
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
LETTERS = {
    "none": "-",
    "skip_connect": "s",
    "nor_conv_1x1": "1",
    "nor_conv_3x3": "3",
    "avg_pool_3x3": "p",
}


def shown() -> dict[str, list[str]]:
    """Read the page's table: by label, the other columns."""
    text = (RESULTS / "README.md").read_text()
    body = text.split("<!-- begin reference table -->")[1].split("<!-- end reference table -->")[0]
    lines = [line.strip("| ").split(" | ") for line in body.strip().splitlines()[2:]]
    return {line[0]: line[1:] for line in lines}


def kept(label: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((RESULTS / "reference" / f"{label}.json.gz").read_bytes()))


def test_the_page_is_what_its_command_writes() -> None:
    command = [sys.executable, str(RESULTS / "reference_table.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    assert set(shown()) == {path.name[:-8] for path in (RESULTS / "reference").glob("*.json.gz")}


@pytest.mark.parametrize("label", ["darts-s2", "darts-s3", "gdas-s1", "gdas-s2", "snas-s1"])
def test_a_cell_by_magnitude_is_the_largest_alpha_of_the_last_epoch(label: str) -> None:
    row = kept(label)
    alpha = row["epochs"][-1]["alpha"]
    largest = {
        edge: max(alpha[edge], key=lambda name, edge=edge: alpha[edge][name]) for edge in EDGES
    }
    assert shown()[label][0].replace(" ", "") == "".join(LETTERS[largest[edge]] for edge in EDGES)


def test_accuracies_and_ranks_are_the_real_table_s(shared_data: Path) -> None:
    truth = pd.read_csv(shared_data / "nb201_truth.csv.gz", dtype={"ops": str})
    by_cell = truth.set_index("ops")["nats_cifar10valid_val200"]
    order = {name: str(place) for place, name in enumerate(LETTERS)}
    for label, (letters, judged, *_) in shown().items():
        names = {letter: name for name, letter in LETTERS.items()}
        accuracy = by_cell["".join(order[names[letter]] for letter in letters.replace(" ", ""))]
        rank = int((by_cell > accuracy).sum()) + 1
        assert judged == f"{accuracy:.2f} ({rank:,})", label


def test_facts_of_clutter201_are_what_their_command_writes() -> None:
    command = [sys.executable, str(RESULTS / "clutter_facts.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    text = (RESULTS.parent / "clutter201.md").read_text()
    for name in ("facts", "rewired-pairs", "topology-vs-truth", "selected-speed"):
        body = text.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
        assert body.count("\n|") >= 3, name


def test_the_table_of_methods_is_what_its_command_writes() -> None:
    command = [sys.executable, str(RESULTS / "method_table.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    text = (RESULTS.parent / "strategies.md").read_text()
    body = text.split("<!-- begin methods -->")[1].split("<!-- end methods -->")[0]
    [darts] = [line for line in body.splitlines() if line.startswith("| `darts`, bi-level | mag")]
    kept = [
        json.loads(gzip.decompress(f.read_bytes())) for f in CLUTTER.glob("darts-s[0-9]*.json.gz")
    ]
    table = load_table("clutter201")  # grown since the searches were told their truth
    column = table.values("clutter", "valid")
    values = [column[table.index_of(row["result"]["arch"])] for row in kept]
    assert f" {sum(values) / len(values):.2f} |" in darts and darts.endswith(f" {len(values)} |")


def test_study_tables_are_what_their_command_writes() -> None:
    command = [sys.executable, str(RESULTS / "study_tables.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    common = ("search-trajectories", "pattern-atlas", "early-stop", "selected-speed")
    pages = {
        "README.md": (*common, "selected-cells", "growing", "published-order"),
        "clutter.md": (*common, "selected-cells", "published-order"),
    }
    for page, names in pages.items():
        text = (RESULTS / page).read_text()
        for name in names:
            body = text.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
            assert body.count("\n|") >= 3, (page, name)


def test_every_kept_study_is_on_its_page() -> None:
    """(that the page is what the rows say: the test above)"""
    text = (RESULTS / "studies.md").read_text()
    labels = [path.name.removesuffix(".json.gz") for path in (RESULTS / "studies").glob("*")]
    assert len(labels) >= 5
    for label in labels:
        body = text.split(f"<!-- begin {label} -->")[1].split(f"<!-- end {label} -->")[0]
        assert body.count("\n|") >= 3 and f"studies/{label}.json.gz`" in body, label
    assert re.findall("<!-- begin (.*) -->", text) == re.findall("<!-- end (.*) -->", text)
    assert set(re.findall("<!-- begin (.*) -->", text)) == set(labels)
