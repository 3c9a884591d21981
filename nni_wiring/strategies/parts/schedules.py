"""Courses of a number over the epochs of a search."""

from __future__ import annotations

from typing import NamedTuple


def linear(start: float, end: float, epoch: int, epochs: int) -> float:
    """``start`` in epoch 0, ``end`` in the last of ``epochs``, in equal steps between; ``start`` if
    there is one epoch only.
    """
    return start + (end - start) * epoch / max(epochs - 1, 1)


class Stage(NamedTuple):
    """An epoch's place in a search of several stages: the stage's number, its first epoch and
    how many epochs it has.
    """

    number: int
    first: int
    length: int


def stage_of(epoch: int, epochs: int, stages: int) -> Stage:
    """The stage of an epoch where ``epochs`` are split into ``stages`` of equal length, as nearly
    as whole epochs go.
    """
    number = epoch * stages // epochs
    first = -(-number * epochs // stages)
    return Stage(number, first, -(-(number + 1) * epochs // stages) - first)
