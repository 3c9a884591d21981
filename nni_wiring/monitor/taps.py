"""Taps: tensor hooks on the weights that enter each cell's weighted sum, so that their gradient is
dL/dZ exactly.

Two kinds of supernet are known: our SupernetCell, and any ``DifferentiableMixedLayer`` of NNI's own
strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.local_cost import ran_mask
from nni_wiring.supernet.cell import SupernetCell, Tap
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from search_spaces.cell_graph import NB201, CellGraph
from search_spaces.nni_api import DifferentiableMixedLayer
from search_spaces.wiring_cell import WiringCell, edge_of_label


class Observer(Protocol):
    """The receiver of the costs: ``phase`` is that of the running forward pass, None where it is
    not recorded.
    """

    phase: str | None

    def note_pass(self, phase: str, site: Site, z: torch.Tensor, ran: np.ndarray) -> None:
        """A recorded forward pass of one site; no gradient follows where the loss does not see
        it.
        """

    def note_cost(self, phase: str, site: Site, gradient: torch.Tensor, ran: np.ndarray) -> None:
        """dL/dZ of one site in one backward pass; ran: which entries were run, same shape, bool."""


class Site:
    """One place of a supernet whose Z is tapped: a cell (all edges) or one NNI mixed layer (one
    edge).

    group: the edge group. cell: the number of the cell in the group. edge: the row of Z, or None
    for all rows.
    """

    def __init__(self, group: EdgeGroup, cell: int, edge: int | None) -> None:
        self.group, self.cell, self.edge = group, cell, edge

    def watch(self, z: torch.Tensor, ran: np.ndarray, observer: Observer) -> torch.Tensor:
        """Return z as a tensor of its own, whose gradient, this site's dL/dZ alone, the observer is
        told of.

        Where z needs no gradient itself (alpha frozen) its copy does, so that costs are seen all
        the same.
        """
        phase = observer.phase
        if phase is None or not torch.is_grad_enabled():
            return z
        own = z.view_as(z) if z.requires_grad else z.detach().requires_grad_()
        observer.note_pass(phase, self, z.detach(), ran)
        own.register_hook(lambda gradient: observer.note_cost(phase, self, gradient, ran))
        return own

    def attach(self, observer: Observer) -> None:
        """Start listening. Raises ConfigError where somebody listens already."""
        raise NotImplementedError

    def detach(self) -> None:
        """Stop listening and leave the supernet as it was; another's tap is left alone."""
        raise NotImplementedError


def _check_free(free: bool) -> None:
    if not free:
        raise ConfigError(
            "WiringMonitor: this supernet is watched already; allowed: one monitor a search "
            "(it can have several sinks)"
        )


class CellSite(Site):
    """A SupernetCell."""

    def __init__(self, module: SupernetCell, cell: int) -> None:
        super().__init__(module.group, cell, None)
        self._module = module
        self._tap: Tap | None = None

    def attach(self, observer: Observer) -> None:
        """Use the cell's tap."""
        _check_free(self._module.tap is None)

        def tap(z: torch.Tensor, draw: Draw) -> torch.Tensor:
            return self.watch(z, ran_mask(draw.active, z.shape[-1]), observer)

        self._tap = self._module.tap = tap

    def detach(self) -> None:
        """Free the cell's tap."""
        if self._module.tap is self._tap:
            self._module.tap = None


