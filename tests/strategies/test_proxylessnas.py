"""ProxylessNAS on the one loop."""

from __future__ import annotations

import pytest
import torch
from tiny_search import CELLS, STEPS, TinySearch, check_runs, images

from nni_wiring.strategies.proxylessnas import ProxylessNAS


@pytest.mark.parametrize("kind", ["ours", "hub"])
def test_runs(kind: str) -> None:
    search = check_runs(ProxylessNAS(), kind)
    for phase, paths in (("weights", 1), ("alpha", 2)):
        for row in search.counts(phase).values():
            assert sum(row.values()) == paths * STEPS * CELLS


def test_single_level_samples_two_paths_in_the_one_pass() -> None:
    search = TinySearch(ProxylessNAS(optimisation="single_level")).run()
    assert all(sum(row.values()) == 2 * STEPS * CELLS for row in search.counts("weights").values())


def test_an_alpha_step_moves_probability_between_the_two_sampled_paths_only() -> None:
    search = TinySearch(ProxylessNAS(alpha_lr=0.1, alpha_init=1.0))
    strategy = search.strategy
    (group,) = strategy.groups
    optimizer = search.module.configure_architecture_optimizers()
    moved = 0
    for _ in range(4):
        before = strategy.relaxation.probabilities(group).detach()
        optimizer.zero_grad()
        group.draw = strategy.draw(group, "alpha", search.module.generator)
        search.model(images()[0]).square().mean().backward(inputs=strategy.parts.alpha.inputs())
        strategy.parts.alpha.estimate()
        optimizer.step()
        strategy.parts.alpha.after_step()
        after = strategy.relaxation.probabilities(group).detach()
        for edge, pair in enumerate(group.draw.active):
            others = [k for k in group.allowed[edge] if k not in pair]
            torch.testing.assert_close(after[edge, others], before[edge, others])
            moved += int(not torch.allclose(after[edge, list(pair)], before[edge, list(pair)]))
    assert moved > 4


def test_export_is_the_argmax_of_alpha() -> None:
    search = TinySearch(ProxylessNAS()).run()
    (group,) = search.strategy.groups
    best = [group.operations[k] for k in group.alpha.argmax(-1).tolist()]
    for _ in range(3):
        assert list(search.module.export().values()) == best
