"""The state of autocast, asked in the way of every torch since 2.1."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

#: torch 2.4 gave the questions a device; before, there were two sets of them.
_ASKED_BY_DEVICE = hasattr(torch, "get_autocast_dtype")


def autocast_type(device_type: str) -> torch.dtype | None:
    """The type that autocast computes in on a kind of device; None where it is off."""
    asked: Any = torch
    if _ASKED_BY_DEVICE:
        if not torch.amp.is_autocast_available(device_type):
            return None
        on = asked.is_autocast_enabled(device_type)
        return asked.get_autocast_dtype(device_type) if on else None
    if device_type == "cuda":
        return asked.get_autocast_gpu_dtype() if asked.is_autocast_enabled() else None
    on = device_type == "cpu" and asked.is_autocast_cpu_enabled()
    return asked.get_autocast_cpu_dtype() if on else None


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Switches autocast off where it is on."""
    if autocast_type(device_type) is None:
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
