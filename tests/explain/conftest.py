"""Tables: the bundled one, the merged real one, and made-up ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.truth import TruthTable, load_table
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.metrics import Metric, MetricKey, TableData
from search_spaces.cell_graph import all_cells


@pytest.fixture(scope="session")
def bundled() -> TruthTable:
    return load_table("bundled")


@pytest.fixture(scope="session")
def v11(shared_data: Path) -> TruthTable:
    import_table(shared_data / "nb201_truth.csv.gz", "v11-explain", make_default=False)
    return load_table("v11-explain")


@pytest.fixture
def made_up() -> Callable[[np.ndarray], TruthTable]:
    """A table of one accuracy, given by code (so index and code are the same here)."""

    def build(accuracies: np.ndarray) -> TruthTable:
        metric = Metric(accuracies.astype(np.float32))
        codes = np.arange(len(all_cells()))
        return TruthTable("made-up", TableData(codes, {MetricKey("cifar10", "valid", 200): metric}))

    return build
