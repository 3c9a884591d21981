"""The strategies by name. A new strategy is one file, one line here and one test."""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.darts import DARTS, FixedAlphaDARTS

STRATEGIES: dict[str, type[WiringStrategy]] = {}


def register(strategy: type[WiringStrategy]) -> type[WiringStrategy]:
    """Add a strategy under its ``name``; usable as a decorator. Raises ConfigError for a name
    already taken.
    """
    if STRATEGIES.setdefault(strategy.name, strategy) is not strategy:
        raise ConfigError(f"strategy: the name {strategy.name!r} is taken already")
    return strategy


for _strategy in (
    DARTS,
    FixedAlphaDARTS,
):
    register(_strategy)


def strategy_class(name: str) -> type[WiringStrategy]:
    """Look a strategy up by name; raises ConfigError naming the known ones."""
    if name not in STRATEGIES:
        raise ConfigError(f"strategy: {name!r} is not known; allowed: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
