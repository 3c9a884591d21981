"""The supernet's accuracy under several Z at once: one pass over the data, equal work done once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.evaluation import ZByGroup, evaluation_mode, fixed_draw
from nni_wiring.supernet.remembering import common_work_once, function_rows
from nni_wiring.supernet.restoring import unmoved


def supernet_accuracies(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    variants: Sequence[ZByGroup],
) -> tuple[list[int], int]:
    """Correctly classified images under each variant of Z, and the number of images.

    Counts, so that ties are exact. Batch norm normalises by the batch. Variants whose functions are
    equal (they differ in the weight of ``none`` only) run once, and so does on each batch what
    several of them share (``common_work_once``).
    """
    groups = [module for module in model.modules() if isinstance(module, EdgeGroup)]
    rows = [{group.name: function_rows(group, z[group.name]) for group in groups} for z in variants]
    unique: dict[tuple[tuple[bytes, ...], ...], int] = {}
    places = [unique.setdefault(tuple(found.values()), len(unique)) for found in rows]
    first = [places.index(place) for place in unique.values()]
    device = next(model.parameters()).device
    correct = torch.zeros(len(unique), dtype=torch.long, device=device)
    images = 0
    run = [rows[variant] for variant in first]
    with unmoved(draws=groups), evaluation_mode(model), common_work_once(model, run) as common:
        for x, y in batches:
            x, y = x.to(device), y.to(device)
            common.start(x)
            for place, variant in enumerate(first):
                common.rows = rows[variant]
                for group in groups:
                    group.draw = fixed_draw(group, variants[variant][group.name])
                correct[place] += (model(x).argmax(dim=-1) == y).sum()
            images += len(y)
    counts = correct.tolist()
    return [counts[place] for place in places], images
