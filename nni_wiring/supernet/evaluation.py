"""The supernet's accuracy under a given Z: what rankings, perturbation and rewards are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.edge_weights import edge_weights
from nni_wiring.supernet.restoring import unmoved

#: Z by edge group name, each of shape (edges, operations).
ZByGroup = Mapping[str, torch.Tensor]


def one_hot(group: EdgeGroup, operations: Sequence[int]) -> torch.Tensor:
    """The Z of one cell, (edges, operations): 1 at ``operations`` (a column of alpha an edge)."""
    z = torch.zeros(group.mask.shape)
    z[torch.arange(len(operations)), torch.tensor(operations)] = 1.0
    return z


def fixed_draw(group: EdgeGroup, z: torch.Tensor) -> Draw:
    """A draw of a given Z, with the group's edge weights where it has learnt any; only the
    operations that Z weights run.
    """
    active = tuple(tuple(row.nonzero().flatten().tolist()) for row in z.detach().cpu())
    weights = edge_weights(group)
    weights = None if weights is None else weights.detach()
    return Draw(z.detach().to(group.alpha), active, weights)


@contextmanager
def evaluation_mode(model: nn.Module, *, batch_statistics: bool = True) -> Iterator[None]:
    """Evaluation without gradients; every module's mode is put back at the end.

    Args:
        batch_statistics: batch norm normalises by the batch (a supernet's running statistics mix
            all cells), and its running statistics stay as they are; otherwise it uses the latter.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    with unmoved(modes=model.modules()):
        model.eval()
        for norm in norms if batch_statistics else ():
            # torch: a training norm that does not track takes the batch's, and keeps nothing
            norm.training, norm.track_running_stats = True, False
        with torch.no_grad():
            yield


def supernet_accuracy(
    model: nn.Module,
    batches: Iterable[Any],
    z_by_group: ZByGroup,
    *,
    batch_statistics: bool = True,
) -> float:
    """Accuracy of the supernet under the given Z, in percent of all images of ``batches``.

    model: a supernet (``strategy.mutate_model``). batches: (images, labels), on any device.
    z_by_group: any weights, also rows that do not sum to 1; operations of weight zero do not run.
    Runs under no_grad and leaves modes, batch norm statistics and the groups' draws as they were.
    """
    return 100.0 * float(
        supernet_share(model, batches, z_by_group, batch_statistics=batch_statistics)
    )


def supernet_share(
    model: nn.Module,
    batches: Iterable[Any],
    z_by_group: ZByGroup,
    *,
    batch_statistics: bool = True,
) -> torch.Tensor:
    """As ``supernet_accuracy``, 0 .. 1, a float64 scalar on the model's device: the host does not
    wait for it.
    """
    groups = [module for module in model.modules() if isinstance(module, EdgeGroup)]
    device = next(model.parameters()).device
    correct, images = torch.zeros((), dtype=torch.long, device=device), 0
    with unmoved(draws=groups), evaluation_mode(model, batch_statistics=batch_statistics):
        for group in groups:
            group.draw = fixed_draw(group, z_by_group[group.name])
        for x, y in batches:
            predicted = model(x.to(device)).argmax(dim=-1)
            correct += (predicted == y.to(device)).sum()
            images += len(y)
    return correct.double() / max(images, 1)
