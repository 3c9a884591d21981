"""ENAS against random sampling: rankings on a made evaluator, policies by enumeration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import reopen
from nni_wiring.selection.supernet_ranking import SupernetRanking
from nni_wiring.strategies.enas import ENASSettings
from nni_wiring.studies import enas_vs_random, supernet_samplers
from nni_wiring.studies.controllers import EDGES, policy, uniform_cells, untrained
from nni_wiring.studies.frame import Size, StudyRun
from nni_wiring.studies.marginals import accuracy_cube
from nni_wiring.studies.policies import marginal
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.supernet_samplers import Truths, arms, controller_of, ranked, taught
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy
from nni_wiring.truth import load_table

TABLE = load_table()
VALUES = accuracy_cube(TABLE, "cifar10", "valid")
STUDY = study("enas-vs-random")
TINY: dict[str, Any] = {
    "seeds": 1,
    "candidates": 12,
    "batches": 1,
    "controller_steps": 1,
    "controller_samples": 2,
    "channels": 2,
    "batch_size": 8,
    "epochs": 1,
    "max_steps": 2,
    "compile": False,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a tiny study, and its result."""
    path = tmp_path_factory.mktemp("enas") / "study"
    return path, run_study(STUDY, STUDY.options(TINY), path)


def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the supernet's accuracy be the truth itself."""

    def accuracy(self: SupernetRanking, context: Any, cells: Any) -> float:
        [operations] = cells.values()
        return float(VALUES[tuple(operations)])

    monkeypatch.setattr(SupernetRanking, "accuracy", accuracy)


