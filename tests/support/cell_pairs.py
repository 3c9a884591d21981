"""A plain supernet and a fused one with the same weights, and all that one training pass leaves."""

from __future__ import annotations

from typing import Any

import torch
from one_shot import set_alphas, tiny_space
from torch import nn
from torch.nn import functional

from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.supernet.fused.cell import FusedCell

Pair = tuple[tuple[Any, Any], tuple[Any, Any]]


def pair(name: str, **options: Any) -> Pair:
    """(strategy, model) plain and fused, with one state_dict."""
    found = []
    for supernet in ("plain", "fused"):
        strategy = STRATEGIES[name](supernet=supernet)
        model = strategy.mutate_model(tiny_space(**options))
        set_alphas(strategy.groups, seed=3)
        strategy.on_epoch_start(0, 4)
        found.append((strategy, model))
    (_, plain), (_, fused) = found
    for parameter in plain.parameters():
        if parameter.dim() == 1:  # scales and shifts other than 1 and 0
            nn.init.normal_(parameter, mean=0.5)
    assert list(plain.state_dict()) == list(fused.state_dict())
    fused.load_state_dict(plain.state_dict())
    assert all(isinstance(cell, FusedCell) for cell in cells(fused))
    assert not any(isinstance(cell, FusedCell) for cell in cells(plain))
    return found[0], found[1]


def cells(model: nn.Module) -> list[SupernetCell]:
    return [module for module in model.modules() if isinstance(module, SupernetCell)]


def listen(model: nn.Module) -> list[torch.Tensor]:
    """dL/dZ of the cells, in the order in which backward meets them."""
    heard: list[torch.Tensor] = []

    def tap(z: torch.Tensor, draw: Draw) -> torch.Tensor:
        own = z.view_as(z) if z.requires_grad else z.detach().requires_grad_()
        own.register_hook(heard.append)
        return own

    for cell in cells(model):
        cell.tap = tap
    return heard


def step(model: Any, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Everything that one training pass leaves behind."""
    costs = listen(model)
    model.zero_grad()
    images = images.clone().requires_grad_()
    logits = model(images)
    functional.cross_entropy(logits, labels).backward()
    return {
        "logits": logits.detach(),
        "images": images.grad,
        "costs": costs,
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "buffers": {name: b.clone() for name, b in model.named_buffers()},
    }


def assert_same(found: Any, expected: Any) -> None:
    for key in ("logits", "images", "costs", "buffers"):
        torch.testing.assert_close(found[key], expected[key], rtol=1e-9, atol=1e-11)
    for name, gradient in expected["gradients"].items():
        # a gradient of zeros is not none: weight decay would move the weights
        assert (found["gradients"][name] is None) == (gradient is None), name
        if gradient is not None:
            torch.testing.assert_close(
                found["gradients"][name], gradient, rtol=1e-8, atol=1e-10, msg=name
            )
