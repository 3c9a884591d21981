"""A search of a few steps on random images, in our space or in NNI's hub space, and what every
strategy owes to it.
"""

from __future__ import annotations

import warnings
from typing import Any

import one_shot
import torch
from one_shot import random_batches

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni.nas.hub.pytorch import NasBench201
from nni.nas.nn.pytorch import ModelSpace

from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.search_module import SearchModule

#: Supernet cells in a tiny space: one a stage.
CELLS = 3
#: Steps of an epoch.
STEPS = 3


def tiny_space(kind: str = "ours", operations: Any = None) -> ModelSpace:
    """kind: "ours", or "hub" for NNI's own NAS-Bench-201."""
    if kind == "hub":
        return NasBench201(stem_out_channels=2, num_modules_per_stack=1, num_labels=3)
    return one_shot.tiny_space(channels=2, operations=operations)


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve images and labels of three classes."""
    return random_batches(1, seed=0, images=12)[0]


class TinySearch:
    """``run`` does the search; then: module, monitor (its records), the exported sample."""

    def __init__(self, strategy: WiringStrategy, kind: str = "ours", epochs: int = 1) -> None:
        torch.manual_seed(0)
        self.strategy, self.monitor = strategy, WiringMonitor()
        self.model = strategy.mutate_model(tiny_space(kind))
        train, search = random_batches(STEPS, seed=1), random_batches(STEPS, seed=2)
        given = one_shot.evaluator(train, search, epochs=epochs, callbacks=[self.monitor])
        self.evaluator = strategy.mutate_evaluator(given)
        self.module: SearchModule = self.evaluator.module

    def run(self) -> TinySearch:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.evaluator.evaluate(self.model)
        return self

    def counts(self, phase: str) -> dict[str, dict[str, int]]:
        """How often every operation ran in the last epoch, over all cells: {edge: {op: n}}."""
        return self.monitor.records[-1].cost[phase].count


def check_runs(strategy: WiringStrategy, kind: str) -> TinySearch:
    """Run; alpha moves, the exported cell freezes into a network, and evaluation works."""
    search = TinySearch(strategy, kind)
    before = [group.current_alpha().clone() for group in strategy.groups]
    search.run()
    for group, start in zip(strategy.groups, before, strict=True):
        assert group.alpha.isfinite().all()
        assert not torch.equal(group.current_alpha(), start)
    with torch.no_grad():
        for group in strategy.groups:
            group.draw = strategy.draw(group, "weights", search.module.generator)
        assert search.model(images()[0]).shape == (12, 3)
    sample = search.module.export()
    assert sample == search.module.export()
    network = tiny_space(kind).freeze(sample)
    assert network(images()[0]).shape == (12, 3)
    return search
