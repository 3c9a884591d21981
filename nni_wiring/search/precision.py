"""The number format of a search."""

from __future__ import annotations

from typing import Literal

import torch

from nni_wiring.errors import ConfigError

Precision = Literal["float32", "tf32", "bf16"]


def set_precision(precision: Precision, device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    """Make torch multiply in ``precision`` and return the name that Lightning's trainer takes.

    float32: full products everywhere (torch's own default lets convolutions on CUDA use tf32).
    tf32: 10-bit mantissas in products on CUDA. bf16: autocast; weights, alphas, sums and batch
    statistics stay float32. Raises ConfigError for tf32 without CUDA.
    """
    if precision == "tf32" and device.type != "cuda":
        raise ConfigError("precision: tf32 needs device cuda; allowed on cpu: float32, bf16")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return "bf16-mixed" if precision == "bf16" else "32-true"
