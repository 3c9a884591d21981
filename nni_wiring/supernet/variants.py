"""The supernet's accuracy under several Z at once: one pass over the data, equal work done once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from nni_wiring.supernet.cell import SupernetCell, is_zero
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.evaluation import ZByGroup, evaluation_mode, fixed_draw
from nni_wiring.supernet.restoring import unmoved
from search_spaces.operations import Noise


def supernet_accuracies(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    variants: Sequence[ZByGroup],
) -> tuple[list[int], int]:
    """Correctly classified images under each variant of Z, and the number of images.

    Counts, so that ties are exact. Batch norm normalises by the batch. Variants whose functions are
    equal (they differ in the weight of ``none`` only) run once; on a batch the operations of the
    first cell, whose input is the same for all, run once.
    """
    groups = [module for module in model.modules() if isinstance(module, EdgeGroup)]
    unique: dict[tuple[bytes, ...], int] = {}
    places = [unique.setdefault(_function_key(groups, z), len(unique)) for z in variants]
    first = {place: variants[places.index(place)] for place in unique.values()}
    device = next(model.parameters()).device
    correct = torch.zeros(len(unique), dtype=torch.long, device=device)
    images = 0
    with unmoved(draws=groups), evaluation_mode(model), _first_cell_shared(model) as forget:
        for x, y in batches:
            x, y = x.to(device), y.to(device)
            for place, z in first.items():
                for group in groups:
                    group.draw = fixed_draw(group, z[group.name])
                correct[place] += (model(x).argmax(dim=-1) == y).sum()
            forget()
            images += len(y)
    counts = correct.tolist()
    return [counts[place] for place in places], images


def _function_key(groups: Sequence[EdgeGroup], z: ZByGroup) -> tuple[bytes, ...]:
    """Equal for variants that compute the same function: the weight of ``none`` does not count."""
    parts = []
    for group in groups:
        values = z[group.name].detach().cpu().clone()
        if "none" in group.operations:
            values[:, group.operations.index("none")] = 0
        parts.append(values.numpy().tobytes())
    return tuple(parts)


class _Remembered:
    """An operation that answers the same input tensor with the output of the first time."""

    def __init__(self, operation: nn.Module) -> None:
        self.operation = operation
        self._seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if id(x) not in self._seen:
            self._seen[id(x)] = x, self.operation(x)  # x is kept, so that its id stays its own
        return self._seen[id(x)][1]

    def forget(self) -> None:
        self._seen.clear()


@contextmanager
def _first_cell_shared(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Let the first plain cell reuse its input and what its operations made of it, until the
    yielded function is called. Other implementations of the cell are left as they are.
    """
    cell = next((m for m in model.modules() if isinstance(m, SupernetCell)), None)
    if cell is None or type(cell) is not SupernetCell:
        yield lambda: None
        return
    inputs: list[tuple[torch.Tensor, ...]] = []
    operations: dict[tuple[int, int], _Remembered] = {}
    original = cell.operation

    def operation(edge: int, k: int) -> nn.Module:
        module = original(edge, k)
        if is_zero(module) or isinstance(module, Noise):
            return module
        remembered = operations.setdefault((edge, k), _Remembered(module))
        return cast(nn.Module, remembered)

    def same_inputs(module: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if not inputs:
            inputs.append(given)
        return inputs[0]

    def forget() -> None:
        inputs.clear()
        for remembered in operations.values():
            remembered.forget()

    handle = cell.register_forward_pre_hook(same_inputs)
    cell.operation = operation  # type: ignore[assignment,method-assign]
    try:
        yield forget
    finally:
        handle.remove()
        del cell.operation
