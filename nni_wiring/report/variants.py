"""The settings in which runs of one strategy differ: those that make groups, and those that are an
axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from nni_wiring.report.analysis import RunAnalysis

_NOT_A_VARIANT = {"seed", "strategy", "run_id", "threads", "logger"}
_MOST_LEVELS = 4  # whole numbers with more values than that are an axis


class Varied(NamedTuple):
    """The settings in which runs of one strategy differ.

    Attributes:
        groups: names, numbers of few levels: each combination is a method of its own.
        axes: continuous settings: the runs stay one method, and its accuracy is read along them.
    """

    groups: tuple[str, ...]
    axes: tuple[str, ...]


def varied(runs: Sequence[RunAnalysis], strategy: str) -> Varied:
    """The settings in which the runs of ``strategy`` that have an epoch differ, by name.

    A setting is continuous where all its values are numbers, and one of them is no whole number or
    there are more than four.
    """
    siblings = [r.facts.config for r in runs if r.facts.strategy == strategy and r.records]
    groups: list[str] = []
    axes: list[str] = []
    for key in sorted({key for config in siblings for key in config} - _NOT_A_VARIANT):
        values = {config[key] for config in siblings if key in config}
        if len(values) > 1:
            (axes if _continuous(values) else groups).append(key)
    return Varied(tuple(groups), tuple(axes))


def strategy_labels(runs: Sequence[RunAnalysis]) -> list[str]:
    """Per run its strategy's name, with the settings that make groups of its runs."""
    labels = []
    for run in runs:
        config = run.facts.config
        keys = varied(runs, run.facts.strategy).groups
        parts = [f"{key}={config[key]}" for key in keys if key in config]
        name = run.facts.strategy
        labels.append(f"{name} ({', '.join(parts)})" if parts else name)
    return labels


def number(value: str) -> float | None:
    """A setting's text as a finite number, None where it is none."""
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _continuous(values: set[str]) -> bool:
    numbers = [number(value) for value in values]
    if any(found is None for found in numbers):
        return False
    return len(values) > _MOST_LEVELS or not all(value.lstrip("-").isdecimal() for value in values)