def test_both_supernets_rank_the_same_uniform_cells_by_their_own_accuracy(
    small: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {net: reopen(RunFolder.open(small[0] / "runs" / f"{net}-s1"))
             for net in ("enas", "uniform")}  # fmt: skip
    cells = uniform_cells(40, seed=1)
    for search in found.values():  # each by its own network, on the first batch
        [group], batch = search.module.groups, next(iter(search.loaders.evaluation))
        z = {group.name: one_hot(group, cells[2].tolist())}
        own = supernet_accuracy(search.module.model, [batch], z)
        assert ranked(search, cells[:3], 1).accuracies[2] == own
    made(monkeypatch)
    truths = Truths(VALUES, VALUES / 2)
    for search in found.values():
        rows = arms(search, untrained(1), truths, 1, n=40, batches=1)
        assert rows["uniform"]["accuracy"] == VALUES[tuple(cells.T)].max()
        assert rows["uniform"]["candidates"] == pytest.approx(VALUES[tuple(cells.T)].mean())
        assert rows["uniform"]["percentile"] == rows["uniform"]["accuracy"] / 2
        assert [row["tau"] for row in rows.values()] == pytest.approx([1, 1])
        assert rows["uniform"]["expectation"] == pytest.approx(VALUES.mean())
        assert rows["uniform"]["entropy"] == pytest.approx(EDGES * math.log(5))


def test_the_expectation_is_the_sum_over_all_cells_read_one_by_one(
    small: tuple[Path, dict[str, Any]],
) -> None:
    search = reopen(RunFolder.open(small[0] / "runs" / "enas-s1"))
    controller = controller_of(search)
    cells = torch.cartesian_prod(*[torch.arange(5)] * EDGES)
    with torch.no_grad():
        p = controller.double().given(cells).log_probabilities.sum(dim=1).exp().numpy()
    expected = float((p * VALUES[tuple(cells.numpy().T)]).sum())
    row = next(
        r for r in small[1]["rows"] if (r["supernet"], r["sampler"]) == ("enas", "controller")
    )
    assert p.sum() == pytest.approx(1) and row["expectation"] == pytest.approx(expected, abs=1e-6)
    # the reopened controller is the one that was trained: alpha holds its marginals' logarithms
    alpha = search.module.groups[0].alpha.detach().exp().numpy()
    marginals = np.stack([marginal(policy(controller), edge) for edge in range(EDGES)])
    np.testing.assert_allclose(alpha, marginals, atol=1e-3)


def test_a_controller_is_taught_what_a_supernet_rewards_and_the_weights_stay(
    small: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = reopen(RunFolder.open(small[0] / "runs" / "uniform-s1"))
    before = {name: value.clone() for name, value in search.module.model.state_dict().items()}

    def reward(model: Any, batches: Any, z: Any) -> float:
        assert len(batches) == 1
        [table] = z.values()
        return float(table[:, 3].mean())  # the share of 3x3 convolutions

    settings = ENASSettings(controller_steps=60, controller_samples=20, alpha_lr=2e-2)
    plain = taught(search, settings.model_copy(update={"controller_steps": 1}), 1)
    assert not torch.equal(plain.embedding.weight, untrained(1).embedding.weight)
    monkeypatch.setattr(supernet_samplers, "supernet_share", reward)
    p = policy(taught(search, settings, 1))
    assert np.mean([marginal(p, edge)[3] for edge in range(EDGES)]) > 0.6  # 0.2 untrained
    after = search.module.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def rows_of(values: np.ndarray) -> list[dict[str, Any]]:
    """(seeds, 4) -> rows."""
    order = [(a, b) for a in ("enas", "uniform") for b in ("controller", "uniform")]
    return [
        {"seed": seed, "supernet": net, "sampler": who, "accuracy": value}
        for seed, line in enumerate(values.tolist(), start=1)
        for (net, who), value in zip(order, line, strict=True)
    ]


def test_contrasts_recover_the_effects_that_were_put_in() -> None:
    g = np.random.default_rng(0)
    base, net, who, both = g.normal(size=(4, 6))
    values = base[:, None] + np.stack([net + who + both, net, who, np.zeros(6)], axis=1)
    claim, supernet, sampler, interaction = (
        enas_vs_random.contrast(rows_of(values), wanted) for wanted in enas_vs_random.CONTRASTS
    )
    np.testing.assert_allclose(claim, net + who + both)
    np.testing.assert_allclose(supernet, net + both / 2)
    np.testing.assert_allclose(sampler, who + both / 2)
    np.testing.assert_allclose(interaction, both)


@pytest.mark.parametrize(
    ("size", "expected"), [("small", "cannot be said"), ("reference", "holds")]
)
def test_a_small_run_gives_no_verdict_and_one_at_the_reference_size_does(
    tmp_path: Path, size: Size, expected: str
) -> None:
    values = np.zeros((8, 4)) + np.linspace(-0.1, 0.1, 8)[:, None] * [1, 0, 0, 0]
    options = STUDY.options({"data": "clutter"}, size)
    judged = StudyRun(STUDY, tmp_path, options, print).judged(
        enas_vs_random.judged(rows_of(values))
    )
    assert [verdict.verdict for verdict in judged] == [expected] * 2
    assert all("(the rule says: holds)" in v.evidence for v in judged) == (size == "small")


def test_published_rows_and_their_welch_t() -> None:
    t, p = enas_vs_random.welch((37.51, 3.19), (80.42, 3.58), 3)
    spread = (3.19**2 + 3.58**2) / 3
    freedom = spread**2 / ((3.19**4 + 3.58**4) / 9 / 2)
    assert t == pytest.approx((37.51 - 80.42) / math.sqrt(spread)) == pytest.approx(-15.5, abs=0.01)
    assert p == pytest.approx(2 * stats.t.cdf(t, freedom))


def test_a_tiny_study_repeats_and_goes_on_where_it_stopped(
    small: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = small
    assert len(whole["rows"]) == 4 and len(whole["tables"][0]["rows"]) == 4
    assert {v["verdict"] for v in whole["verdicts"]} == {"cannot be said"}
    assert (path / whole["pictures"][0]).read_bytes().startswith(b"\x89PNG")
    published = whole["tables"][2]["rows"]
    assert published[0][:6] == ["cifar10", "valid", 37.51, 3.19, 80.42, 3.58]
    original, taught_seeds = enas_vs_random.taught, []

    def stop(found: Any, settings: Any, seed: int) -> Any:
        if not taught_seeds:
            taught_seeds.append(seed)
            raise KeyboardInterrupt
        return original(found, settings, seed)

    monkeypatch.setattr(enas_vs_random, "taught", stop)
    options = STUDY.options(TINY)
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, options, tmp_path / "cut")
    said: list[str] = []
    again = run_study(STUDY, options, tmp_path / "cut", said.append)
    assert said == ["measure uniform-s1"]
    for key in ("rows", "tables", "verdicts", "numbers"):
        assert again[key] == whole[key]


def test_another_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="space=nasbench201_s2: .*; allowed: nasbench201$"):
        STUDY.options({**TINY, "space": "nasbench201_s2"})
    options = STUDY.options({**TINY, "operations": {"0-1": ["none"]}})
    with pytest.raises(ConfigError, match="whole space nasbench201"):
        run_study(STUDY, options, tmp_path / "study")
