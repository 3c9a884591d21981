"""Searches whose wiring over epochs is read, and what is read off them (S1's patterns)."""

from __future__ import annotations

from typing import Any, NamedTuple

from nni_wiring.monitor.patterns import NONE, Patterns, argmax_operations, patterns
from nni_wiring.runs.store import RunFolder
from search_spaces.registry import space_entry


class Wired(NamedTuple):
    """One search: its patterns, and per epoch L - H (nats) on the training and the search half.

    counts: G(t) over the edges that are searched; edges fixed to an operation would always count.
    searched: how many these are.
    """

    patterns: Patterns
    counts: list[int]
    searched: int
    gap_train: list[float | None]
    gap_search: list[float | None]
    arch: str | None
    accuracy: float | None


def read_wired(folder: RunFolder) -> Wired:
    """The patterns of a finished search; accuracy: the true one of its cell, percent."""
    records = folder.epochs()
    entry = space_entry(folder.config["space"])
    allowed = entry.operations(folder.config.get("operations"))
    fixed = [names for names in allowed.values() if len(names) == 1]
    floor = sum(names != (NONE,) for names in fixed)
    gaps = [record.get("loss_minus_entropy") or {} for record in records]
    result = folder.result() or {}
    found = patterns([argmax_operations(record["alpha"]) for record in records], entry.graph)
    return Wired(
        found,
        [count - floor for count in found.counts],
        len(allowed) - len(fixed),
        [gap.get("train") for gap in gaps],
        [gap.get("search") for gap in gaps],
        result.get("arch"),
        _accuracy(result),
    )


def _accuracy(result: dict[str, Any]) -> float | None:
    truth = result.get("truth")
    return None if truth is None else truth["accuracy"][result["truth_dataset"]]["valid"]


def recovery_text(found: Patterns) -> str:
    """Recovery epochs by edge, ``-`` where an edge never came back."""
    parts = (
        f"{edge}:{'-' if epoch is None else epoch}" for edge, epoch in found.recovery_epochs.items()
    )
    return " ".join(parts)
