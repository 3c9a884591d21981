"""Local cost: C = dL/dZ, per cell, edge and operation (S1; theory page, section 1), as streaming
moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch


class LocalCost(NamedTuple):
    """Moments of the local cost over the recorded steps, each of shape (cells, edges, operations).

    mean, variance (population): NaN where the operation never ran. steps: in how many it ran.
    """

    mean: np.ndarray
    variance: np.ndarray
    steps: np.ndarray

    def over_cells(self) -> LocalCost:
        """Pool the cells: shape (edges, operations), every step of every cell counts once."""
        total = self.steps.sum(axis=0)
        safe = np.maximum(total, 1)
        ran = self.steps
        mean = np.nansum(self.mean * ran, axis=0) / safe
        square = np.nansum((self.variance + self.mean**2) * ran, axis=0) / safe
        missing = total == 0
        return LocalCost(
            np.where(missing, np.nan, mean),
            np.where(missing, np.nan, np.maximum(square - mean**2, 0.0)),
            total,
        )


class RunningCost:
    """Streaming sum and sum of squares of dL/dZ; lives on the gradients' device, read once an
    epoch.

    Sums are float64 on the host's CPU and on CUDA, float32 where the device has no float64.
    """

    def __init__(self) -> None:
        self._sum: torch.Tensor | None = None
        self._square: torch.Tensor | None = None
        self._count = np.zeros((0, 0, 0), dtype=np.int64)

    def add(self, gradients: torch.Tensor, ran: np.ndarray) -> None:
        """Count one step: gradients (cells, edges, operations); ran: the same shape, bool, on the
        host.
        """
        gradients = gradients.detach()
        if gradients.device.type != "mps":
            gradients = gradients.double()
        if self._sum is None or self._square is None:
            self._sum, self._square = torch.zeros_like(gradients), torch.zeros_like(gradients)
            self._count = np.zeros(gradients.shape, dtype=np.int64)
        self._sum += gradients
        self._square.addcmul_(gradients, gradients)
        self._count += ran

    def read(self) -> LocalCost | None:
        """The moments so far (the one device read), or None if nothing was counted."""
        if self._sum is None or self._square is None:
            return None
        total, square = torch.stack([self._sum, self._square]).cpu().double().numpy()
        missing = self._count == 0
        safe = np.maximum(self._count, 1)
        mean = np.where(missing, np.nan, total / safe)
        variance = np.where(missing, np.nan, np.maximum(square / safe - (total / safe) ** 2, 0.0))
        return LocalCost(mean, variance, self._count.copy())


def ran_mask(active: Sequence[Sequence[int]], operations: int) -> np.ndarray:
    """(edges, operations) bool: which operations a draw runs. none counts as run: its cost is known
    to be zero.
    """
    mask = np.zeros((len(active), operations), dtype=bool)
    for edge, columns in enumerate(active):
        mask[edge, list(columns)] = True
    return mask
