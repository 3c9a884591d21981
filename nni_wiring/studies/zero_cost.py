"""Zero-cost proxies: scores of an untrained network. Computed here for comparison, as published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nni_wiring.supernet.evaluation import evaluation_mode
from nni_wiring.supernet.restoring import unmoved


def naswot(network: nn.Module, images: Tensor) -> float:
    """log |det K|, K[i, j] the number of ReLUs in the same state for images i and j (Mellor et al.,
    Neural Architecture Search without Training, ICML 2021, equation 2).

    Batch norm takes the batch's statistics. -inf where two images have the same states throughout.

    Args:
        network: any; only the ReLUs that run count. It is left as it was.
        images: (n, channels, height, width).
    """
    kernel = np.zeros((len(images), len(images)))

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal kernel
        on = (output.detach() > 0).flatten(1).to(torch.float64)
        kernel = kernel + (on @ on.T + (1 - on) @ (1 - on).T).cpu().numpy()

    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.ReLU)]
    try:
        with evaluation_mode(network):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return float(np.linalg.slogdet(kernel)[1])


def synflow(network: nn.Module, parameters: list[nn.Parameter], image: Tensor) -> float:
    """Sum of theta dR/dtheta, R the sum of the outputs for an image of ones where every weight is
    its absolute value and batch norm does nothing (Tanaka et al., Pruning neural networks without
    any data, NeurIPS 2020, equation 2; without batch norm as in Abdelfattah et al., ICLR 2021).

    Args:
        network: any; it is left as it was, but for gradients of ``parameters``, which are lost.
        parameters: the weights theta.
        image: (channels, height, width); of its dtype the sum is computed.
    """
    signs = [parameter.detach().sign() for parameter in parameters]
    with unmoved(modes=network.modules()), without_norms(network), torch.enable_grad():
        network.eval()
        try:
            _multiply(parameters, signs)
            flow = network(torch.ones_like(image)[None]).sum()
            found = torch.autograd.grad(flow, parameters, allow_unused=True)
            terms = [
                (gradient * parameter.detach()).sum()
                for gradient, parameter in zip(found, parameters, strict=True)
                if gradient is not None
            ]
        finally:
            _multiply(parameters, signs)
    return float(torch.stack(terms).sum()) if terms else 0.0


@contextmanager
def without_norms(network: nn.Module) -> Iterator[None]:
    """Batch norms hand on what they get while this is open."""

    def skip(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Any:
        return inputs[0]

    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    handles = [norm.register_forward_hook(skip) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _multiply(parameters: list[nn.Parameter], signs: list[Tensor]) -> None:
    """By 1 or -1 (0 stays 0), so that twice gives back every bit."""
    for parameter, sign in zip(parameters, signs, strict=True):
        parameter.mul_(sign)
