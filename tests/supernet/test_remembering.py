"""Several Z in one pass, what they share computed once, against one Z after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from one_shot import Task, tiny_space
from torch import nn

from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.pc_darts import PCDarts
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.evaluation import supernet_accuracy
from nni_wiring.supernet.fused.cell import FusedCell, compile_cells
from nni_wiring.supernet.variants import supernet_accuracies

Variants = list[dict[str, torch.Tensor]]


def supernet(space: str, strategy: Any, cells: int) -> Any:
    torch.manual_seed(4)
    model = strategy.mutate_model(tiny_space(name=space, cells=cells))
    module = strategy.configure_oneshot_module(Task())
    module.set_model(model)
    return module.double()


def masks(
    module: Any, group: int, edges: tuple[int, ...], *, whole_edges: bool = False
) -> Variants:
    """Z as it is, then with every operation of some edges of a group masked, or whole edges."""
    groups = list(module.strategy.groups)
    whole = {g.name: torch.softmax(g.logits().detach(), dim=-1) for g in groups}
    name, found = groups[group].name, [whole]
    for edge in edges:
        for k in [slice(None)] if whole_edges else groups[group].allowed[edge]:
            masked = whole[name].clone()
            masked[edge, k] = 0
            found.append({**whole, name: masked})
    return found


@contextmanager
def model_outputs(model: nn.Module, found: list[torch.Tensor]) -> Iterator[None]:
    """Collect what forward passes of the block give."""
    with model.register_forward_hook(lambda module, given, output: found.append(output.clone())):
        yield


def agree(module: Any, variants: Variants, batches: int = 1) -> None:
    """Each forward pass gives the numbers that it gives when it runs alone."""
    generator = torch.Generator().manual_seed(6)
    data = [
        (torch.randn(6, 3, 8, 8, generator=generator).double(), torch.zeros(6, dtype=torch.long))
        for _ in range(batches)
    ]
    alone: list[torch.Tensor] = []
    torch.manual_seed(7)
    for batch in data:
        for z in variants:
            with model_outputs(module.model, alone):
                supernet_accuracy(module.model, [batch], z)
    together: list[torch.Tensor] = []
    torch.manual_seed(7)
    with model_outputs(module.model, together):
        supernet_accuracies(module.model, data, variants)
    assert len(together) == len(alone)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
    assert not any(
        name in vars(part)
        for part in module.model.modules()
        for name in ("forward", "unified", "node_state", "edge_output")
    )


def without_none(variants: Variants, module: Any) -> Variants:
    """Less those that repeat the function of another: they mask ``none``."""
    [group] = module.strategy.groups
    none = group.operations.index("none")
    found = [z for z in variants[1:] if bool((z[group.name][:, none] != 0).all())]
    return [variants[0], *found]


@pytest.mark.parametrize(
    ("kind", "edges"),
    [("plain", (0, 3)), ("fused", (0,)), ("fused", (2,)), ("fused", (0, 3, 5)), ("native", (0, 3))],
)
def test_masked_operations_of_nasbench201(kind: str, edges: tuple[int, ...]) -> None:
    way: Any = "plain" if kind == "plain" else "fused"
    module = supernet("nasbench201", DARTS(alpha_init=0.5, supernet=way), 1)
    if kind == "native":
        compile_cells(module.model)
    agree(module, without_none(masks(module, 0, edges), module), batches=2)


def test_masked_edges_of_nasbench201() -> None:
    module = supernet("nasbench201", DARTS(alpha_init=0.5, supernet="fused"), 1)
    agree(module, masks(module, 0, tuple(range(6)), whole_edges=True))


def test_z_that_has_nothing_in_common() -> None:
    module = supernet("nasbench201", DARTS(supernet="fused"), 1)
    [group] = module.strategy.groups
    draws = torch.rand(3, 6, 5, dtype=torch.float64)
    agree(module, [{group.name: z} for z in draws])


@pytest.mark.parametrize("group", [0, 1], ids=["normal", "reduce"])
@pytest.mark.parametrize("strategy", [DARTS, PCDarts])
def test_masked_operations_of_darts_cells(group: int, strategy: Any) -> None:
    module = supernet("darts", strategy(alpha_init=0.5), 3)
    variants = masks(module, group, (0,))[:4] + masks(module, group, (8,))[1:3]
    [none] = {g.operations.index("none") for g in module.strategy.groups}
    name = module.strategy.groups[group].name
    agree(module, [z for z in variants if bool((z[name][:, none] != 0).all())])


def calls_of(part: nn.Module) -> list[int]:
    calls: list[int] = []
    part.register_forward_hook(lambda module, given, output: calls.append(1))
    return calls


def test_what_masks_of_one_edge_share_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = supernet("nasbench201", DARTS(alpha_init=0.5, supernet="fused"), 1)
    calls: list[int] = []
    original = FusedCell.terms

    def counted(cell: FusedCell, terms: Any, x: torch.Tensor) -> list[torch.Tensor]:
        calls.append(len(terms))
        return original(cell, terms, x)

    monkeypatch.setattr(FusedCell, "terms", counted)
    stem = calls_of(next(m for m in module.model.modules() if isinstance(m, nn.Conv2d)))
    data = [(torch.randn(4, 3, 8, 8).double(), torch.zeros(4, dtype=torch.long))] * 2
    supernet_accuracies(module.model, data, masks(module, 0, (3,)))  # edge 0-3
    # 0-1, 0-2 and four operations of 0-3; 1-2 and 1-3; 2-3; nothing more for four other masks
    assert calls == [6, 2, 1] * 2
    assert sum(stem) == 2


def test_cells_before_the_first_that_differs_run_once() -> None:
    module = supernet("darts", DARTS(alpha_init=0.5), 3)
    first, second, _ = [m for m in module.model.modules() if isinstance(m, SupernetCell)]
    convolution = next(m for m in first.edges.modules() if isinstance(m, nn.Conv2d))
    later = next(m for m in list(second.edges.values())[-1].modules() if isinstance(m, nn.Conv2d))
    calls, theirs = calls_of(convolution), calls_of(later)
    data = [(torch.randn(4, 3, 8, 8).double(), torch.zeros(4, dtype=torch.long))]
    supernet_accuracies(module.model, data, masks(module, 1, (0,)))
    assert sum(calls) == 1
    assert sum(theirs) > 1


class _InPlace(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Doubles what it is given, in place."""
        return x.mul_(2)


class _Around(nn.Module):
    """A cell whose input is read, then changed in place."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.before, self.change, self.cell = nn.BatchNorm2d(4).double(), _InPlace(), cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """cell(2 y) + y / 3, y the normalised input."""
        y = self.before(x)
        third = y / 3
        return self.cell(self.change(y)) + third


def test_a_module_that_changes_its_input_does_so_each_time() -> None:
    module = supernet("nasbench201", DARTS(alpha_init=0.5, supernet="fused"), 1)
    module.model.layers[0] = _Around(module.model.layers[0])
    agree(module, without_none(masks(module, 0, (1,)), module))


@pytest.mark.parametrize("way", ["plain", "auto"])
@pytest.mark.parametrize(
    ("space", "cells", "group"), [("nasbench201_s4", 1, 0), ("darts_s4", 3, 1)]
)
def test_noise_is_drawn_for_each_variant(way: Any, space: str, cells: int, group: int) -> None:
    """The same numbers in the same order as when the variants run alone."""
    module = supernet(space, DARTS(alpha_init=0.5, supernet=way), cells)
    agree(module, masks(module, group, (2, 4)))
