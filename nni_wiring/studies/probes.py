"""Probes on the one loop: costs of a supernet as it stands, and a measurement at epoch ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from nni_wiring.files.atomic import append_line
from nni_wiring.files.json_files import from_json, read_file, to_json
from nni_wiring.monitor.taps import Site, find_sites
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.supernet.restoring import unmoved
from search_spaces.nni_api import pl

_MAX_BYTES = 64 * 2**20


def untouched(module: SearchModule) -> AbstractContextManager[None]:
    """Leave gradients, buffers and draws of the search as they were: a probe only looks."""
    groups = module.strategy.groups
    return unmoved(module.buffers(), gradients=module.parameters(), draws=groups)


class _Collector:
    """Takes down dL/dZ of every cell in one backward pass."""

    def __init__(self) -> None:
        self.phase: str | None = "probe"
        self.found: dict[int, np.ndarray] = {}

    def note_pass(self, phase: str, site: Site, z: torch.Tensor, ran: np.ndarray) -> None:
        # stays where no gradient follows: a cell whose output is dead
        self.found[site.cell] = np.where(ran, 0.0, np.nan)

    def note_cost(self, phase: str, site: Site, gradient: torch.Tensor, ran: np.ndarray) -> None:
        values = gradient.detach().cpu().double().numpy()
        self.found[site.cell] = np.where(ran, values, np.nan)


def cost_samples(module: SearchModule, batches: Iterable[Any], limit: int) -> np.ndarray:
    """dL/dZ of single batches, (batches, cells, edges, operations), NaN where an operation did not
    run.

    Z is drawn by the search's strategy, anew for every batch. No optimiser is asked: weights and
    alpha stay as they are, bit for bit.
    """
    sites = find_sites(module.model)
    collector = _Collector()
    module.train()
    samples = []
    with untouched(module):
        for site in sites:
            site.attach(collector)
        try:
            for index, batch in enumerate(islice(iter(batches), limit)):
                module.loss("weights", batch, index, record=False).backward()
                samples.append(np.stack([collector.found[site.cell] for site in sites]))
        finally:
            for site in sites:
                site.detach()
    return np.stack(samples)


class SampleCosts(NamedTuple):
    """Per image: L and H in nats, the Z-weighted cost of the last cell's output edges (per image,
    not divided by the batch), and whether the image is classified correctly; arrays (images,).
    """

    loss: np.ndarray
    entropy: np.ndarray
    output_cost: np.ndarray
    correct: np.ndarray


def sample_costs(module: SearchModule, batch: tuple[torch.Tensor, torch.Tensor]) -> SampleCosts:
    """Costs of single images: every image gets a Z of its own, of the same values.

    Only for the plain supernet cell, whose weights may be of shape (images, 1, 1, 1).
    """
    images, labels = batch
    cells = [m for m in module.model.modules() if isinstance(m, SupernetCell)]
    last = cells[-1]
    owns: list[torch.Tensor] = []

    def tap(z: torch.Tensor, draw: Draw) -> torch.Tensor:
        own = z.detach()[:, :, None, None, None, None].repeat(1, 1, len(labels), 1, 1, 1)
        owns.append(own.requires_grad_())
        return own

    module.train()
    with untouched(module):
        for group in module.strategy.groups:
            group.draw = module.strategy.draw(group, "weights", module.generator)
        before, last.tap = last.tap, tap  # a search's monitor may be listening
        try:
            logits = module.model(images)
            loss = nn.functional.cross_entropy(logits, labels, reduction="none")
            [gradient] = torch.autograd.grad(loss.sum(), owns, allow_unused=True)
        finally:
            last.tap = before
    z = owns[0].detach()
    gradient = torch.zeros_like(z) if gradient is None else gradient  # a dead output
    outputs = [e for e, (_, target) in enumerate(last.graph.edges) if target in last.graph.outputs]
    cost = (z * gradient).flatten(2).sum(dim=1)[outputs].sum(dim=0)
    log_p = torch.log_softmax(logits.detach(), dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    correct = logits.argmax(dim=-1) == labels
    values = [x.detach().cpu().double().numpy() for x in (loss, entropy, cost)]
    return SampleCosts(values[0], values[1], values[2], correct.cpu().numpy())


class EpochProbe(pl.Callback):
    """Calls ``measure`` at the end of every epoch and keeps the values as lines of ``path``."""

    def __init__(self, path: Path, measure: Callable[[SearchModule, Any], dict[str, Any]]) -> None:
        self.path, self._measure = path, measure

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure; an epoch that is run again after an interruption is written again."""
        assert isinstance(pl_module, SearchModule)
        loaders = getattr(trainer.fit_loop, "_combined_loader").flattened  # noqa: B009
        values = self._measure(pl_module, loaders)
        append_line(self.path, to_json({"epoch": trainer.current_epoch, **values}))

    def read(self) -> list[dict[str, Any]]:
        """The values of every epoch, in order; the last line of an epoch counts."""
        content = read_file(self.path, _MAX_BYTES) or b""
        complete = content.rpartition(b"\n")[0]
        found: dict[int, dict[str, Any]] = {}
        for line in complete.split(b"\n") if complete else []:
            value = cast("dict[str, Any]", from_json(line))
            found[value["epoch"]] = value
        return [found[epoch] for epoch in sorted(found)]
