"""When each edge was decided and how surely, on records whose numbers are known."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hostile_values import HOSTILE
from scipy import stats

from nni_wiring.explain import edge_decisions
from nni_wiring.explain.cost_gap import cost_gap
from nni_wiring.records import EpochRecord

A, B, C = "skip_connect", "nor_conv_3x3", "none"


def moments(samples: dict[str, np.ndarray]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean, population variance and count of each operation's sample, on edge 0-1."""
    return {
        "mean": {"0-1": {name: float(values.mean()) for name, values in samples.items()}},
        "variance": {"0-1": {name: float(values.var()) for name, values in samples.items()}},
        "count": {"0-1": {name: len(values) for name, values in samples.items()}},
    }


def record(epoch: int, alpha: dict[str, float], **samples: np.ndarray) -> EpochRecord:
    cost = {"alpha": moments(samples)} if samples else {}
    return EpochRecord.from_json({"epoch": epoch, "alpha": {"0-1": alpha}, "cost": cost})


def test_decided_from_the_first_epoch_of_the_last_unbroken_lead() -> None:
    leads = [(0.3, 0.1), (0.1, 0.2), (0.3, 0.2), (0.1, 0.5), (0.2, 0.6), (0.4, 0.41)]
    records = [record(10 + t, {A: a, B: b, C: 0.0}) for t, (a, b) in enumerate(leads)]
    found = edge_decisions(records)["0-1"]
    assert (found.winner, found.runner_up, found.since, found.last) == (B, A, 13, 15)
    assert found.margin == pytest.approx(0.01)
    assert (found.verdict, found.overall, found.phase) == ("unknown", None, None)
    assert found.offered == (A, B, C)
    assert edge_decisions(records[:3])["0-1"].since == 12
    assert edge_decisions(records[:1])["0-1"].since == 10


def test_equal_alphas_go_to_the_first_operation_and_are_a_tie() -> None:
    found = edge_decisions([record(0, {A: 0.1, B: 0.0}), record(1, {A: 0.2, B: 0.2})])["0-1"]
    assert (found.winner, found.margin, found.verdict) == (A, 0.0, "tie")


def test_alphas_that_never_move_decide_nothing() -> None:
    found = edge_decisions([record(t, {A: 0.2, B: 0.1}) for t in range(3)])["0-1"]
    assert found.verdict == "unmoved"


def test_an_edge_with_one_operation_had_no_choice() -> None:
    found = edge_decisions([record(t, {A: 0.2 + t}) for t in range(3)])["0-1"]
    assert (found.verdict, found.runner_up, found.margin) == ("fixed", None, None)


@pytest.mark.parametrize("alternative", [0.0, 0.4, -1.0])
def test_the_confidence_of_one_epoch_is_welchs_test(alternative: float) -> None:
    rng = np.random.default_rng(3)
    winner, other = rng.normal(0, 1, 12), rng.normal(alternative, 3, 7)
    found = cost_gap([record(0, {}, a=winner, b=other)], "0-1", "a", "b", "alpha")
    assert found is not None
    expected = stats.ttest_ind(winner, other, equal_var=False, alternative="less")
    assert found.confidence == pytest.approx(1 - expected.pvalue, abs=1e-12)
    assert (found.winner, found.runner_up) == pytest.approx((winner.mean(), other.mean()))


def test_the_confidence_over_epochs_is_uniform_where_nothing_differs() -> None:
    # Costs drift over the epochs, and the operations run unequally often: neither may tell.
    rng = np.random.default_rng(5)
    drift, counts = [5.0, 0.0, -3.0], [(3, 30), (12, 12), (40, 4)]
    seen = []
    for _ in range(1500):
        records = [
            record(t, {}, a=rng.normal(mean, 1, one), b=rng.normal(mean, 2, two))
            for t, (mean, (one, two)) in enumerate(zip(drift, counts, strict=True))
        ]
        gap = cost_gap(records, "0-1", "a", "b", "alpha")
        assert gap is not None and gap.confidence is not None
        seen.append(gap.confidence)
    for share in (0.025, 0.25, 0.5, 0.75, 0.975):
        spread = 3.5 * (share * (1 - share) / len(seen)) ** 0.5
        assert np.mean(np.array(seen) < share) == pytest.approx(share, abs=spread)


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.5, "clear"), (0.02, "tie"), (-0.5, "opposed")]
)
def test_the_verdict_follows_the_cost(difference: float, verdict: str) -> None:
    spread = np.array([-1.0, 1.0] * 20) / 4
    records = [
        record(t, {A: 0.1, B: 0.2 + t / 10}, **{A: spread + difference, B: spread})
        for t in range(4)
    ]
    found = edge_decisions(records)["0-1"]
    assert (found.winner, found.verdict, found.phase) == (B, verdict, "alpha")
    assert found.overall is not None and found.overall.winner == pytest.approx(0.0)
    assert found.overall.runner_up == pytest.approx(difference)
    assert found.cheapest == (B if difference > 0 else A)


