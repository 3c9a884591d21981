"""The line on training speed: percentiles and equals counted in the CSV itself, cell by cell."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import write_run

from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.sections.speed import Speed
from nni_wiring.truth import TruthTable, load_table
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.speed import SpeedTable
from search_spaces.cell_codes import NASBENCH201

#: the cell that NAS-Bench-201 prints for DARTS, with the design's percentiles after 12 and 200
DARTS, DESIGN = "ssssss", (2.7, 2.6)


@pytest.fixture(scope="module")
def source(shared_data: Path) -> Path:
    return shared_data / "nb201_truth.csv.gz"


@pytest.fixture(scope="module")
def table(source: Path) -> TruthTable:
    import_table(source, "v11-speed-line", make_default=False)
    return load_table("v11-speed-line")


@pytest.mark.parametrize("row", [DARTS, "ccss1a", "c.c.sc"])
def test_percentiles_and_equals_by_counting(
    row: str, tmp_path: Path, table: TruthTable, source: Path
) -> None:
    run = analyse_run(write_run(tmp_path / "r1", f"cccccc {row}"), table)
    section = Speed.of(run)
    assert section is not None and section.cell is not None and section.equals is not None
    csv = pd.read_csv(source).set_index("arch")
    early, late = csv["e12_cifar10valid_val"], csv["v11_cifar10valid_val200"]
    own = run.arch
    expected = [100 * (column <= column[own]).mean() for column in (early, late)]
    assert [section.cell.early, section.cell.late] == pytest.approx(expected, abs=0.03)
    if row == DARTS:
        assert [section.cell.early, section.cell.late] == pytest.approx(DESIGN, abs=0.06)
    percentile = 100 * late.rank(method="max") / len(late)
    near = early[(percentile - percentile[own]).abs() <= 1].drop(own)
    assert section.equals.cells == pytest.approx(len(near), abs=3)
    ahead = (near < early[own]).mean() + (near == early[own]).mean() / 2
    assert section.equals.ahead == pytest.approx(ahead, abs=0.01)
    [(topic, text)] = section.findings()
    said = [float(number.replace(",", "")) for number in re.findall(r"[+-]?\d[\d,]*\.?\d*", text)]
    assert topic == "Speed"
    # CIFAR-10 validation after 12 epochs: percentile, after 200: ; (after 12 epochs again); tilts
    numbers = [value for value in said if value not in (12.0, 200.0)]
    assert numbers[1:4] == pytest.approx([expected[0], expected[1], len(near)], abs=3)
    assert numbers[2] == pytest.approx(expected[1], abs=0.06)
    assert numbers[5:7] == pytest.approx(
        [section.cell.tilt, section.policy.tilt if section.policy else np.nan], abs=0.06
    )


def test_p_of_alpha_is_the_last_epochs(tmp_path: Path, table: TruthTable) -> None:
    run = analyse_run(write_run(tmp_path / "r1", "cccccc ccss1a"), table)
    section, last = Speed.of(run), run.records[-1].z
    p = [[last[e][name] or 0.0 for name in NASBENCH201.operations] for e in last]
    assert section is not None and section.policy is not None
    direct = SpeedTable(table, "cifar10", 12).of(p)
    assert section.policy.tilt == pytest.approx(direct.tilt, abs=1e-9)
    said = section.json()["speed"]
    assert (said["short"], said["full"]) == (12, 200)
    assert said["p(alpha)"]["tilt"] == pytest.approx(direct.tilt, abs=1e-9)
    assert said["cell"]["early"] == section.cell.early  # type: ignore[union-attr]


def test_a_table_without_the_short_training_is_named(tmp_path: Path) -> None:
    section = Speed.of(analyse_run(write_run(tmp_path / "r1", "cccccc"), load_table("bundled")))
    assert section is not None
    assert section.findings() == [
        ("Speed", "missing: table bundled has no CIFAR-10 validation after 12 epochs.")
    ]
    assert section.json()["speed"]["cell"] is None


def test_a_run_without_table_or_cell_has_no_speed(tmp_path: Path, table: TruthTable) -> None:
    run = write_run(tmp_path / "r1", "cccccc")
    assert Speed.of(analyse_run(run, None)) is None
    empty = write_run(tmp_path / "r2")
    assert Speed.of(analyse_run(empty, table)) is None
