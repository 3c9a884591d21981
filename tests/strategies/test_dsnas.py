"""DSNAS on the one loop: the score gradient with the local cost as reward."""

from __future__ import annotations

import pytest
import torch
from tiny_search import CELLS, STEPS, TinySearch, check_runs, images, tiny_space
from torch import nn

from nni_wiring.strategies.dsnas import DSNAS
from nni_wiring.supernet.edge_group import Draw


@pytest.mark.parametrize("kind", ["ours", "hub"])
@pytest.mark.parametrize("optimisation", ["single_level", "bi_level"])
def test_runs(kind: str, optimisation: str) -> None:
    search = check_runs(DSNAS(optimisation=optimisation), kind)
    phases = {"weights"} if optimisation == "single_level" else {"weights", "alpha"}
    assert set(search.monitor.records[-1].cost) == phases
    for phase in phases:
        for row in search.counts(phase).values():
            assert sum(row.values()) == STEPS * CELLS  # one operation per step


@pytest.mark.parametrize("clamp", [None, 0.01])
def test_alpha_gradient_is_the_score_times_the_cost_summed_over_cells(clamp: float | None) -> None:
    """The cost of the chosen operation by finite differences of the whole network's loss."""
    torch.manual_seed(1)
    strategy = DSNAS(reward_clamp=clamp, alpha_init=1.0, alpha_init_mean=0.0)
    model = strategy.mutate_model(tiny_space()).double()
    (group,) = strategy.groups
    pixels, labels = images()
    conv = group.operations.index("nor_conv_3x3")
    chosen = [conv, conv, group.operations.index("skip_connect"), conv, conv, conv]

    def loss(z: torch.Tensor) -> torch.Tensor:
        group.draw = Draw(z, tuple((k,) for k in chosen))
        return nn.functional.cross_entropy(model(pixels.double()), labels)

    z = torch.eye(5, dtype=torch.float64)[chosen]
    reward = torch.zeros(6, 1, dtype=torch.float64)
    with torch.no_grad():
        for edge, k in enumerate(chosen):
            values = []
            for step in (1e-5, -1e-5):
                moved = z.clone()
                moved[edge, k] += step
                values.append(loss(moved))
            reward[edge] = (values[0] - values[1]) / 2e-5
    if clamp is not None:
        assert (reward.abs() > clamp).any()
        reward.clamp_(-clamp, clamp)
    loss(z.requires_grad_()).backward()
    strategy.parts.alpha.estimate()
    p = torch.softmax(group.alpha.detach(), dim=-1)
    torch.testing.assert_close(group.alpha.grad, (z.detach() - p) * reward, rtol=1e-5, atol=1e-8)


def test_the_alpha_step_leaves_the_weights_gradients_alone() -> None:
    search = TinySearch(DSNAS(optimisation="bi_level"))
    strategy, module = search.strategy, search.module
    strategy.groups[0].draw = strategy.draw(strategy.groups[0], "alpha", module.generator)
    output = search.model(images()[0]).square().mean()
    output.backward(inputs=strategy.parts.alpha.inputs())
    strategy.parts.alpha.estimate()
    assert all(p.grad is None for p in module.weight_parameters() if p.requires_grad)
    assert strategy.groups[0].alpha.grad is not None


def test_a_cell_without_a_live_path_counts_as_run_at_no_cost() -> None:
    """All edges none: no gradient comes back, yet the monitor knows what ran, and alpha stays."""
    strategy = DSNAS(alpha_init=0.0, alpha_weight_decay=0.0)
    search = TinySearch(strategy)
    (group,) = strategy.groups
    none = group.operations.index("none")
    group.alpha.data[:, none] = 100.0
    start = group.alpha.detach().clone()
    search.run()
    for edge, row in search.counts("weights").items():
        assert row == {op: STEPS * CELLS if op == "none" else 0 for op in row}
        assert search.monitor.records[-1].cost["weights"].mean[edge]["none"] == 0.0
    assert torch.equal(group.alpha.detach(), start)
