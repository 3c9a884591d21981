"""The strategies by name. A new strategy is one file, one line here and one test.

``register`` adds one from elsewhere (a decorator), ``strategy_class`` looks one up; both raise
ConfigError. Other packages announce theirs as entry points ``nni_wiring.strategies``.
"""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.darts import DARTS, FixedAlphaDARTS
from nni_wiring.strategies.darts_plus import DARTSPlus
from nni_wiring.strategies.dnw import DNW
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
from search_spaces.names import Registry
from search_spaces.settings import RUN_OPTIONS, SPACE_OPTIONS, misfit


def _check(strategy: type[WiringStrategy]) -> None:
    if not (isinstance(strategy, type) and issubclass(strategy, WiringStrategy)):
        raise ConfigError(f"strategy: {strategy!r:.60} is not a subclass of WiringStrategy")
    taken = {"the run": RUN_OPTIONS, "the space": SPACE_OPTIONS}
    reason = misfit(strategy.Settings, taken)
    if reason is not None:
        raise ConfigError(f"strategy {strategy.name}: {reason}")


STRATEGIES: Registry[type[WiringStrategy]] = Registry(
    "strategy",
    ConfigError,
    (
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
        DNW,
    ),
    group="nni_wiring.strategies",
    check=_check,
)
register = STRATEGIES.register
strategy_class = STRATEGIES.lookup
