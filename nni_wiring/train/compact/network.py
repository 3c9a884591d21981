"""A fixed cell's network on the kernels: its weights in one vector, its steps one call each."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from nni_wiring.train.compact.library import State, kernels
from nni_wiring.train.compact.program import (
    EPSILON,
    MOMENTUM,
    NotCompactError,
    Program,
    program_of,
)

#: Numbers of images that the kernels take are multiples of it.
IMAGES = 16
_VECTOR = 64  # bytes


class CompactNetwork(nn.Module):
    """A network's function, computed by the kernels.

    Args:
        network: of NAS-Bench-201's kind, with its weights, float32 or float64, on the CPU.
        side: height and width of the images.
        images: largest batch.

    Attributes:
        weights: all weights that the loss depends on, one vector.
        statistics: the batch norms' running means and variances, one vector.

    Raises:
        NotCompactError: one line; the network has a part that the kernels do not run, or they
            cannot be compiled here.
    """

    def __init__(self, network: nn.Module, side: tuple[int, int], images: int) -> None:
        super().__init__()
        self.program: Program = program_of(network, side)
        held = {**self.program.weights}
        dtype = next(iter(held.values())).dtype
        library = kernels(dtype)
        if library is None:
            raise NotCompactError("the kernels need a C compiler")
        self._library, self._images = library, -(-images // IMAGES) * IMAGES
        self.weights = nn.Parameter(_joined(held, dtype))
        self.statistics: Tensor
        self.register_buffer("statistics", _joined(self.program.statistics, dtype))
        self.weights.grad = torch.zeros_like(self.weights)
        self._work = self._workspace(dtype)
        self._rows: dict[int, np.ndarray] = {}

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        """Leave the gradient of the mean cross-entropy in ``weights.grad``, update the statistics.

        Args:
            images: (n, 3, height, width), n a multiple of `IMAGES`.
            labels: int64 (n,).

        Returns:
            The mean cross-entropy (nats), and how many images were right.
        """
        state = self._run(images, labels.contiguous(), training=True)
        return state.loss / len(images), int(state.right)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) -> logits (n, classes), by the running statistics; n is any."""
        return torch.cat([self._logits(part) for part in images.split(self._images)])

    def write_back(self) -> None:
        """Copy weights and statistics to the network that they are of."""
        with torch.no_grad():
            for held, vector in (
                (self.program.weights, self.weights),
                (self.program.statistics, self.statistics),
            ):
                for place, tensor in held.items():
                    tensor.copy_(vector[place : place + tensor.numel()].view_as(tensor))

    def _logits(self, images: Tensor) -> Tensor:
        count = len(images)
        padded = nn.functional.pad(images, (0, 0) * 3 + (0, -count % IMAGES))
        self._run(padded, None, training=False)
        start, classes = self.program.logits * len(padded), self.program.classes
        logits = self._work["acts"][start : start + classes * len(padded)]
        return logits.view(classes, -1)[:, :count].t().clone()

    def _workspace(self, dtype: torch.dtype) -> dict[str, Tensor]:
        program, lanes = self.program, _VECTOR
        sizes = {
            "acts": program.activations * self._images,
            "act_grads": program.activations * self._images,
            "saved": program.saved,
            "scratch": program.scratch * lanes + self._images,
        }
        return {name: _aligned(size, dtype) for name, size in sizes.items()}

    def _run(self, images: Tensor, labels: Tensor | None, *, training: bool) -> State:
        count, work = len(images), self._work
        if count % IMAGES or count > self._images:
            raise ValueError(f"{count} images; allowed: multiples of {IMAGES}, to {self._images}")
        start = self.program.image * count
        place = work["acts"][start : start + images.numel()]
        place.view(*images.shape[1:], count).copy_(images.permute(1, 2, 3, 0))
        grads = self.weights.grad
        assert grads is not None
        state = State(
            self.weights.data_ptr(),
            grads.data_ptr(),
            self.statistics.data_ptr(),
            *(work[name].data_ptr() for name in ("acts", "act_grads", "saved", "scratch")),
            None if labels is None else labels.data_ptr(),
            count,
            MOMENTUM,
            EPSILON,
        )
        rows = self._rows_for(count)
        self._library.run(rows.ctypes.data, len(rows), ctypes.byref(state), int(training))
        return state

    def _rows_for(self, count: int) -> np.ndarray:
        """The program's rows with the places of features in batches of ``count`` images."""
        if count not in self._rows:
            rows = self.program.rows.copy()
            rows[:, 1:3] *= count
            self._rows[count] = np.ascontiguousarray(rows)
        return self._rows[count]


def _aligned(size: int, dtype: torch.dtype) -> Tensor:
    """Zeros whose first element lies at a multiple of a vector's length."""
    lanes = _VECTOR // dtype.itemsize
    room = torch.zeros(size + lanes, dtype=dtype)
    return room[(-room.data_ptr() // dtype.itemsize) % lanes :][:size]


def _joined(held: Mapping[int, Tensor], dtype: torch.dtype) -> Tensor:
    """The tensors in one vector, in the order of their places."""
    return torch.cat([held[place].detach().flatten().to(dtype) for place in sorted(held)])
