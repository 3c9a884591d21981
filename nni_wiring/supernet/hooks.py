"""Users' mutation hooks beside ours: what NNI's differentiable strategies give to hooks."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nni_wiring.supernet.cell import SupernetCell
from search_spaces.nni_api import (
    BaseSuperNetModule,
    Categorical,
    CategoricalMultiple,
    MixedOpDifferentiablePolicy,
    MutableModule,
)

#: As NNI's DARTS starts.
_SCALE = 1e-3


def provide_alphas(module: nn.Module, memo: dict[str, Any]) -> None:
    """Put an architecture parameter into a hook's memo for every choice of a module, by label."""
    if not isinstance(module, MutableModule):
        return
    for label, choice in module.simplify().items():
        if label not in memo and isinstance(choice, (Categorical, CategoricalMultiple)):
            memo[label] = nn.Parameter(torch.randn(len(choice.values)) * _SCALE)


def hook_arguments() -> dict[str, Any]:
    """The keywords that the hooks of NNI's own supernet modules read."""
    return {"softmax": nn.Softmax(-1), "mixed_op_sampling": MixedOpDifferentiablePolicy}


def hooked_modules(model: nn.Module) -> list[Any]:
    """The supernet modules that users' hooks made: they mix by their own alphas."""
    return [
        module
        for module in model.modules()
        if isinstance(module, BaseSuperNetModule) and not isinstance(module, SupernetCell)
    ]


def hooked_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Their architecture parameters, each once: what NNI's ``arch_parameters`` tells."""
    found = [
        parameter
        for module in hooked_modules(model)
        if hasattr(module, "arch_parameters")
        for parameter in module.arch_parameters()
    ]
    return list(dict.fromkeys(found))
