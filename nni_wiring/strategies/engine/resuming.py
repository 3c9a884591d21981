"""The state that a search needs to go on bit for bit, beside weights and optimisers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nni_wiring.errors import RunError
from nni_wiring.strategies.engine.method import Method


def save_search(checkpoint: dict[str, Any], method: Method, draws: torch.Generator) -> None:
    """Add alphas by label, decided edges, the state of the draws' random generator and of the
    method's parts.
    """
    checkpoint["alphas"] = {
        label: row for group in method.groups for label, row in group.by_label(group.alpha).items()
    }
    checkpoint["draws"] = draws.get_state()
    checkpoint["decisions"] = {group.name: group.decisions.state() for group in method.groups}
    checkpoint["search_state"] = method.parts.state()


def load_search(
    checkpoint: dict[str, Any], method: Method, draws: torch.Generator, network: nn.Module
) -> None:
    """Take up what ``save_search`` has added.

    Raises:
        RunError: The checkpoint is that of another space, network or method.
    """
    labels = [label for group in method.groups for label in group.labels]
    if labels != list(checkpoint["alphas"]):  # rows of alpha lie in this order
        raise RunError("the checkpoint belongs to another search space: its edges differ")
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if shapes != {name: value.shape for name, value in checkpoint["state_dict"].items()}:
        raise RunError("the checkpoint belongs to another network: its weights differ in shape")
    draws.set_state(checkpoint["draws"])
    decisions = checkpoint.get("decisions", {})  # 0.1.0 wrote none
    for group in method.groups:
        if group.name in decisions:
            group.decisions.load(decisions[group.name])
    method.parts.load_state(checkpoint["search_state"])
