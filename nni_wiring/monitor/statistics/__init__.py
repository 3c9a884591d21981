"""The statistics of a monitor, one per file."""

from __future__ import annotations

from collections.abc import Iterable

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.statistics.alphas import Alphas
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.monitor.statistics.costs import Costs
from nni_wiring.monitor.statistics.gradient_norms import GradientNorms
from nni_wiring.monitor.statistics.patterns import WiringPatterns
from nni_wiring.monitor.statistics.phases import Phases
from nni_wiring.monitor.statistics.selections import SelectionChoices
from nni_wiring.monitor.statistics.topology import DerivedTopology
from nni_wiring.monitor.statistics.truth import DerivedTruth
from search_spaces.names import Registry

__all__ = ["STATISTICS", "Statistic", "all_statistics"]

#: Every statistic that is measured in all searches, by name, in the order of reading; each is made
#: without arguments.
STATISTICS: Registry[type[Statistic]] = Registry(
    "statistic",
    ConfigError,
    (
        GradientNorms,
        Phases,
        Alphas,
        Costs,
        DerivedTopology,
        DerivedTruth,
        WiringPatterns,
        SelectionChoices,
    ),
    group="nni_wiring.statistics",
)


def all_statistics(more: Iterable[Statistic] = ()) -> list[Statistic]:
    """A new one of every registered statistic, and those of one search.

    Raises:
        ConfigError: two have the same name.
    """
    found: Registry[Statistic] = Registry("statistic", ConfigError)
    for statistic in (*(kind() for kind in STATISTICS.values()), *more):
        found.register(statistic)
    return list(found.values())
