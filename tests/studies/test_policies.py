"""Exact information of policies, against closed forms, a sampled one and the design's pilots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published_truth import validation_cube

from nni_wiring.strategies.parts.controller import Controller
from nni_wiring.studies.policies import (
    entropy,
    past_information,
    reference,
    tempered,
    total_correlation,
)

FIRST = np.array([0.5, 0.25, 0.125, 0.125])  # H = 1.75 bits


def controller_policy(scale: float) -> tuple[Controller, np.ndarray]:
    torch.manual_seed(2)
    controller = Controller([torch.ones(5, dtype=torch.bool)] * 6)
    for parameter in controller.parameters():
        parameter.data *= scale
    cells, p = controller.distribution()
    cube = np.empty((5,) * 6)
    cube[tuple(cells.T.numpy())] = p.numpy()
    return controller, cube


def test_a_copied_edge_shares_its_whole_entropy() -> None:
    """op_1 = op_0, op_2 free: TC = I_1 = H(op_0) = 1.75 log 2."""
    p = np.einsum("a,ab,c->abc", FIRST, np.eye(4), np.full(4, 0.25))
    expected = 1.75 * np.log(2)
    assert total_correlation(p) == pytest.approx(expected, abs=1e-12)
    assert past_information(p) == pytest.approx([0, expected, 0], abs=1e-12)
    assert entropy(p) == pytest.approx(expected + np.log(4), abs=1e-12)


def test_independent_edges_have_no_correlation() -> None:
    p = np.einsum("a,b,c->abc", FIRST, FIRST[::-1], FIRST)
    assert total_correlation(p) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("scale", "low", "high"), [(1, -1e-12, 1e-4), (10, 0.05, 9)])
def test_a_controller_s_policy(scale: float, low: float, high: float) -> None:
    """Untrained it hardly conditions; with weights ten times as large it does."""
    controller, p = controller_policy(scale)
    assert p.sum() == pytest.approx(1, abs=1e-9)
    found = total_correlation(p)
    assert low < found < high
    assert sum(past_information(p)) == pytest.approx(found, abs=1e-12)
    drawn = controller(4000, torch.Generator().manual_seed(0))
    sampled = -drawn.log_probability.detach().double()
    error = float(sampled.std()) / 4000**0.5
    assert entropy(p) == pytest.approx(float(sampled.mean()), abs=5 * error + 1e-5)


@pytest.mark.parametrize(
    ("nats", "temperature", "expectation", "correlation"),
    [
        (9.00, 1.529, 89.27, 0.238),
        (8.00, 0.644, 90.22, 0.482),
        (7.00, 0.406, 90.73, 0.675),
        (6.26, 0.297, 90.99, 0.795),
        (5.63, 0.225, 91.15, 0.866),
        (4.50, 0.139, 91.36, 0.919),
    ],
)
def test_the_references_of_the_design(
    nats: float, temperature: float, expectation: float, correlation: float, shared_data: Path
) -> None:
    """CIFAR-10 validation after 200 epochs, NAS-Bench-201 v1.1; derived apart from this code."""
    values = validation_cube(shared_data)
    found = reference(values, nats)
    assert found.entropy == pytest.approx(nats, abs=1e-9)
    assert found.temperature == pytest.approx(temperature, abs=1e-3)
    assert found.expectation == pytest.approx(expectation, abs=0.01)
    assert found.total_correlation == pytest.approx(correlation, abs=1e-3)


def test_no_policy_of_equal_entropy_expects_more() -> None:
    """Gibbs: for any q, E_q[v] + T H(q) <= that of p; random q, a random table of 64 cells."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(4, 4, 4))
    best = tempered(values, 0.7)
    for _ in range(50):
        q = draw.dirichlet(np.full(64, 0.5)).reshape(4, 4, 4)
        assert (q * values).sum() + 0.7 * entropy(q) <= best.expectation + 0.7 * best.entropy
