"""Settings that every strategy has; a method adds its own in its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nni_wiring.errors import ConfigError
from nni_wiring.selection.base import Selection
from nni_wiring.selection.registry import selection_class

Optimisation = Literal["bi_level", "single_level"]
Beta = Annotated[float, Field(ge=0, lt=1)]
UpdateOrder = Literal["weights_first", "alpha_first"]


class ThetaDefaults(NamedTuple):
    """A paper's training of theta (the weights) on NAS-Bench-201: SGD with a cosine schedule.

    epochs; batch_size in images; lr and lr_min, the ends of the cosine; momentum; weight_decay;
    nesterov.
    """

    epochs: int = 50
    batch_size: int = 64
    lr: float = 0.025
    lr_min: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True


class StrategySettings(BaseModel):
    """Settings of a one-shot strategy, all settable by name (constructor, CLI ``--set``, YAML).

    optimisation: bi_level (theta on the training half, alpha on the search half) or single_level
    (both from one pass over the training data). update_order: which of the two moves first in a
    bi-level step (AutoDL: weights, NNI: alpha). clip: limit of the norm of theta's gradient; None:
    no limit. alpha_clip: limit of the norm of alpha's gradient; None: no limit. alpha_lr: learning
    rate of Adam on alpha. alpha_betas: of Adam on alpha. alpha_eps: of Adam on alpha.
    alpha_weight_decay: of Adam on alpha. alpha_init: standard deviation of alpha's normal
    initialisation. alpha_init_mean: its mean at the start. warmup_epochs: epochs before alpha
    moves. train_weights: False freezes theta (S1's cost measurements). selection: how the cell is
    read off. selection_settings: that selection's own settings. supernet: how the cells are run;
    auto takes ``fused`` where the space and the method allow it, else ``plain``; both compute the
    same function. compile: run the fused cells compiled, on one CPU thread as native code,
    elsewhere through torch.compile, and depthwise convolutions of other spaces natively, on one
    CPU thread alone; auto compiles what can be and leaves the rest as it is, true refuses spaces
    and methods that have such a rest; where there is no working compiler cells run uncompiled, with
    one warning.
    cuda_graphs: run gradients as CUDA graphs, for methods whose steps are all alike and evaluators
    whose training step is a function of its batch alone (a replay logs and counts nothing);
    elsewhere than on CUDA, or where a graph fails or differs from the eager step, without, with a
    warning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    optimisation: Optimisation = "bi_level"
    update_order: UpdateOrder = "weights_first"
    clip: float | None = Field(default=5.0, gt=0)
    alpha_lr: float = Field(default=3e-4, ge=0)
    alpha_betas: tuple[Beta, Beta] = (0.5, 0.999)
    alpha_eps: float = Field(default=1e-8, gt=0)
    alpha_weight_decay: float = Field(default=1e-3, ge=0)
    alpha_clip: float | None = Field(default=None, gt=0)
    alpha_init: float = Field(default=1e-3, ge=0)
    alpha_init_mean: float = 0.0
    warmup_epochs: int = Field(default=0, ge=0)
    train_weights: bool = True
    selection: str = "magnitude"
    selection_settings: dict[str, Any] = Field(default_factory=dict)
    supernet: Literal["auto", "plain", "fused"] = "auto"
    compile: Literal[True, False, "auto"] = False
    cuda_graphs: bool = False

    #: Selections that make no sense for this method, with the reason.
    refused_selections: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="after")
    def _check_selection(self) -> StrategySettings:
        try:
            self.build_selection()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if self.selection in self.refused_selections:
            reason = self.refused_selections[self.selection]
            raise ValueError(f"selection {self.selection!r} makes no sense here: {reason}")
        return self

    def build_selection(self) -> Selection:
        """The selection object, with its settings."""
        return selection_class(self.selection)(**self.selection_settings)
