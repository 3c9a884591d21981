"""The merged real table, read by pandas alone: the oracle of what this package reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def truth(shared_data: Path) -> pd.DataFrame:
    """nb201_truth.csv.gz: row = official index."""
    return pd.read_csv(shared_data / "nb201_truth.csv.gz", dtype={"ops": str})
