"""The sizes of studies and of networks: what small ones show is printed, not judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nni_wiring.studies.statistics import EXACT, Verdict

#: The size that one CPU core can afford and at which the papers' phenomena are there: searches of
#: half an hour, all else as in the papers. Images that have 16 pixels a side stay as they are.
REFERENCE: Mapping[str, Any] = {
    "data": "cifar10",
    "resize": 16,
    "channels": 8,
    "cells": 1,
    "batch_size": 64,
    "epochs": 50,
}
#: The same on the data set that ships, in the network that its truth was trained in: minutes.
REFERENCE_CLUTTER: Mapping[str, Any] = {
    **{name: value for name, value in REFERENCE.items() if name != "resize"},
    "data": "clutter",
    "benchmark": "clutter201",
    "channels": 4,
}
#: A training of one cell: as many epochs as NAS-Bench-201's short trainings have.
REFERENCE_TRAINING: Mapping[str, Any] = {**REFERENCE, "epochs": 12}
#: On clutter it is a training of the table's own.
REFERENCE_TRAINING_CLUTTER: Mapping[str, Any] = {
    **REFERENCE_CLUTTER,
    "protocol": "clutter",
    "batch_size": 128,
    "epochs": 6,
}
#: What shows the machinery of a study of trainings, and what NAS-Bench-201's short ones were.
SMALL_TRAINING: Mapping[str, Any] = {
    "channels": 4,
    "cells": 1,
    "batch_size": 32,
    "epochs": 10,
    "max_steps": 120,
}
TABULATED_TRAINING: Mapping[str, Any] = {
    "channels": 16,
    "cells": 5,
    "batch_size": 256,
    "epochs": 12,
}
#: Options that a small size has for its size alone.
_OF_SIZE = frozenset({*REFERENCE, "max_steps", "alpha_lr"})


def reference_search(data: object) -> Mapping[str, Any]:
    """The reference size of searches on a data set, by its name."""
    return REFERENCE_CLUTTER if data == REFERENCE_CLUTTER["data"] else REFERENCE


def reference_training(data: object) -> Mapping[str, Any]:
    """The reference size of trainings of one cell on a data set, by its name."""
    clutter = REFERENCE_TRAINING_CLUTTER
    return clutter if data == clutter["data"] else REFERENCE_TRAINING


def at_reference(
    small: Mapping[str, Any], own: Mapping[str, Any], reference: Mapping[str, Any]
) -> dict[str, Any]:
    """A study's options at the reference size; those of its small size where nothing is trained.

    Args:
        small: the options of the small size; no ``channels``: nothing is trained.
        own: changes that the study itself asks for.
        reference: the size of its searches or trainings.
    """
    if "channels" not in small:
        return {**small, **own}
    kept = {name: value for name, value in small.items() if name not in _OF_SIZE}
    return {**kept, **reference, **own}


def smallness(
    config: Mapping[str, Any], reference: Callable[[object], Mapping[str, Any]] = reference_search
) -> str | None:
    """In which way a search or training is smaller than the reference ones: its channels, its
    epochs, or their steps, which are cut; None where it is not.

    Args:
        config: its flat options.
        reference: the size by the name of the data set.
    """
    channels, steps = config.get("channels"), config.get("max_steps")
    epochs, least = config.get("epochs"), reference(config.get("data"))
    found = []
    if not channels:
        found.append("an unknown number of channels")
    elif channels < least["channels"]:
        found.append(f"{channels} channels")
    if epochs is not None and epochs < least["epochs"]:
        found.append(f"{epochs} epochs")
    if steps is not None:
        found.append(f"{steps} steps an epoch")
    return ", ".join(found) or None


def withheld(verdicts: Iterable[Verdict], small: str | None) -> list[Verdict]:
    """The verdicts as they are, or as no verdicts where the networks behind them are small; an
    identity holds at any size.

    small: in which way they are; None where they are not.
    """
    return [
        verdict
        if small is None or verdict.null == EXACT
        else verdict._replace(
            verdict="cannot be said",
            evidence=f"no verdict: small, {small} (the rule says: {verdict.verdict}); "
            f"{verdict.evidence}",
        )
        for verdict in verdicts
    ]
