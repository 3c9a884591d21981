"""DrNAS: Z drawn from a Dirichlet distribution, with progressive partial channels as an option."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.base import CellKind, Part, Regulariser
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.full_cells import FullCells
from nni_wiring.strategies.parts.partial_channels import PartialChannels
from nni_wiring.strategies.parts.stages import ChannelStages, OperationStages, StageWarmUp
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.relaxations.dirichlet import DirichletRelaxation


class DrNASSettings(StrategySettings):
    """regularisation: "kl" (times regularisation_scale, to the flat Dirichlet; no weight decay on
    alpha unless set) or "l2" (weight decay on alpha, the repository's default).
    regularisation_scale: factor of "kl".

    Progressive search: the epochs are split into equal stages. partial_channels: K of each stage
    (the repository's progressive search: 4, 2); channels that become visible start as copies of
    trained ones. keep_operations: operations an edge keeps in each
    stage, by alpha (5, 3); unset: all. stage_warmup: the share of a stage in which alpha stays
    (0.2).
    """

    update_order: UpdateOrder = "alpha_first"
    regularisation: Literal["kl", "l2"] = "l2"
    regularisation_scale: float = Field(default=1e-3, ge=0)
    partial_channels: tuple[int, ...] = Field(default=(1,), min_length=1)
    keep_operations: tuple[int, ...] | None = None
    stage_warmup: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _kl_takes_the_place_of_weight_decay(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("regularisation") == "kl":
            return {"alpha_weight_decay": 0.0, **values}
        return values

    @model_validator(mode="after")
    def _check_stages(self) -> DrNASSettings:
        if min(self.partial_channels) < 1 or list(self.partial_channels) != sorted(
            self.partial_channels, reverse=True
        ):
            raise ValueError("partial_channels must be at least 1 and must not grow")
        keep = self.keep_operations
        if keep is not None:
            if len(keep) != len(self.partial_channels):
                raise ValueError("keep_operations needs one value a stage, as partial_channels has")
            if min(keep) < 1 or list(keep) != sorted(keep, reverse=True):
                raise ValueError("keep_operations must be at least 1 and must not grow")
        return self


class Divergence(Regulariser):
    """scale x KL divergence of the Dirichlet from the flat one, summed over edges."""

    def __init__(self, relaxation: DirichletRelaxation, scale: float) -> None:
        self.relaxation, self.scale = relaxation, scale

    def loss(self) -> torch.Tensor:
        """See the class."""
        divergences = [self.relaxation.divergence(group) for group in self.groups]
        return self.scale * torch.stack(divergences).sum()


class DrNAS(WiringStrategy):
    """DrNAS (Chen et al., ICLR 2021): Z ~ Dirichlet(elu(alpha) + 1), alpha by the pathwise gradient
    and a regulariser that keeps it near the flat Dirichlet.

    Defaults are those of the authors' runs on NAS-Bench-201 (theory page, section 6), which track
    batch norm statistics.
    """

    name: ClassVar[str] = "drnas"
    paper: ClassVar[str] = "Chen et al., ICLR 2021, arXiv 2006.10355"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=100, weight_decay=3e-4, nesterov=False)
    Settings = DrNASSettings
    settings: DrNASSettings

    def declare(self) -> Parts:
        """The Dirichlet, its regulariser, and the stages of a progressive search."""
        s = self.settings
        relaxation = DirichletRelaxation()
        divisors = s.partial_channels
        schedules: list[Part] = [StageWarmUp(len(divisors), s.stage_warmup)]
        cells: CellKind = FullCells()
        if divisors != (1,):
            cells = PartialChannels(divisors[0])
            schedules.append(ChannelStages(cells, divisors))
        if s.keep_operations is not None:
            schedules.append(OperationStages(relaxation, s.keep_operations))
        kl = s.regularisation == "kl"
        regularisers = (Divergence(relaxation, s.regularisation_scale),) if kl else ()
        return Parts(relaxation, cells=cells, schedules=tuple(schedules), regularisers=regularisers)
