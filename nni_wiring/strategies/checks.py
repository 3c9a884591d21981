"""Settings that a method, a space or a supernet cannot serve, each refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.parts.base import Part
from nni_wiring.strategies.settings import StrategySettings
from nni_wiring.supernet.fused.cell import all_fused, compile_cells
from search_spaces.operations import Noise


def check_levels(strategy: str, settings: StrategySettings, parts: Iterable[Part]) -> None:
    """Raise ConfigError where a part needs two levels and the search has one."""
    needs = [type(part).__name__ for part in parts if part.needs_two_levels]
    if needs and settings.optimisation == "single_level":
        raise ConfigError(
            f"strategy {strategy}: {needs[0]} acts on one of two levels, so it needs optimisation "
            "bi_level, not single_level"
        )


def check_cells(strategy: str, settings: StrategySettings, model: nn.Module) -> None:
    """Raise ConfigError where fused cells, compiled ones or CUDA graphs are asked for and cannot be
    had; let cells run compiled where ``compile`` is set.
    """
    if settings.supernet == "fused" and not all_fused(model):
        raise ConfigError(
            f"strategy {strategy}: supernet: fused is for fused cells, which this space, method or "
            "setting does not give; allowed: supernet: auto or plain"
        )
    if settings.compile and not compile_cells(model) and settings.compile != "auto":
        raise ConfigError(
            f"strategy {strategy}: compile: true is for fused cells and those that share, with "
            "depthwise convolutions, which this space, method or setting does not give; allowed: "
            "compile: auto or false"
        )
    check_graphs(strategy, settings, draws=any(isinstance(m, Noise) for m in model.modules()))


def check_graphs(strategy: str, settings: StrategySettings, *, draws: bool) -> None:
    """Raise ConfigError where CUDA graphs are asked for and steps draw operations or numbers."""
    if settings.cuda_graphs and draws:
        raise ConfigError(
            f"strategy {strategy}: cuda_graphs: true needs steps that are all alike, but this "
            "method, setting or space draws operations or numbers at every step; allowed: false"
        )
