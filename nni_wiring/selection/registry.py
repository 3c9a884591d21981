"""The selections by name. A new one is one file, one line here and one test."""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.selection.base import Selection
from nni_wiring.selection.magnitude import Magnitude, MagnitudeWithoutNone
from nni_wiring.selection.perturbation import Perturbation
from nni_wiring.selection.supernet_ranking import SupernetRanking

SELECTIONS: dict[str, type[Selection]] = {}


def register_selection(selection: type[Selection]) -> type[Selection]:
    """Add a selection under its ``name``; usable as a decorator. Raises ConfigError for a name
    already taken.
    """
    if SELECTIONS.setdefault(selection.name, selection) is not selection:
        raise ConfigError(f"selection: the name {selection.name!r} is taken already")
    return selection


for _selection in (
    Magnitude,
    MagnitudeWithoutNone,
    SupernetRanking,
    Perturbation,
):
    register_selection(_selection)


def selection_class(name: str) -> type[Selection]:
    """Look a selection up by name; raises ConfigError naming the known ones."""
    if name not in SELECTIONS:
        raise ConfigError(f"selection: {name!r} is not known; allowed: {', '.join(SELECTIONS)}")
    return SELECTIONS[name]
