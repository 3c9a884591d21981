"""The study of the controller's conditioning at its smallest, and its reading of a policy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from published_truth import validation_cube
from scipy import stats
from scipy.special import softmax
from study_runs import silent_run

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import reopen
from nni_wiring.studies.controller_conditioning import STUDY, UNCONDITIONED, reading, trained
from nni_wiring.studies.controller_rewards import reward_cube, supernet_accuracies
from nni_wiring.studies.controllers import factorised, policy
from nni_wiring.studies.marginals import accuracy_cube
from nni_wiring.studies.policies import (
    entropy,
    independent,
    independent_frontier,
    marginal,
    reference,
)
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy
from nni_wiring.truth import load_table

VALUES = accuracy_cube(load_table(), "cifar10", "valid")


def test_an_untrained_controller_is_nearly_uniform_and_training_pays() -> None:
    """At the start E[valid] is that of a random cell, 83.69, and TC below 1e-4."""
    start, *_, end = trained(VALUES, seed=3, steps=80, learning_rate=0.02)
    assert (start["steps"], end["steps"]) == (0, 80)
    assert start["expectation"] == pytest.approx(VALUES.mean(), abs=0.5)
    assert -1e-12 < start["correlation"] < 1e-4
    assert end["expectation"] > start["expectation"] + 3
    assert end["best_expectation"] >= end["expectation"]


def test_the_best_policy_of_an_entropy_reads_as_itself() -> None:
    weights = np.exp((VALUES - VALUES.max()) / 0.5)
    found = reading(weights / weights.sum(), VALUES)
    assert found["correlation"] == pytest.approx(found["best_correlation"], abs=1e-6)
    assert found["expectation"] == pytest.approx(found["best_expectation"], abs=1e-6)


def test_the_verdict_is_about_the_share_of_the_best_correlation() -> None:
    assert UNCONDITIONED.judge([0.01, 0.0, 0.02, 0.0, 0.01]).verdict == "holds"
    assert UNCONDITIONED.judge([0.6, 0.7, 0.55, 0.6, 0.65]).verdict == "does not hold"
    assert UNCONDITIONED.judge([0.0]).verdict == "cannot be said"


def product_of(p: np.ndarray) -> np.ndarray:
    found = np.ones((1,) * p.ndim)
    for edge in range(p.ndim):
        axes = tuple(axis for axis in range(p.ndim) if axis != edge)
        found = found * p.sum(axis=axes, keepdims=True)
    return found


def test_the_control_has_no_correlation_by_construction() -> None:
    start, *_, end = trained(VALUES, 3, 40, 0.2, factorised)
    assert start["entropy"] == pytest.approx(6 * np.log(5), abs=5e-3)
    assert end["expectation"] > start["expectation"] + 3
    assert abs(start["correlation"]) < 1e-12 and abs(end["correlation"]) < 1e-12
    control = factorised(1)
    control.a.data *= 30  # type: ignore[operator,union-attr]
    p = policy(control)
    assert p.sum() == pytest.approx(1, abs=1e-12) and np.allclose(p, product_of(p), atol=1e-15)
    assert entropy(p) < 9


def test_the_control_draws_what_it_says() -> None:
    control = factorised(2)
    control.a.data *= 40  # type: ignore[operator,union-attr]
    p = policy(control)
    drawn = control(6000, torch.Generator().manual_seed(0))
    for edge in range(6):
        counted = np.bincount(drawn.operations[:, edge].numpy(), minlength=5)
        expected = 6000 * marginal(p, edge)
        assert stats.chisquare(counted, expected).pvalue > 1e-4
    cells = tuple(drawn.operations.T.numpy())
    assert np.allclose(drawn.log_probability.detach().numpy(), np.log(p[cells]), atol=1e-5)
    assert float(drawn.entropy[0].detach()) == pytest.approx(entropy(p), abs=1e-5)
    best = tuple(control(1, greedy=True).operations[0].tolist())
    assert p[best] == p.max()


def test_the_frontier_of_independent_edges_is_the_design_s(shared_data: Path) -> None:
    """(E, H) by coordinate ascent on NAS-Bench-201 v1.1, derived apart from this code."""
    values = validation_cube(shared_data)
    found = independent_frontier(values)
    for expectation, nats in ((89.39, 8.36), (89.93, 7.71), (90.46, 6.82), (91.02, 5.40)):
        assert found.at(nats) == pytest.approx(expectation, abs=0.02)
        assert found.at(nats) < reference(values, nats).expectation


def test_independent_values_have_independent_best_policies() -> None:
    """A sum over edges: the best policy of all is a product, so both agree."""
    g = np.random.default_rng(0)
    parts = g.standard_normal((4, 3))
    values = sum(parts[e].reshape([3 if a == e else 1 for a in range(4)]) for e in range(4))
    values = np.asarray(values)
    frontier = independent_frontier(values)
    for nats in (1.0, 2.0, 3.5):
        assert frontier.at(nats) == pytest.approx(reference(values, nats).expectation, abs=0.01)
    q = independent(values, 0.5, [np.full(3, 1 / 3)] * 4)
    assert np.allclose(q, softmax(parts / 0.5, axis=1), atol=1e-6)


def test_rewards_are_those_of_the_table_and_of_the_supernet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {
        "rewards": ["supernet"], "batches": 1, "batch_size": 16, "epochs": 1, "max_steps": 2,
        "data": "digits", "supernet": "plain", "compile": False,
    }  # fmt: skip
    run = silent_run(STUDY, tmp_path, **given)
    table = load_table()
    few = table.operations[[5, 77, 900]]
    found = supernet_accuracies(run, SimpleNamespace(operations=few))  # type: ignore[arg-type]
    opened = reopen(RunFolder.open(tmp_path / "runs" / "supernet"))
    images, labels = next(iter(opened.loaders.evaluation))
    group = opened.module.groups[0]
    for cell, accuracy in zip(few.tolist(), found, strict=True):
        z = {group.name: one_hot(group, cell)}
        by_hand = supernet_accuracy(opened.module.model, [(images, labels)], z)
        assert accuracy == by_hand and 0 <= accuracy <= 100
    assert np.array_equal(reward_cube(run, "truth"), VALUES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rewards": ["e12"]}, "has no accuracies after 12 epochs; name another by benchmark"),
        ({"rewards": ["supernet", "e12"]}, "has no accuracies after 12 epochs"),  # trains nothing
        ({"rewards": []}, "allowed, each once: truth, e12, supernet"),
        ({"rewards": ["luck"]}, "allowed, each once: truth, e12, supernet"),
        ({"other_rates": [0.001]}, "numbers above 0, each rate once"),
    ],
)
def test_bad_options_are_refused(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run_study(STUDY, STUDY.options(given), tmp_path)
    assert not (tmp_path / "runs").exists()


def test_the_study_writes_its_findings_and_takes_finished_seeds_as_they_are(
    tmp_path: Path,
) -> None:
    found = study("controller-conditioning")
    options = found.options({"seeds": 2, "steps": 4})
    result = run_study(found, options, tmp_path / "study")
    assert [row["steps"] for row in result["rows"]] == [0, 1, 2, 3, 4] * 8
    assert {row["seed"] for row in result["rows"]} == {1, 2}
    arms = {(row["sampler"], row["rate"]) for row in result["rows"]}
    assert arms == {(s, rate) for s in ("lstm", "factorised") for rate in (0.001, 0.005)}
    assert [v["verdict"] for v in result["verdicts"]] == ["cannot be said"] * 4
    ends = {(r["sampler"], r["rate"], r["seed"]): r["expectation"] for r in result["rows"]}
    paid = [ends["lstm", 0.005, k] - ends["factorised", 0.005, k] for k in (1, 2)]
    assert result["verdicts"][3]["effect"] == pytest.approx(np.mean(paid))
    said: list[str] = []
    again = run_study(found, options, tmp_path / "study", said.append)
    assert not said and again["rows"] == result["rows"]
    fresh = run_study(found, options, tmp_path / "fresh")
    assert fresh["rows"] == result["rows"]
    assert (tmp_path / "study" / result["pictures"][0]).read_bytes().startswith(b"\x89PNG")
