"""The strategies by name. A new strategy is one file, one line here and one test."""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.darts import DARTS, FixedAlphaDARTS
from nni_wiring.strategies.darts_plus import DARTSPlus
from nni_wiring.strategies.drnas import DrNAS
from nni_wiring.strategies.dsnas import DSNAS
from nni_wiring.strategies.enas import ENAS
from nni_wiring.strategies.fair_darts import FairDARTS
from nni_wiring.strategies.gdas import GDAS
from nni_wiring.strategies.pc_darts import PCDarts
from nni_wiring.strategies.proxylessnas import ProxylessNAS
from nni_wiring.strategies.random_sampling import RandomSampling
from nni_wiring.strategies.sdarts import SmoothDartsADV, SmoothDartsRS
from nni_wiring.strategies.sgas import SGAS
from nni_wiring.strategies.snas import SNAS

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
    SNAS,
    DSNAS,
    GDAS,
    ProxylessNAS,
    FairDARTS,
    DARTSPlus,
    PCDarts,
    DrNAS,
    SmoothDartsRS,
    SmoothDartsADV,
    SGAS,
    RandomSampling,
    ENAS,
):
    register(_strategy)


def strategy_class(name: str) -> type[WiringStrategy]:
    """Look a strategy up by name; raises ConfigError naming the known ones."""
    if name not in STRATEGIES:
        raise ConfigError(f"strategy: {name!r} is not known; allowed: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
