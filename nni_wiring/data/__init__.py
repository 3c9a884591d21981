"""Data sets, their splits, and loaders that shuffle and augment on the device.

The names and descriptions (`data_sources`, `DataSource`) need no torch, so that a command line can
list them quickly; the other names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nni_wiring.data.registry import data_sources, find_source, held_data, load_data, register
from nni_wiring.data.source import DataSource

if TYPE_CHECKING:
    from nni_wiring.data.augment import Augmentation
    from nni_wiring.data.images import ImageData
    from nni_wiring.data.loaders import BatchLoader, Loaders, ResidentImages, build_loaders
    from nni_wiring.data.splits import Split, split, training_split

__all__ = [
    "Augmentation",
    "BatchLoader",
    "DataSource",
    "ImageData",
    "Loaders",
    "ResidentImages",
    "Split",
    "build_loaders",
    "data_sources",
    "find_source",
    "held_data",
    "load_data",
    "register",
    "split",
    "training_split",
]

_NEEDS_TORCH = {
    "Augmentation": "augment",
    "BatchLoader": "loaders",
    "ImageData": "images",
    "Loaders": "loaders",
    "ResidentImages": "loaders",
    "Split": "splits",
    "build_loaders": "loaders",
    "split": "splits",
    "training_split": "splits",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
