"""The tilt of a choice to fast cells against all 720 orders of the edges, one by one."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import load_table
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.speed import SpeedTable
from search_spaces.cell_codes import NASBENCH201

#: the cell that NAS-Bench-201 prints for DARTS on CIFAR-10
DARTS_CIFAR10 = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"  # noqa: E501


@pytest.fixture(scope="module")
def speeds(shared_data: Path) -> tuple[SpeedTable, np.ndarray, np.ndarray]:
    source = shared_data / "nb201_truth.csv.gz"
    import_table(source, "v11-speed", make_default=False)
    csv = pd.read_csv(source).set_index("arch")
    ranks = [
        (100 * csv[name].rank(method="max") / len(csv)).to_dict()
        for name in ("e12_cifar10valid_val", "v11_cifar10valid_val200")
    ]
    archs = [NASBENCH201.spell(cell) for cell in NASBENCH201.cells]
    early, late = (np.array([rank[arch] for arch in archs]) for rank in ranks)
    return SpeedTable(load_table("v11-speed"), "cifar10", 12), early, late


def enumerated(p: np.ndarray, values: np.ndarray) -> float:
    """By the product of every cell's probabilities, one cell at a time."""
    cells = NASBENCH201.cells.astype(int)
    return float(np.prod(p[np.arange(6), cells], axis=1) @ values)


def test_expectations_and_null_by_enumeration(
    speeds: tuple[SpeedTable, np.ndarray, np.ndarray],
) -> None:
    table, early, late = speeds
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=6)
    found = table.of(p)
    assert found.early == pytest.approx(enumerated(p, early), abs=0.02)
    assert found.late == pytest.approx(enumerated(p, late), abs=0.02)
    orders = [
        enumerated(p[list(order)], early - late) for order in itertools.permutations(range(6))
    ]
    assert len(orders) == 720 and found.null == pytest.approx(np.mean(orders), abs=0.02)
    assert found.tilt == pytest.approx(found.early - found.late - found.null)


def test_equal_rows_and_equal_operations_have_no_tilt(
    speeds: tuple[SpeedTable, np.ndarray, np.ndarray],
) -> None:
    table, early, late = speeds
    assert table.of(np.full((6, 5), 0.2)).tilt == pytest.approx(0, abs=1e-9)
    skips = np.zeros((6, 5))
    skips[:, NASBENCH201.operations.index("skip_connect")] = 1
    found = table.of(skips)
    assert found.tilt == pytest.approx(0, abs=1e-9)
    place = NASBENCH201.code_of_arch[DARTS_CIFAR10]
    assert (found.early, found.late) == pytest.approx((early[place], late[place]), abs=0.02)
    assert (found.early, found.late) == pytest.approx((2.7, 2.6), abs=0.06)  # the design's


def test_a_table_without_short_trainings_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="cifar10/valid@12"):
        SpeedTable(load_table("bundled"), "cifar10", 12)
