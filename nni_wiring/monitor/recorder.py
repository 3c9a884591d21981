"""StepRecorder: what the hooks collect during an epoch, on the device, without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nni_wiring.monitor.local_cost import LocalCost, RunningCost
from nni_wiring.monitor.phase_statistics import PhaseStatistics, RunningPhase
from nni_wiring.monitor.taps import Site
from nni_wiring.supernet.edge_group import EdgeGroup

Pending = dict[tuple[int, int | None], tuple[torch.Tensor, np.ndarray]]
Passes = dict[str, Pending]

#: (phase, logits, labels) of a forward pass.
Outputs = tuple[str, torch.Tensor, torch.Tensor]


class GroupCosts:
    """The costs of one edge group: gradients of this step by (cell, edge row), running sums by
    phase.
    """

    def __init__(self, group: EdgeGroup, sites: Sequence[Site]) -> None:
        self.group = group
        self._places = sorted(
            ((site.cell, site.edge) for site in sites), key=lambda p: (p[0], p[1] or 0)
        )
        self._by_layer = any(edge is not None for _, edge in self._places)
        self._passed: Passes = {}
        self._pending: Passes = {}
        self._running: dict[str, RunningCost] = {}

    def note_pass(self, phase: str, site: Site, z: torch.Tensor, ran: np.ndarray) -> None:
        """Keep that a site was run forward; its cost is zero unless a gradient follows."""
        self._passed.setdefault(phase, {})[site.cell, site.edge] = (z, ran)

    def note(self, phase: str, site: Site, gradient: torch.Tensor, ran: np.ndarray) -> None:
        """Keep a site's dL/dZ until the step is over."""
        self._pending.setdefault(phase, {})[site.cell, site.edge] = (gradient, ran)

    def flush(self) -> None:
        """Count the step: one stack and two additions a phase.

        A site that no gradient came back to was cut off from the loss (a sampled cell without a
        live path): what ran there cost nothing, and counts as such.
        """
        for phase, passed in self._passed.items():
            if len(passed) == len(self._places):
                found = self._pending.get(phase, {})
                for place in passed.keys() - found.keys():
                    z, ran = passed[place]
                    found[place] = (torch.zeros_like(z), ran)
                gradients, ran = self._assemble(found)
                self._running.setdefault(phase, RunningCost()).add(gradients, ran)
        self._passed, self._pending = {}, {}

    def take_notes(self) -> tuple[Passes, Passes]:
        """The sites that this step ran and the gradients that came back so far; forgets them."""
        notes = self._passed, self._pending
        self._passed, self._pending = {}, {}
        return notes

    def put_notes(self, notes: tuple[Passes, Passes]) -> None:
        """Add what ``take_notes`` gave."""
        for own, theirs in zip((self._passed, self._pending), notes, strict=True):
            for phase, found in theirs.items():
                own.setdefault(phase, {}).update(found)

    def _assemble(self, found: Pending) -> tuple[torch.Tensor, np.ndarray]:
        if not self._by_layer:
            parts = [found[place] for place in self._places]
            return torch.stack([g for g, _ in parts]), np.stack([ran for _, ran in parts])
        edges, operations = self.group.mask.shape
        rows, ran_rows = [], []
        for place in self._places:
            gradient, ran = found[place]
            columns = list(self.group.allowed[place[1] or 0])
            row = gradient
            if columns != list(range(operations)):
                row = gradient.new_zeros(operations)
                row[columns] = gradient
            ran_row = np.zeros(operations, dtype=bool)
            ran_row[columns] = ran
            rows.append(row)
            ran_rows.append(ran_row)
        shape = (-1, edges, operations)
        return torch.stack(rows).reshape(shape), np.stack(ran_rows).reshape(shape)

    def read(self) -> dict[str, LocalCost]:
        """{phase: moments (cells, edges, operations)} of the epoch so far."""
        found = {phase: running.read() for phase, running in self._running.items()}
        return {phase: cost for phase, cost in found.items() if cost is not None}

    def reset(self) -> None:
        """Start a new epoch."""
        self._running, self._passed, self._pending = {}, {}, {}


class StepRecorder:
    """Collects costs, losses and gradient norms over an epoch.

    Phases: "weights" (theta's step on the training half), "alpha" (alpha's step on the search
    half), "joint" (the single pass of single-level search, on the training data). ``phase`` is that
    of the forward pass now running. During a step tensors are noted only; ``end_step`` counts them,
    so that a step that is replayed (``GradientGraphs``) is counted like one that runs.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        groups = {id(site.group): site.group for site in sites}
        self.costs = {
            key: GroupCosts(group, [site for site in sites if site.group is group])
            for key, group in groups.items()
        }
        self.phase: str | None = None
        self.steps = 0
        self._outputs: list[Outputs] = []
        self._statistics: dict[str, RunningPhase] = {}
        self._norms: dict[str, torch.Tensor] = {}

    def reset(self) -> None:
        """Start a new epoch."""
        for costs in self.costs.values():
            costs.reset()
        self.steps, self._outputs, self._statistics, self._norms = 0, [], {}, {}

    def note_pass(self, phase: str, site: Site, z: torch.Tensor, ran: np.ndarray) -> None:
        """Keep that a site was run forward in this step."""
        self.costs[id(site.group)].note_pass(phase, site, z, ran)

    def note_cost(self, phase: str, site: Site, gradient: torch.Tensor, ran: np.ndarray) -> None:
        """Keep a site's dL/dZ of this step."""
        self.costs[id(site.group)].note(phase, site, gradient, ran)

    def note_outputs(self, phase: str, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Keep the logits of one recorded forward pass until the step is over."""
        self._outputs.append((phase, logits.detach(), labels))

    def take_notes(self) -> Any:
        """What this step noted so far; forgets it."""
        outputs, self._outputs = self._outputs, []
        return outputs, {key: costs.take_notes() for key, costs in self.costs.items()}

    def put_notes(self, notes: Any) -> None:
        """Add what ``take_notes`` gave."""
        outputs, by_group = notes
        self._outputs.extend(outputs)
        for key, costs in self.costs.items():
            costs.put_notes(by_group[key])

    def end_step(self, gradient_norms: dict[str, torch.Tensor]) -> None:
        """Count one search step. gradient_norms: of theta ("weights") and alpha ("alpha"), before
        clipping.
        """
        self.steps += 1
        for phase, logits, labels in self._outputs:
            self._statistics.setdefault(phase, RunningPhase()).add(logits, labels)
        self._outputs = []
        for costs in self.costs.values():
            costs.flush()
        for kind, norm in gradient_norms.items():
            norm = norm.detach()
            self._norms[kind] = self._norms[kind] + norm if kind in self._norms else norm

    def statistics(self) -> dict[str, PhaseStatistics]:
        """{phase: mean loss, entropy, accuracy} of the epoch so far."""
        found = {phase: running.read() for phase, running in self._statistics.items()}
        return {phase: values for phase, values in found.items() if values is not None}

    def gradient_norms(self) -> dict[str, float]:
        """Mean gradient norm over the steps, by kind."""
        return {kind: float(total) / max(self.steps, 1) for kind, total in self._norms.items()}
