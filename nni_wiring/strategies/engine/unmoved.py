"""Work that leaves tensors as they were: virtual steps, trial runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def unmoved(tensors: Sequence[torch.Tensor]) -> Iterator[None]:
    """Put the values of tensors (weights, batch norm statistics) back on exit, in place."""
    saved = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, saved, strict=True):
                tensor.copy_(value)
