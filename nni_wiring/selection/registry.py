"""The selections by name. A new one is one file, one line here and one test.

``register_selection`` adds one from elsewhere (a decorator), ``selection_class`` looks one up; both
raise ConfigError.
"""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.selection.base import Selection
from nni_wiring.selection.magnitude import Magnitude, MagnitudeWithoutNone
from nni_wiring.selection.perturbation import Perturbation
from nni_wiring.selection.supernet_ranking import SupernetRanking
from search_spaces.names import Registry

SELECTIONS: Registry[type[Selection]] = Registry(
    "selection",
    ConfigError,
    (Magnitude, MagnitudeWithoutNone, SupernetRanking, Perturbation),
)
register_selection = SELECTIONS.register
selection_class = SELECTIONS.lookup
