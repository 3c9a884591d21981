"""The cells of a search's epochs: their regret, and which edge's change moved it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nni_wiring.explain.landscape import Cell, Landscape
from nni_wiring.records import EpochRecord


@dataclass(frozen=True)
class EpochStep:
    """The cell of one epoch.

    Attributes:
        epoch, arch: of the record.
        accuracy, regret: percent, percent points below the best cell; None where missing.
        moves: for every edge that changed since the step before, the percent points that the
            change gained (Shapley's value, so that they add up to the change of accuracy); None
            where the table lacks a cell in between. Empty where no edge changed, and at first.
    """

    epoch: int
    arch: str
    accuracy: float | None
    regret: float | None
    moves: Mapping[str, float] | None


def timeline(records: Sequence[EpochRecord], land: Landscape) -> tuple[EpochStep, ...]:
    """A step for every epoch whose cell the benchmark holds."""
    steps: list[EpochStep] = []
    before: Cell | None = None
    for record in records:
        cell = land.find(record.arch)
        if cell is None or record.arch is None:
            continue
        accuracy = land.accuracy(cell)
        moves = {} if before is None else _moves(land, before, cell)
        steps.append(EpochStep(record.epoch, record.arch, accuracy, land.regret(accuracy), moves))
        before = cell
    return tuple(steps)


def best_passed(steps: Sequence[EpochStep]) -> EpochStep | None:
    """The first step with the best accuracy; None where none is known."""
    known = [step for step in steps if step.accuracy is not None]
    return max(known, key=lambda step: step.accuracy or 0.0, default=None)


def _moves(land: Landscape, before: Cell, after: Cell) -> dict[str, float] | None:
    if before == after:
        return {}
    shares = land.attribute(before, after)
    if shares is None:
        return None
    changed = [old != new for old, new in zip(before, after, strict=True)]
    rows = zip(land.space.edges, shares, changed, strict=True)
    return {edge: share for edge, share, moved in rows if moved}
