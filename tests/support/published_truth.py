"""The table of the shared data as plain arrays, read apart from the package's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def validation_cube(shared_data: Path) -> np.ndarray:
    """CIFAR-10 validation in percent after 200 epochs, NAS-Bench-201 v1.1: six axes of five."""
    frame = pd.read_csv(
        shared_data / "nb201_truth.csv.gz",
        usecols=["ops", "v11_cifar10valid_val200"],
        dtype={"ops": str},
    )
    values = np.empty((5,) * 6)
    for cell, value in zip(frame["ops"], frame["v11_cifar10valid_val200"], strict=True):
        values[tuple(map(int, cell))] = value
    return values