class _TappedSoftmax(nn.Module):
    """NNI's softmax over one layer's alpha, with its output watched."""

    def __init__(self, softmax: nn.Module, watch: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.softmax, self._watch = softmax, watch

    def forward(self, alpha: torch.Tensor) -> torch.Tensor:
        """alpha (operations,) -> Z (operations,)."""
        return self._watch(self.softmax(alpha))


class LayerSite(Site):
    """A DifferentiableMixedLayer of NNI: the output of its softmax is Z."""

    def __init__(self, module: Any, group: EdgeGroup, cell: int, edge: int) -> None:
        super().__init__(group, cell, edge)
        self._module = module
        self._tapped: _TappedSoftmax | None = None

    def attach(self, observer: Observer) -> None:
        """Put a watching module in the place of the layer's softmax."""
        _check_free(not isinstance(self._module._softmax, _TappedSoftmax))
        ran = np.ones((len(self._module.names),), dtype=bool)
        self._tapped = self._module._softmax = _TappedSoftmax(
            self._module._softmax, lambda z: self.watch(z, ran, observer)
        )

    def detach(self) -> None:
        """Put the layer's own softmax back."""
        if self._tapped is not None and self._module._softmax is self._tapped:
            self._module._softmax = self._tapped.softmax


class LayerGroup(EdgeGroup):
    """The edge group that NNI's mixed layers of one scope amount to; their alphas are read, never
    written.
    """

    def __init__(
        self,
        name: str,
        edges: list[str],
        labels: list[str],
        layers: list[Any],
        graph: CellGraph | None,
    ) -> None:
        super().__init__(name, edges, labels, [list(layer.names) for layer in layers], graph)
        self._layers = tuple(layers)

    def current_alpha(self) -> torch.Tensor:
        """alpha as the layers hold it now, (edges, operations), on the host."""
        with torch.no_grad():
            for edge, layer in enumerate(self._layers):
                self.alpha[edge, list(self.allowed[edge])] = layer._arch_alpha.detach().to(
                    self.alpha.device, self.alpha.dtype
                )
        return super().current_alpha()


def find_sites(model: nn.Module) -> list[Site]:
    """All tappable places of a supernet, in module order; cells of a label count from 0."""
    cells = [module for module in model.modules() if isinstance(module, SupernetCell)]
    seen: dict[str, int] = {}
    sites: list[Site] = []
    for module in cells:
        number = seen.setdefault(module.group.name, 0)
        seen[module.group.name] += 1
        sites.append(CellSite(module, number))
    return sites + _layer_sites(model)


def _layer_sites(model: nn.Module) -> list[Site]:
    layers = [m for m in model.modules() if isinstance(m, DifferentiableMixedLayer)]
    groups = _layer_groups(layers, _cell_graphs(model))
    seen: dict[str, int] = {}
    sites: list[Site] = []
    for layer in layers:
        group = next(group for group in groups if layer.label in group.labels)
        number = seen.setdefault(layer.label, 0)
        seen[layer.label] += 1
        sites.append(LayerSite(layer, group, number, group.labels.index(layer.label)))
    return sites


def _cell_graphs(model: nn.Module) -> dict[str, CellGraph]:
    """The graphs of this project's cells in which NNI put its own mixed layers, by label."""
    found = {}
    for cell in model.modules():
        if isinstance(cell, WiringCell):
            for layer in cell.edges.values():
                label = str(getattr(layer, "label", ""))
                found[label.rpartition("/")[0]] = cell.graph
    return found


def _layer_groups(layers: list[Any], graphs: Mapping[str, CellGraph]) -> list[EdgeGroup]:
    """Edge groups for NNI's layers: those labelled as edges ("cell/0_1") by their scope, any other
    layer alone.
    """
    by_scope: dict[str, dict[str, Any]] = {}
    for layer in layers:
        label = str(layer.label)
        is_edge = edge_of_label(label) != label
        scope = label.rpartition("/")[0] if is_edge else label
        by_scope.setdefault(scope, {}).setdefault(label, layer)
    return [
        _layer_group(scope, members, graphs.get(scope, NB201))
        for scope, members in by_scope.items()
    ]


def _layer_group(scope: str, members: dict[str, Any], graph: CellGraph) -> EdgeGroup:
    def order(label: str) -> tuple[int, int]:
        source, _, target = edge_of_label(label).partition("-")
        return (int(target), int(source)) if target else (0, 0)

    labels = sorted(members, key=order)
    edges = [edge_of_label(label) for label in labels]
    known = graph if tuple(edges) == graph.edge_names else None
    return LayerGroup(scope, edges, labels, [members[label] for label in labels], known)
