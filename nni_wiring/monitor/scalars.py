"""The scalars of an epoch under their TensorBoard tags: about 40 an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Scalars = dict[str, float]

_TOPOLOGY = ("width", "depth", "conv_depth", "live_edges", "none_edges", "intermediate_alive")
_EXPECTED = ("width", "depth", "conv_depth", "disconnected")
_TURNS = 3  # epochs in which every edge had its turn
_PATTERN = ("growing_index", "width_preference", "selected_edges")


def _put(target: Scalars, tag: str, value: Any) -> None:
    if isinstance(value, (bool, int, float)):
        target[tag] = float(value)


def _truth(record: Mapping[str, Any], dataset: str) -> Scalars:
    found: Scalars = {}
    truth = record.get("truth") or {}
    expected = (record.get("truth_expected") or {}).get("accuracy", {}).get(dataset, {})
    for split in ("valid", "test"):
        accuracy = truth.get("accuracy", {}).get(dataset, {})
        _put(found, f"truth/{dataset}/{split}", accuracy.get(split))
        _put(found, f"truth_expected/{dataset}/{split}", expected.get(split))
    for name in ("regret", "percentile"):
        _put(found, f"truth/{dataset}/{name}", truth.get(name, {}).get(dataset, {}).get("valid"))
    return found


def _tables(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    costs = record.get("cost") or {}
    phase = costs.get("alpha") or costs.get("weights") or {}
    return record.get("alpha") or {}, phase.get("mean") or {}


def scalars(record: Mapping[str, Any], dataset: str) -> Scalars:
    """Tags and values of one epoch.

    Always: truth, topology, patterns, losses, entropies. alpha/<edge>/<operation> and
    cost/<edge>/<operation> of every third edge, taking turns over three epochs, so that an epoch
    stays near 40 scalars; the full series of both is in epochs.jsonl. Missing values are left out.
    """
    found = _truth(record, dataset)
    for name in _TOPOLOGY:
        _put(found, f"topology/{name}", (record.get("topology") or {}).get(name))
    for name in _EXPECTED:
        _put(found, f"topology_expected/{name}", (record.get("topology_expected") or {}).get(name))
    for name in _PATTERN:
        _put(found, f"pattern/{name}", (record.get("pattern") or {}).get(name))
    for part in ("train", "search"):
        _put(found, f"loss/{part}", record.get("loss", {}).get(part))
        _put(found, f"entropy/{part}", record.get("entropy", {}).get(part))
    alphas, costs = _tables(record)
    turn = record.get("epoch", 0) % _TURNS
    for prefix, table in (("alpha", alphas), ("cost", costs)):
        for edge, row in list(table.items())[turn::_TURNS]:
            for operation, value in row.items():
                if prefix == "alpha" or operation != "none":  # none costs zero by definition
                    _put(found, f"{prefix}/{edge}/{operation}", value)
    return found
