"""The protocols by name: values of settings, each of which ``--set`` may replace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nni_wiring.errors import ConfigError
from search_spaces.names import Registry

#: Trained alone, a network's batch norms have scale, shift and running statistics.
_ALONE = {"affine": True, "track_stats": True}


@dataclass(frozen=True)
class Protocol:
    """A way of training that has a name.

    Attributes:
        name, summary: for listings.
        options: settings by their flat names; those that a space has not are left out.
    """

    name: str
    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)


_TABULATED = {
    **_ALONE,
    "epochs": 200,
    "batch_size": 256,
    "lr": 0.1,
    "lr_min": 0.0,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "nesterov": True,
}

PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    ConfigError,
    (
        Protocol(
            "tabulated",
            "NAS-Bench-201's 200 epochs (Dong & Yang, ICLR 2020, table 2)",
            _TABULATED,
        ),
        Protocol(
            "darts",
            "DARTS' evaluation on CIFAR-10: C 36, 20 cells, 600 epochs (Liu et al., ICLR 2019, "
            "section 3.2)",
            {
                **_ALONE,
                "channels": 36,
                "cells": 20,
                "split": "full+xvalid",  # the paper trains on all training images
                "epochs": 600,
                "batch_size": 96,
                "lr": 0.025,
                "lr_min": 0.0,
                "lr_moves": "epoch",
                "momentum": 0.9,
                "weight_decay": 3e-4,
                "nesterov": False,
                "clip": 5.0,
                "cutout": 16,
                "drop_path": 0.2,
                "auxiliary": 0.4,
            },
        ),
        Protocol(
            "short",
            "for a CPU: the tabulated one with 12 epochs of batch 64",
            {**_TABULATED, "epochs": 12, "batch_size": 64},
        ),
        Protocol(
            "clutter",
            "data set clutter on a CPU: C 4, N 1, 6 epochs of AdamW on all 8,000 images",
            {
                **_ALONE,
                "channels": 4,
                "cells": 1,
                "split": "full+valid",
                "augment": False,  # the images have their digits at random places already
                "epochs": 6,
                "batch_size": 128,
                "optimiser": "adamw",
                "schedule": "one_cycle",
                "lr": 0.01,
                "lr_min": 0.0,
                "momentum": 0.9,
                "weight_decay": 0.01,
                "nesterov": False,
            },
        ),
    ),
)
