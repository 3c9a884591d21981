"""DrNAS: Z drawn from a Dirichlet distribution, with progressive partial channels as an option."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults, UpdateOrder
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.partial_cell import ChannelShare, PartialCell
from nni_wiring.supernet.relaxations.dirichlet import DirichletRelaxation


class DrNASSettings(StrategySettings):
    """regularisation: "kl" (times regularisation_scale, to the flat Dirichlet; no weight decay on
    alpha unless set) or "l2" (weight decay on alpha, the repository's default).

    Progressive search: the epochs are split into equal stages. partial_channels: K of each stage
    (the repository's progressive search: 4, 2). keep_operations: operations an edge keeps in each
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
    relaxation: DirichletRelaxation

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._share = ChannelShare(self.settings.partial_channels[0])
        self._moves = True

    def relaxation_for(self) -> DirichletRelaxation:
        """The Dirichlet."""
        return DirichletRelaxation()

    def cell_factory(self) -> Callable[..., SupernetCell]:
        """The cell of all methods, or one on 1/K of the channels."""
        if self.settings.partial_channels == (1,):
            return super().cell_factory()
        return partial(PartialCell, share=self._share)

    def regulariser(self) -> torch.Tensor | None:
        """The scaled KL divergence, where asked for."""
        if self.settings.regularisation != "kl":
            return None
        divergences = [self.relaxation.divergence(group) for group in self.groups]
        return self.settings.regularisation_scale * torch.stack(divergences).sum()

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Enter the stage of this epoch: its K, its operations, its warm-up."""
        stages = len(self.settings.partial_channels)
        stage = epoch * stages // epochs
        first = -(-stage * epochs // stages)  # the first epoch of the stage
        length = -(-(stage + 1) * epochs // stages) - first
        self._share.divisor = self.settings.partial_channels[stage]
        self._moves = epoch - first >= round(self.settings.stage_warmup * length)
        if self.settings.keep_operations is not None and epoch == first:
            self._prune(self.settings.keep_operations[stage])

    def alpha_moves_in(self, epoch: int) -> bool:
        """Not in a stage's warm-up."""
        return self._moves and super().alpha_moves_in(epoch)

    def search_state(self) -> dict[str, Any]:
        """The operations that are left."""
        return {"kept": {name: [list(row) for row in kept] for name, kept in self._kept().items()}}

    def load_search_state(self, state: dict[str, Any]) -> None:
        """See ``search_state``."""
        self._kept().update({name: tuple(map(tuple, rows)) for name, rows in state["kept"].items()})

    def _kept(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        return self.relaxation.kept

    def _prune(self, keep: int) -> None:
        """Keep the ``keep`` operations of the largest alpha on every edge; ties: the first."""
        for group in self.groups:
            alpha = group.alpha.detach().cpu().tolist()
            self._kept()[group.name] = tuple(
                tuple(sorted(sorted(left, key=lambda k, row=row: -row[k])[:keep]))  # type: ignore[misc]
                for row, left in zip(alpha, self.relaxation.operations(group), strict=True)
            )
