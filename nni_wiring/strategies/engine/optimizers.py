"""The optimisers of theta and alpha, told apart by the parameters that they move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nni_wiring.strategies.settings import StrategySettings


def alpha_adam(parameters: Sequence[nn.Parameter], settings: StrategySettings) -> torch.optim.Adam:
    """Adam on the architecture parameters, as the settings ``alpha_*`` say."""
    return torch.optim.Adam(
        parameters,
        lr=settings.alpha_lr,
        betas=settings.alpha_betas,
        eps=settings.alpha_eps,
        weight_decay=settings.alpha_weight_decay,
    )


def exclude(optimizers: Any, parameters: Sequence[nn.Parameter]) -> Any:
    """Take parameters out of optimisers, in place; returns what it was given.

    optimizers: anything that Lightning's ``configure_optimizers`` may return.
    """
    unwanted = {id(parameter) for parameter in parameters}
    if isinstance(optimizers, torch.optim.Optimizer):
        for group in optimizers.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in unwanted]
    elif isinstance(optimizers, dict):
        exclude(list(optimizers.values()), parameters)
    elif isinstance(optimizers, (list, tuple)):
        for value in optimizers:
            exclude(value, parameters)
    return optimizers


def pick(optimizers: Any, *, architecture: bool) -> Any:
    """Of one optimiser or several the one that moves the architecture, or the weights."""
    for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
        if getattr(optimizer, "is_arch_optimizer", False) == architecture:
            return optimizer
    raise RuntimeError("the evaluator configured no optimiser for the weights")


def state_of(
    parameters: Sequence[nn.Parameter], states: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    """Of the stored states of several Adams the one of these parameters, told by their shapes."""
    shapes = [parameter.shape for parameter in parameters]
    for state in states:
        moments = [row["exp_avg"].shape for row in state["state"].values() if "exp_avg" in row]
        if shapes and moments == shapes:
            return state
    return None
