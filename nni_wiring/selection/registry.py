"""The selections by name. A new one is one file, one line here and one test.

``register_selection`` adds one from elsewhere (a decorator), ``selection_class`` looks one up; both
raise ConfigError. Other packages announce theirs as entry points ``nni_wiring.selections``.
"""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.selection.base import Selection
from nni_wiring.selection.magnitude import Magnitude, MagnitudeWithoutNone
from nni_wiring.selection.perturbation import Perturbation
from nni_wiring.selection.supernet_evolution import SupernetEvolution
from nni_wiring.selection.supernet_ranking import SupernetRanking
from search_spaces.names import Registry


def _check(selection: type[Selection]) -> None:
    if not (isinstance(selection, type) and issubclass(selection, Selection)):
        raise ConfigError(f"selection: {selection!r:.60} is not a subclass of Selection")


SELECTIONS: Registry[type[Selection]] = Registry(
    "selection",
    ConfigError,
    (Magnitude, MagnitudeWithoutNone, SupernetRanking, SupernetEvolution, Perturbation),
    group="nni_wiring.selections",
    check=_check,
)
register_selection = SELECTIONS.register
selection_class = SELECTIONS.lookup