def test_what_the_cost_said_in_the_epoch_of_the_decision() -> None:
    spread = np.array([-0.1, 0.1] * 10)
    costs = [(0.0, 1.0, 2.0), (3.0, 1.0, 0.0), (1.0, 0.5, 9.0)]
    alphas = [(0.3, 0.1), (0.1, 0.3), (0.1, 0.4)]
    records = [
        record(t, {A: a, B: b, C: 0.0}, **{A: spread + x, B: spread + y, C: spread + z})
        for t, ((a, b), (x, y, z)) in enumerate(zip(alphas, costs, strict=True))
    ]
    found = edge_decisions(records)["0-1"]
    assert (found.since, found.cheapest) == (1, C)
    assert found.at_decision is not None and found.overall is not None
    assert (found.at_decision.winner, found.at_decision.runner_up) == pytest.approx((1.0, 3.0))
    assert found.overall.winner == pytest.approx(np.mean([1.0, 1.0, 0.5]))
    assert found.overall.runner_up == pytest.approx(np.mean([0.0, 3.0, 1.0]))


def test_a_cost_without_variance_is_told_without_confidence() -> None:
    values = [
        {
            "epoch": t,
            "alpha": {"0-1": {A: 0.1, B: 0.2 + t}},
            "cost": {"weights": {"mean": {"0-1": {A: 1.0, B: t}}}},
        }
        for t in range(2)
    ]
    found = edge_decisions([EpochRecord.from_json(value) for value in values])["0-1"]
    assert (found.verdict, found.phase) == ("unknown", "weights")
    assert found.overall is not None
    assert (found.overall.winner, found.overall.runner_up) == (0.5, 1.0)
    assert found.overall.confidence is None


def test_a_single_step_tells_no_uncertainty() -> None:
    one = np.array([1.0])
    found = cost_gap([record(0, {}, a=one, b=one + 1)], "0-1", "a", "b", "alpha")
    assert found is not None and found.confidence is None


def whole_record() -> dict[str, Any]:
    spread = np.array([-1.0, 1.0] * 5)
    return {
        "epoch": 0,
        "alpha": {"0-1": {A: 0.1, B: 0.2}},
        "z": {"0-1": {A: 0.4, B: 0.6}},
        "cost": {"alpha": moments({A: spread, B: spread - 1})},
    }


@pytest.mark.parametrize(
    "place",
    [
        ["alpha"],
        ["alpha", "0-1"],
        ["alpha", "0-1", A],
        ["z", "0-1"],
        ["z", "0-1", B],
        ["cost"],
        ["cost", "alpha"],
        *(["cost", "alpha", name] for name in ("mean", "variance", "count")),
        *(["cost", "alpha", name, "0-1"] for name in ("mean", "variance", "count")),
        *(["cost", "alpha", name, "0-1", B] for name in ("mean", "variance", "count")),
    ],
    ids="/".join,
)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:30])
def test_a_foreign_part_of_a_record_causes_no_error(place: list[str], value: Any) -> None:
    line = whole_record()
    inside = line
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    records = [EpochRecord.from_json({**part, "epoch": t}) for t, part in enumerate([line] * 2)]
    found = edge_decisions([*records, EpochRecord.from_json({**whole_record(), "epoch": 2})])
    assert (found["0-1"].winner, found["0-1"].since <= 2) == (B, True)
    json.dumps({edge: asdict(one) for edge, one in found.items()}, allow_nan=False)


def test_enormous_numbers_overflow_nowhere() -> None:
    huge: dict[str, Any] = {
        "mean": {"0-1": {A: 9e299, B: -9e299}},
        "variance": {"0-1": {A: 9e299, B: 9e299}},
        "count": {"0-1": {A: 9e299, B: 9e299}},
    }
    values = [
        {"epoch": t, "alpha": {"0-1": {A: 0.1, B: 0.2 + t}}, "cost": {"alpha": huge}}
        for t in range(3)
    ]
    found = edge_decisions([EpochRecord.from_json(value) for value in values])["0-1"]
    assert found.overall is not None
    assert (found.overall.winner, found.overall.runner_up) == pytest.approx((-9e299, 9e299))
    assert (found.overall.confidence, found.verdict) == (1.0, "clear")
