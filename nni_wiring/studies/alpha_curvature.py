"""The largest eigenvalue of the loss's Hessian in alpha, by epochs (Zela et al., 1909.09656)."""

from __future__ import annotations

from typing import Any

import torch

from nni_wiring.monitor.epoch import Epoch
from nni_wiring.monitor.statistics import Statistic
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.studies.curvature import hessian, largest_eigenvalue
from nni_wiring.studies.probes import untouched
from nni_wiring.supernet.fused.cell import plain_cells

_PRODUCTS = 20


class AlphaEigenvalue(Statistic):
    """The eigenvalue on one batch of the data that alpha is trained on, at the end of an epoch.

    For methods whose Z is twice differentiable in alpha (a softmax; not DrNAS' Dirichlet sample).
    """

    name = "alpha_eigenvalue"

    def read(self, epoch: Epoch) -> float:
        """Measure; the search goes on as if nothing had been measured."""
        assert isinstance(epoch.module, SearchModule)
        return alpha_eigenvalue(epoch.module, next(iter(epoch.loaders[-1])))


def alpha_eigenvalue(module: SearchModule, batch: Any, products: int = _PRODUCTS) -> float:
    """The largest eigenvalue of the Hessian in alpha of the loss by which alpha is trained.

    Args:
        module: the search; Z is drawn as in its next step of alpha.
        batch: images and labels.
        products: of the Hessian with a vector, at most.
    """
    alphas = [group.alpha for group in module.groups]
    size = sum(alpha.numel() for alpha in alphas)
    start = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(alphas[0])
    module.train()
    with untouched(module), plain_cells(module.model):
        product = hessian(module.loss("alpha", batch, 0, record=False), alphas)
        return largest_eigenvalue(product, start, products).value
