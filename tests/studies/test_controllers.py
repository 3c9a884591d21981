"""S4's studies of controllers: policies made by hand, the probe's chance, and the small runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nni_wiring.studies import controller_memory, controller_states
from nni_wiring.studies.controllers import (
    EDGES,
    Recipe,
    last_states,
    own_cells,
    policy,
    train,
    uniform_cells,
    untrained,
    within_minus_between,
)
from nni_wiring.studies.marginals import accuracy_cube
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.truth import load_table

VALUES = accuracy_cube(load_table(), "cifar10", "valid")


def copying() -> np.ndarray:
    """Edge 2 repeats edge 1; all else uniform and independent."""
    p = np.zeros((5,) * EDGES)
    for operation in range(5):
        p[operation, operation] = 1
    return p / p.sum()


def test_within_minus_between_of_policies_made_by_hand() -> None:
    g = np.random.default_rng(0)
    independent = np.ones((1,) * EDGES)
    for edge in range(EDGES):
        shape = [1] * EDGES
        shape[edge] = 5
        independent = independent * g.dirichlet(np.ones(5)).reshape(shape)
    for t in range(1, EDGES):
        assert within_minus_between(independent, t) == pytest.approx(0, abs=1e-12)
    # after one edge the next is known: equal within a state, always different between two
    assert within_minus_between(copying() + 1e-15, 1) == pytest.approx(-1, abs=1e-6)


def test_within_minus_between_is_what_drawing_gives() -> None:
    g = np.random.default_rng(1)
    p = g.dirichlet(np.ones(5**EDGES)).reshape((5,) * EDGES)
    rest = p.reshape(25, -1) / p.reshape(25, -1).sum(axis=1, keepdims=True)
    drawn = np.stack([g.choice(5**4, 4000, p=row) for row in rest])
    suffix = np.stack(np.unravel_index(drawn, (5,) * 4), axis=2)  # (prefixes, draws, edges)
    within = (suffix[:, ::2] != suffix[:, 1::2]).sum(axis=2).mean()
    other = np.roll(suffix[:, ::2], 1, axis=0)
    distances = [
        (np.roll(other, k, axis=0) != suffix[:, 1::2]).sum(axis=2).mean() for k in range(24)
    ]
    assert within_minus_between(p, 2) == pytest.approx(within - np.mean(distances), abs=0.02)


def test_cells_are_different_and_own_ones_follow_the_policy() -> None:
    cells = uniform_cells(300)
    assert len(np.unique(cells, axis=0)) == 300 and np.array_equal(cells, uniform_cells(300))
    peaked = np.full((5,) * EDGES, 1e-6)
    peaked[2] = 1.0
    chosen = own_cells(peaked / peaked.sum(), 200)
    assert len(np.unique(chosen, axis=0)) == 200 and np.mean(chosen[:, 0] == 2) > 0.95


def test_states_are_those_of_reading_one_cell_at_a_time() -> None:
    controller, cells = untrained(4), uniform_cells(5)
    states = last_states(controller, cells)
    for row, cell in zip(states, cells, strict=True):
        x, state = controller.start, None
        for operation in [None, *cell.tolist()]:
            if operation is not None:
                x = controller.embedding(torch.tensor([operation]))
            h, state = controller.lstm(x[None], state)
        np.testing.assert_allclose(row, h[0, 0].detach().numpy(), atol=1e-6)


def test_no_memory_is_the_controller_of_the_conditioning_study_and_a_memory_is_not() -> None:
    from nni_wiring.studies.controller_conditioning import trained

    *_, plain = train(VALUES, 3, Recipe(8))
    [*_, row] = trained(VALUES, 3, 8, Recipe(8).learning_rate)
    assert float((policy(plain) * VALUES).sum()) == pytest.approx(row["expectation"], abs=1e-9)
    *_, with_memory = train(VALUES, 3, Recipe(8, memory_weight=1.0))
    assert not torch.equal(plain.embedding.weight, with_memory.embedding.weight)


def test_the_probe_reads_states_that_hold_the_cell_and_is_at_chance_where_they_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller = untrained(1)
    monkeypatch.setattr(
        controller_memory, "last_states", lambda _, cells: np.eye(5)[cells].reshape(len(cells), -1)
    )
    assert controller_memory.probe_accuracy(controller) == 100
    g = np.random.default_rng(0)
    monkeypatch.setattr(controller_memory, "last_states", lambda _, c: g.normal(size=(len(c), 8)))
    assert controller_memory.probe_accuracy(controller) == pytest.approx(20, abs=3)


def test_one_hot_inputs_are_an_upper_bound_for_hamming_alone() -> None:
    found = controller_states.baselines(VALUES, 300)["one-hot operations"]
    assert found["Hamming"] == pytest.approx(1, abs=1e-9)  # |h - h'|^2 is twice the distance
    assert found["Hamming, live edges"] == pytest.approx(0.74, abs=0.07)  # the design's pilot
    assert found["accuracy"] < 0.3


@pytest.mark.parametrize("name", ["controller-states", "controller-memory"])
def test_a_small_study_is_resumed_and_repeats(name: str, tmp_path: Path) -> None:
    found = study(name)
    options = found.options({"seeds": 1, "steps": 2, "sample": 20})
    result = run_study(found, options, tmp_path / "study")
    assert {verdict["verdict"] for verdict in result["verdicts"]} == {"cannot be said"}
    said: list[str] = []
    again = run_study(found, options, tmp_path / "study", said.append)
    assert not said and again["rows"] == result["rows"]
    assert run_study(found, options, tmp_path / "fresh")["rows"] == result["rows"]
    assert (tmp_path / "study" / result["pictures"][0]).read_bytes().startswith(b"\x89PNG")
