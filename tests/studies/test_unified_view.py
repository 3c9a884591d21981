"""The unified view: identities in float64, and finite differences of the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from study_runs import silent_run

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.studies.alpha_steps import METHODS, cell_cost, local_step, sampled
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.registry import study
from nni_wiring.studies.unified_view import common_start, compared
from nni_wiring.supernet.edge_group import Draw

DRAWS = 12


@pytest.fixture
def run(tmp_path: Path) -> StudyRun:
    return silent_run(study("unified-view"), tmp_path, data="digits", batch_size=6, max_steps=1)


def loss_at(found: Any, batch: Any, z: torch.Tensor, active: Any) -> float:
    [group] = found.strategy.groups
    group.draw = Draw(z, active)
    with torch.no_grad():
        output = found.module.training_module.training_step(batch, 0)
    return float(output["loss"] if isinstance(output, dict) else output)


def test_all_methods_start_from_the_same_point(run: StudyRun) -> None:
    starts = {name: common_start(run, name, 1) for name in ("darts", "gdas", "enas")}
    first, batch = starts["darts"]
    for name, (found, other) in starts.items():
        assert torch.equal(other[0], batch[0]) and torch.equal(other[1], batch[1])
        theta = found.module.model.state_dict()
        for key, value in first.module.model.state_dict().items():
            if not key.startswith("edge_groups") or (name != "enas" and key.endswith("alpha")):
                assert torch.equal(value, theta[key]), key


def test_darts_descends_the_local_step(run: StudyRun) -> None:
    """The method's gradient against central differences of the loss in alpha, and the local step
    with costs from central differences in Z.
    """
    found, batch = common_start(run, "darts", 1)
    one = sampled(found, batch)
    [group] = found.strategy.groups
    alpha = group.alpha.detach().clone()
    z = torch.softmax(alpha, dim=-1)
    assert one.gradient == pytest.approx(local_step(z.numpy(), one.cost), abs=1e-10)
    step = 1e-5
    for edge, k in ((0, 1), (2, 3), (4, 2), (5, 0), (5, 4)):
        ends = []
        costs = []
        for sign in (1, -1):
            moved = alpha.clone()
            moved[edge, k] += sign * step
            ends.append(loss_at(found, batch, torch.softmax(moved, dim=-1), group.allowed))
            changed = z.clone()
            changed[edge, k] += sign * step
            costs.append(loss_at(found, batch, changed, group.allowed))
        assert one.gradient[edge, k] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)
        assert one.cost[edge, k] == pytest.approx((costs[0] - costs[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("strategy", ["darts", "snas", "dsnas", "gdas", "proxylessnas"])
def test_the_slope_of_a_method_is_that_of_its_form(run: StudyRun, strategy: str) -> None:
    found, batch = common_start(run, strategy, 2)
    temperature = getattr(found.strategy.relaxation, "temperature", 1.0)
    steps = METHODS[strategy].steps(found, batch, DRAWS)
    result = compared(steps, METHODS[strategy].slope(found))
    assert result["expected"] == 1 / temperature
    assert (temperature == 10.0) == (strategy in ("snas", "gdas"))
    assert result["slope"] == pytest.approx(1 / temperature, abs=1e-10)
    assert result["deviation"] < 1e-10
    assert np.abs(steps.gradient).max() > 1e-6
    wrong = compared(steps, 2 / temperature)
    assert wrong["deviation"] > 0.5


def test_dsnas_in_expectation_by_enumeration(run: StudyRun) -> None:
    """On one edge, others held: sum over its draws of p(k) (e_k - p) C_k, C_k from the differences
    of the loss in the drawn Z.
    """
    found, batch = common_start(run, "dsnas", 1)
    [group] = found.strategy.groups
    before = found.module.generator.get_state()
    steps = METHODS["dsnas"].steps(found, batch, 1)
    found.module.generator.set_state(before)
    cell = found.module.sample_cells()[group.name]
    p = found.strategy.relaxation.probabilities(group).detach().numpy()
    edge, step = 5, 1e-5
    expected = np.zeros(5)
    for k in range(5):
        drawn = [*cell[:edge], k]
        z = torch.nn.functional.one_hot(torch.tensor(drawn), 5).double()
        ends = []
        for sign in (1, -1):
            changed = z.clone()
            changed[edge, k] += sign * step
            ends.append(loss_at(found, batch, changed, tuple((op,) for op in drawn)))
        cost = (ends[0] - ends[1]) / (2 * step)
        expected += p[edge, k] * (np.eye(5)[k] - p[edge]) * cost
        assert cell_cost(found, batch, drawn)[edge, k] == pytest.approx(cost, abs=1e-8)
    assert steps.gradient[0, edge] == pytest.approx(expected, abs=1e-8)


def test_enas_rewards_all_edges_alike(run: StudyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that is the same for all cells moves nothing, whatever the local costs are."""
    found, batch = common_start(run, "enas", 1)
    steps = METHODS["enas"].steps(found, batch, 8)
    assert steps.gradient.any() and steps.local.any()
    monkeypatch.setattr(type(found.strategy.parts.alpha), "reward", lambda *given: 0.25)
    constant = METHODS["enas"].steps(found, batch, 8)
    assert not constant.gradient.any() and constant.local.any()


@pytest.mark.parametrize("strategy", ["gdas", "proxylessnas", "dsnas"])
def test_a_drawn_cell_whose_output_is_dead_moves_nothing(run: StudyRun, strategy: str) -> None:
    found, batch = common_start(run, strategy, 1)
    [group] = found.strategy.groups
    with torch.no_grad():
        group.alpha[3:] = torch.tensor([200.0, 100.0, 0.0, 0.0, 0.0])  # the edges into the output
        group.alpha[:3] = torch.tensor([200.0, 0.0, 0.0, 0.0, 0.0])
    if strategy == "proxylessnas":  # its second path, skip, runs and is closed
        assert np.isfinite(sampled(found, batch).gradient).all()
    elif strategy == "gdas":
        one = sampled(found, batch)
        assert not one.cost.any() and not one.gradient.any()
    else:
        assert not cell_cost(found, batch, [0] * 6).any()
