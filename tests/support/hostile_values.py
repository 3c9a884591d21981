"""Values that a foreign JSON file may hold in the place of any other."""

from __future__ import annotations

from typing import Any

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    10**400,
    float("nan"),
    float("inf"),
    "text",
    "",
    [],
    [[[]]],
    [1, "a", None],
    {},
    {"": {}},
    {"0-1": 3, "0-2": [1]},
    {"0-1": {"none": "x", "skip_connect": float("inf")}},
    {"alpha": {"mean": {"0-1": {"none": float("nan")}}}},
    {"accuracy": {"cifar10": {"valid": float("nan"), "test": "high"}}},
    {"accuracy": {"cifar10": 3}, "rank": {"cifar10": {"valid": 1e300}}, "index": -4},
    {"cell": {"operations": {"0-1": 3}, "graph": {"nodes": -1, "edges": [[0]]}}},
)
