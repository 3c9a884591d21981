"""Accuracies that cannot be told apart: a decision between them is a coin toss."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Half width of an interval, in standard errors: 95 %.
_ERRORS = 1.96


def tied_with(best: int, accuracies: Sequence[float], images: int) -> list[int]:
    """The places of the accuracies that differ from the one at ``best`` by less than their
    uncertainty.

    Args:
        best: place of the accuracy that decided.
        accuracies: percent, all on the same images.
        images: their number.

    Returns:
        The other places, in order. The uncertainty is 1.96 standard errors of the difference of two
        shares of ``images``; that they are the same images makes the true one smaller, so a few
        decisions are called ties that are none.
    """
    share = [accuracy / 100 for accuracy in accuracies]
    return [
        place
        for place, other in enumerate(share)
        if place != best and abs(other - share[best]) <= _half_width(share[best], other, images)
    ]


def _half_width(one: float, other: float, images: int) -> float:
    return _ERRORS * math.sqrt((one * (1 - one) + other * (1 - other)) / max(images, 1))
