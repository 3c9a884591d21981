"""Probes on the one loop: costs of a supernet as it stands, and a measurement at epoch ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from nni_wiring.errors import RunError
from nni_wiring.monitor.epoch import Epoch, edge_keys
from nni_wiring.monitor.statistics import Statistic
from nni_wiring.monitor.taps import Site, find_sites
from nni_wiring.runs.store import RunFolder
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.restoring import unmoved


def untouched(module: SearchModule) -> AbstractContextManager[None]:
    """Leave gradients, buffers, draws and their source as they were: a probe only looks."""
    return unmoved(
        module.buffers(),
        gradients=module.parameters(),
        draws=module.strategy.groups,
        generators=[module.generator],
    )


@contextmanager
def in_float64(module: SearchModule) -> Iterator[None]:
    """Weights, alphas and buffers in float64 while open; float32 comes back bit for bit."""
    module.double()
    try:
        yield
    finally:
        module.float()


class _Collector:
    """Takes down dL/dZ of every cell in one backward pass."""

    def __init__(self) -> None:
        self.phase: str | None = "probe"
        self.found: dict[tuple[str, int], np.ndarray] = {}

    def note_pass(self, phase: str, site: Site, z: torch.Tensor, ran: np.ndarray) -> None:
        # stays where no gradient follows: a cell whose output is dead
        self.found[site.group.name, site.cell] = np.where(ran, 0.0, np.nan)

    def note_cost(self, phase: str, site: Site, gradient: torch.Tensor, ran: np.ndarray) -> None:
        values = gradient.detach().cpu().double().numpy()
        self.found[site.group.name, site.cell] = np.where(ran, values, np.nan)


def edge_labels(groups: Sequence[EdgeGroup]) -> list[str]:
    """The edges of all groups in order, ``kind/edge`` where there are several kinds of cells."""
    alone = len(groups) == 1
    return [key for group in groups for key in edge_keys(group, alone)]


def cost_samples(module: SearchModule, batches: Iterable[Any], limit: int) -> dict[str, np.ndarray]:
    """dL/dZ of single batches by edge group, each (batches, cells, edges, operations), NaN where an
    operation did not run.

    Z is drawn by the search's strategy, anew for every batch. No optimiser is asked: weights and
    alpha stay as they are, bit for bit.
    """
    sites = find_sites(module.model)
    collector = _Collector()
    module.train()
    samples: dict[str, list[np.ndarray]] = {site.group.name: [] for site in sites}
    with untouched(module):
        for site in sites:
            site.attach(collector)
        try:
            for index, batch in enumerate(islice(iter(batches), limit)):
                module.loss("weights", batch, index, record=False).backward()
                for name, taken in samples.items():
                    cells = [site.cell for site in sites if site.group.name == name]
                    taken.append(np.stack([collector.found[name, cell] for cell in cells]))
        finally:
            for site in sites:
                site.detach()
    return {name: np.stack(taken) for name, taken in samples.items()}


class SampleCosts(NamedTuple):
    """Per image: L and H in nats, the cost of the last cell's output, and whether the image is
    classified correctly; arrays (images,).
    """

    loss: np.ndarray
    entropy: np.ndarray
    output_cost: np.ndarray
    correct: np.ndarray


def sample_costs(module: SearchModule, batch: tuple[torch.Tensor, torch.Tensor]) -> SampleCosts:
    """Costs of single images: <dL/dy, y>, y the last cell's output, L the image's own loss.

    Where no output node feeds another one (NAS-Bench-201) this is the sum of the Z-weighted costs
    of the edges into the output node. S1's concatenated cells have an output node that feeds the
    next, whose own edge would be counted twice by that sum: y itself is taken (theory page, fact
    1). Exact image by image where nothing behind the last cell mixes images (head ``bias_free``).
    """
    images, labels = batch
    images = images.to(next(module.model.parameters()).dtype)
    last = [m for m in module.model.modules() if isinstance(m, SupernetCell)][-1]
    outputs: list[torch.Tensor] = []

    def take(cell: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        outputs.append(output.detach().requires_grad_())
        return outputs[0]

    module.train()
    with untouched(module):
        for group in module.strategy.groups:
            group.draw = module.strategy.draw(group, "weights", module.generator)
        handle = last.register_forward_hook(take)
        try:
            logits = module.model(images)
        finally:
            handle.remove()
        loss = nn.functional.cross_entropy(logits, labels, reduction="none")
        [gradient] = torch.autograd.grad(loss.sum(), outputs)
    cost = (gradient * outputs[0].detach()).flatten(1).sum(dim=1)
    log_p = torch.log_softmax(logits.detach(), dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    correct = logits.argmax(dim=-1) == labels
    values = [x.detach().cpu().double().numpy() for x in (loss, entropy, cost)]
    return SampleCosts(values[0], values[1], values[2], correct.cpu().numpy())


class EpochProbe(Statistic):
    """A measurement of the supernet as it stands at the end of every epoch.

    measure: called with the search module and the trainer's loaders; a JSON object.
    """

    def __init__(
        self, name: str, measure: Callable[[SearchModule, Sequence[Any]], dict[str, Any]]
    ) -> None:
        # a probe is named where it is made, other statistics where they are written
        self.name = name  # type: ignore[misc]
        self._measure = measure

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """Measure."""
        assert isinstance(epoch.module, SearchModule)
        return self._measure(epoch.module, epoch.loaders)

    def values(self, folder: RunFolder) -> list[dict[str, Any]]:
        """Its values in a run, per epoch, which they name; RunError for a run without them."""
        records = folder.records()
        if any(self.name not in record.statistics for record in records):
            raise RunError(
                f"run {folder.run_id}: its records lack {self.name}; choose another --out"
            )
        return [{"epoch": record.epoch, **record.statistics[self.name]} for record in records]
