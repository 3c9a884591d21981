"""Widening: new channels are copies of trained ones, as the authors' concatenation makes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_shot import Task, evaluator, random_batches, search, tiny_space
from torch import nn

from nni_wiring.strategies.drnas import DrNAS
from nni_wiring.strategies.parts.stages import ChannelStages
from nni_wiring.supernet.partial_cell import SlimConv2d, make_slim
from nni_wiring.supernet.widening import widen


def convolution(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
    )


@pytest.mark.parametrize("affine", [True, False])
def test_weights_are_those_of_the_authors_concatenation(affine: bool) -> None:
    """cat(w, w[:, index]) over inputs, then cat(w, w[index]) over outputs; batch norm along."""
    torch.manual_seed(0)
    operation = convolution(8)
    operation[1] = nn.BatchNorm2d(8, affine=affine)
    operation[1].running_mean.normal_()
    if affine:
        operation[1].weight.data.normal_()
    make_slim(operation, 4)
    momentum = torch.randn(8, 8, 3, 3)
    before = {name: value.clone() for name, value in operation.state_dict().items()}
    index = torch.randint(2, (2,), generator=torch.Generator().manual_seed(9))

    def followers(parameter: torch.Tensor) -> list[torch.Tensor]:
        return [moving] if parameter is operation[0].weight else []

    moving = momentum.clone()
    widen(operation, 4, 2, torch.Generator().manual_seed(9), followers)
    for found, old in ((operation[0].weight, before["0.weight"]), (moving, momentum)):
        wide = torch.cat([old[:2, :2], old[:2, :2][:, index]], dim=1)
        assert torch.equal(found[:4, :4], torch.cat([wide, wide[index]], dim=0))
        assert torch.equal(found[4:], old[4:]) and torch.equal(found[:, 4:], old[:, 4:])
    vectors = ["0.bias", "1.running_mean", "1.running_var", *(["1.weight"] if affine else [])]
    for name in vectors:
        old = before[name]
        expected = torch.cat([old[:2], old[:2][index], old[4:]])
        assert torch.equal(operation.state_dict()[name], expected)


def test_new_outputs_are_those_of_their_sources() -> None:
    """Also of a separable convolution, whose depthwise layers have one input a channel."""
    torch.manual_seed(1)
    operation = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU()
    ).double()
    make_slim(operation, 4)
    for norm in (m for m in operation.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.5, 2)
    index = torch.randint(2, (2,), generator=torch.Generator().manual_seed(3))
    widen(operation, 4, 2, torch.Generator().manual_seed(3))
    x = torch.randn(5, 2, 6, 6, dtype=torch.float64)
    y = operation(torch.cat([x, x[:, index]], dim=1))
    assert y.shape[1] == 4
    torch.testing.assert_close(y[:, 2:], y[:, index])
    assert not torch.allclose(y[:, 0], y[:, 1])


def test_a_search_widens_once_between_its_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second stage begins every new row is a trained one; what is trained stays."""
    strategy = DrNAS(partial_channels=(4, 2), update_order="weights_first")
    seen: list[dict[str, torch.Tensor]] = []
    after = ChannelStages.after_steps

    def watched(part: ChannelStages, loop: Any, epoch: int) -> None:
        for _ in range(2):
            seen.append({n: p.detach().clone() for n, p in loop.model.named_parameters()})
            if len(seen) % 2:
                after(part, loop, epoch)

    monkeypatch.setattr(ChannelStages, "after_steps", watched)
    batches = random_batches(4, 0)
    model, _ = search(
        strategy,
        tiny_space(channels=8),
        evaluator(batches[:2], batches[2:], epochs=4, task=Task(momentum=0.9)),
    )
    changed = [
        {name for name in seen[i] if not torch.equal(seen[i][name], seen[i + 1][name])}
        for i in range(0, 8, 2)
    ]
    slim = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, SlimConv2d)}
    assert changed[0] == changed[2] == changed[3] == set()
    assert changed[1] and changed[1] <= slim
    trained, widened = seen[2], seen[3]
    for name in changed[1]:
        old, new = len(trained[name]) // 4, len(trained[name]) // 2
        assert torch.equal(widened[name][:old, :old], trained[name][:old, :old])
        rows = widened[name][old:new, :new]
        for row in rows:
            assert any(torch.equal(row, source) for source in widened[name][:old, :new])
