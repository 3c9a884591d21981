"""Optimisers told apart by the state that they left."""

from __future__ import annotations

import torch

from nni_wiring.strategies.engine.optimizers import state_of


def stepped(kind: type[torch.optim.Optimizer], *shapes: tuple[int, ...]) -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    optimizer = kind(parameters, lr=0.1)
    torch.stack([p.square().sum() for p in parameters]).sum().backward()
    optimizer.step()
    return optimizer


def test_alpha_s_state_is_told_by_its_shapes() -> None:
    alpha = stepped(torch.optim.Adam, (6, 5), (6,))
    theta = stepped(torch.optim.SGD, (6, 5), (6,))
    other = stepped(torch.optim.Adam, (5, 6), (6,))
    states = [optimizer.state_dict() for optimizer in (theta, other, alpha)]
    ours = alpha.param_groups[0]["params"]
    found = state_of(ours, states)
    assert found is not None
    for row, parameter in zip(found["state"].values(), ours, strict=True):
        assert torch.equal(row["exp_avg"], alpha.state[parameter]["exp_avg"])
    assert state_of(ours, states[:2]) is None and state_of([], states) is None
