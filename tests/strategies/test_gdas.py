"""GDAS on the one loop."""

from __future__ import annotations

import pytest
import torch
from tiny_search import CELLS, STEPS, TinySearch, check_runs, images

from nni_wiring.strategies.gdas import GDAS
from nni_wiring.supernet.cell import SupernetCell


@pytest.mark.parametrize("kind", ["ours", "hub"])
def test_runs(kind: str) -> None:
    search = check_runs(GDAS(), kind)
    for phase in ("weights", "alpha"):
        for row in search.counts(phase).values():
            # one draw per step for all cells: an operation runs in all of them or in none
            assert sum(row.values()) == STEPS * CELLS
            assert all(count % CELLS == 0 for count in row.values())


def test_single_level() -> None:
    search = TinySearch(GDAS(optimisation="single_level")).run()
    assert set(search.monitor.records[-1].cost) == {"weights"}


def test_weights_of_other_operations_get_no_gradient() -> None:
    search = TinySearch(GDAS())
    (group,) = search.strategy.groups
    group.draw = search.strategy.draw(group, "weights", search.module.generator)
    search.model(images()[0]).square().mean().backward()
    cells = [m for m in search.model.modules() if isinstance(m, SupernetCell)]
    assert len(cells) == CELLS
    for cell in cells:
        for edge, active in enumerate(group.draw.active):
            for k in set(group.allowed[edge]) - set(active):
                gradients = [p.grad for p in cell.operation(edge, k).parameters()]
                assert all(gradient is None for gradient in gradients)
    assert torch.isfinite(group.alpha.grad).all()
