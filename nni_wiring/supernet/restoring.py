"""Work that leaves a supernet as it was: virtual steps, trial runs, probes, evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from nni_wiring.supernet.edge_group import EdgeGroup

#: How a module runs; the second is batch norm's own.
_MODES = ("training", "track_running_stats")


@contextmanager
def unmoved(
    tensors: Iterable[torch.Tensor] = (),
    *,
    gradients: Iterable[nn.Parameter] = (),
    draws: Iterable[EdgeGroup] = (),
    modes: Iterable[nn.Module] = (),
    generators: Iterable[torch.Generator] = (),
) -> Iterator[None]:
    """Put back, however the block ends, what it may change.

    Args:
        tensors: their values (weights, batch norm statistics), in place.
        gradients: parameters that have none in the block, and then the one that they had.
        draws: groups whose Z of the latest forward pass is handed back.
        modes: modules that go back to training or evaluation, and batch norms to keeping running
            statistics or not.
        generators: random sources that go back to where they were.
    """
    values = [(tensor, tensor.detach().clone()) for tensor in tensors]
    kept_gradients = [(parameter, parameter.grad) for parameter in gradients]
    for parameter, _ in kept_gradients:
        parameter.grad = None  # a backward pass would add to the tensor itself
    kept_draws = [(group, group.draw) for group in draws]
    kept_modes = [
        (module, name, getattr(module, name))
        for module in modes
        for name in _MODES
        if hasattr(module, name)
    ]
    kept_states = [(generator, generator.get_state()) for generator in generators]
    try:
        yield
    finally:
        for generator, state in kept_states:
            generator.set_state(state)
        with torch.no_grad():
            for tensor, value in values:
                tensor.copy_(value)
        for parameter, gradient in kept_gradients:
            parameter.grad = gradient
        for group, draw in kept_draws:
            group.draw = draw
        for module, name, mode in kept_modes:
            setattr(module, name, mode)
