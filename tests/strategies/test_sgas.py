"""SGAS: every edge is decided once, by the highest score, and stays decided."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_shot import evaluator, random_batches, search, set_alphas, tiny_space
from scipy import stats

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.parts.edge_decisions import edge_scores
from nni_wiring.strategies.sgas import SGAS


def prepared(**settings: Any) -> SGAS:
    strategy = SGAS(**settings)
    strategy.mutate_model(tiny_space())
    return strategy


def run_epochs(strategy: SGAS, epochs: int) -> list[dict[int, int]]:
    """Decided edges after every epoch; the alphas wander in between."""
    (group,) = strategy.groups
    seen = []
    for epoch in range(epochs):
        strategy.on_epoch_start(epoch, epochs)
        set_alphas(strategy.groups, epoch)
        strategy.parts.after_steps(None, epoch)  # type: ignore[arg-type]
        seen.append(dict(group.decisions.chosen))
    return seen


@pytest.mark.parametrize("criterion", [1, 2])
@pytest.mark.parametrize("epochs", [1, 2, 7, 40, 100])
def test_every_edge_is_decided_once(epochs: int, criterion: int) -> None:
    seen = run_epochs(prepared(criterion=criterion), epochs)
    assert set(seen[-1]) == set(range(6))
    for before, after in zip(seen, seen[1:], strict=False):
        assert before.items() <= after.items()  # never taken back, never changed


def test_the_authors_schedule() -> None:
    """Forty epochs on six edges: after epochs 9, 14, .., 34, one each."""
    counts = [len(decided) for decided in run_epochs(prepared(), 40)]
    assert [e for e in range(1, 40) if counts[e] > counts[e - 1]] == [9, 14, 19, 24, 29, 34]
    assert counts[-1] == 6 and max(b - a for a, b in zip(counts, counts[1:], strict=False)) == 1


def test_scores_against_the_paper_s_formulas() -> None:
    """Importance 1 - p(none), certainty 1 - H / ln 4 by scipy, stability by minima; normalised."""
    strategy = prepared()
    set_alphas(strategy.groups, 11)
    (group,) = strategy.groups
    p = torch.softmax(group.alpha.detach(), -1).numpy()
    importance = 1 - p[:, 0]
    q = p[:, 1:] / importance[:, None]
    certainty = 1 - stats.entropy(q, base=4, axis=1)
    past = torch.softmax(torch.randn(2, 6, 4), -1)
    stability = sum(torch.minimum(torch.tensor(q), h).sum(-1) for h in past).numpy() / 2

    def scaled(v: Any) -> Any:
        return (v - v.min()) / (v.max() - v.min())

    first = edge_scores(group, None)
    assert first.tolist() == pytest.approx(list(scaled(importance) * scaled(certainty)), abs=1e-5)
    history = [torch.nn.functional.pad(h, (1, 0)) for h in past]
    second = edge_scores(group, history)
    expected = scaled(importance) * scaled(certainty) * scaled(stability)
    assert second.tolist() == pytest.approx(list(expected), abs=1e-5)


def test_the_highest_score_is_decided_by_its_largest_operation() -> None:
    strategy = prepared(decision_warmup=0)
    (group,) = strategy.groups
    with torch.no_grad():
        group.alpha.zero_()
        group.alpha[4, 3] = 3.0  # certain, and none is unlikely
        group.alpha[1, 0] = 9.0  # certainly none: not important
    strategy.on_epoch_start(0, 31)  # 5 edges a decision each 5 epochs, 6 more
    strategy.parts.after_steps(None, 0)  # type: ignore[arg-type]
    assert group.decisions.chosen == {4: 3}
    draw = strategy.draw(group, "alpha", torch.Generator())
    assert draw.active[4] == (3,) and draw.z[4].tolist() == [0, 0, 0, 1, 0]
    assert all(draw.active[e] == group.allowed[e] for e in range(6) if e != 4)


def test_a_decided_edge_gets_no_gradient() -> None:
    strategy = prepared()
    (group,) = strategy.groups
    group.decisions.chosen = {2: 1}
    z = strategy.draw(group, "alpha", torch.Generator()).z
    (z * torch.randn(6, 5)).sum().backward()
    assert not group.alpha.grad[2].any() and group.alpha.grad[[0, 1, 3, 4, 5]].any()


def test_none_is_not_chosen_unless_asked_for() -> None:
    for selection, expected in (("magnitude_without_none", 1), ("magnitude", 0)):
        strategy = prepared(selection=selection)
        with torch.no_grad():
            strategy.groups[0].alpha.copy_(torch.tensor([5.0, 4.0, 0, 0, 0]).repeat(6, 1))
        strategy.on_epoch_start(0, 1)
        strategy.parts.after_steps(None, 0)  # type: ignore[arg-type]
        assert set(strategy.groups[0].decisions.chosen.values()) == {expected}


def test_the_exported_cell_is_the_decided_one() -> None:
    strategy = SGAS()
    batches = random_batches(4, 1)
    _, module = search(strategy, tiny_space(), evaluator(batches[:2], batches[2:], epochs=3))
    (group,) = strategy.groups
    decided = group.decisions.chosen
    assert module.export() == {
        label: group.operations[decided[edge]] for edge, label in enumerate(group.labels)
    }


def test_ranking_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="decided during the search"):
        SGAS(selection="supernet_ranking")
