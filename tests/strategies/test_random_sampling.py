"""Random sampling: uniform over operations; the best of the sampled cells is selected."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from one_shot import evaluator, random_batches, search, tiny_space
from scipy import stats

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.random_sampling import RandomSampling


@pytest.mark.parametrize("operations", [None, {"0-1": ["skip_connect", "nor_conv_3x3"]}])
def test_draws_are_uniform(operations: dict[str, list[str]] | None) -> None:
    """Chi-square for every edge, and for pairs of edges (they are drawn independently)."""
    strategy = RandomSampling()
    strategy.mutate_model(tiny_space(operations=operations))
    (group,) = strategy.groups
    generator = torch.Generator().manual_seed(0)
    cells = []
    for _ in range(2000):
        draw = strategy.draw(group, "weights", generator)
        assert all(len(active) == 1 for active in draw.active)
        assert torch.equal(draw.z.sum(-1), torch.ones(6))
        cells.append([active[0] for active in draw.active])
    for edge, allowed in enumerate(group.allowed):
        counts = Counter(cell[edge] for cell in cells)
        assert set(counts) == set(allowed)
        assert stats.chisquare([counts[k] for k in allowed]).pvalue > 1e-3
    pairs = Counter((cell[1], cell[2]) for cell in cells)
    assert stats.chisquare([pairs[a, b] for a in range(5) for b in range(5)]).pvalue > 1e-3


class Known(RandomSampling):
    """Random sampling."""

    name = "known"


def test_the_best_sampled_cell_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a known accuracy in the supernet's place: the best of the n cells that were drawn."""
    asked: list[tuple[int, ...]] = []

    def accuracy(model: Any, batches: Any, z: dict[str, torch.Tensor], **options: Any) -> float:
        cell = tuple(z["cell"].argmax(-1).tolist())
        asked.append(cell)
        return float(sum(cell))

    for module in ("selection.supernet_ranking", "strategies.random_sampling"):
        monkeypatch.setattr(f"nni_wiring.{module}.supernet_accuracy", accuracy)
    settings = {"selection_settings": {"samples": 50}, "epoch_samples": 4}
    strategy = Known(**settings)
    batches = random_batches(2, 0)
    _, module = search(strategy, tiny_space(), evaluator(batches[:1], batches[1:]))
    (group,) = strategy.groups
    of_epoch, at_end = asked[:4], asked[4:]
    assert strategy.select(group) == list(max(of_epoch, key=sum))
    assert strategy.chosen(group) == list(max(at_end, key=sum))
    assert len(set(at_end)) == len(at_end) == len(strategy.selected.details["cells"])
    assert module.export()["cell/0_1"] == group.operations[max(at_end, key=sum)[0]]


def test_alpha_stays() -> None:
    strategy = RandomSampling(selection_settings={"samples": 1}, epoch_samples=1)
    batches = random_batches(2, 0)
    space = tiny_space()
    search(strategy, space, evaluator(batches[:1], batches[1:]))
    assert strategy.groups[0].alpha.grad is None


@pytest.mark.parametrize("name", ["magnitude", "magnitude_without_none"])
def test_magnitude_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match="no magnitude"):
        RandomSampling(selection=name)
