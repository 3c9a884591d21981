"""Perturbation-based selection (DARTS-PT: Wang et al., ICLR 2021, arXiv 2108.04392)."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field

from nni_wiring.selection.base import Selected, Selection, SelectionContext, SelectionSettings
from nni_wiring.selection.decision_plan import Step, decision_epochs, plan
from nni_wiring.supernet.decisions import Decisions, decided_weights
from nni_wiring.supernet.variants import supernet_accuracies
from nni_wiring.tensor_files import replace_tensors, tensors_of
from search_spaces.genotypes import DARTS_GRAPH, Genotype, cell_pairs, format_genotype

#: Epoch numbers of the loaders' order while tuning: apart from those of any search.
_FIRST_EPOCH = 100_000
_PAPER_INTERVAL = 10  # epochs between decisions in the DARTS spaces


class PerturbationSettings(SelectionSettings):
    """tune_epochs: epochs of tuning over which the decisions are spread; unset: the paper's (25 on
    NAS-Bench-201; 10 between decisions in DARTS spaces). lr, momentum, weight_decay: of the SGD
    that tunes theta, constant (a tenth of the search's initial learning rate). train_alpha: whether
    alpha of undecided edges goes on training (only where the method moves alpha). max_steps: cap on
    the steps of a tuning epoch. batches: cap on the batches of an evaluation; unset: the whole
    search half. seed: of the random order of edges and nodes.
    """

    tune_epochs: int | None = Field(default=None, ge=0)
    lr: float = Field(default=0.0025, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    train_alpha: bool = True
    max_steps: int | None = Field(default=None, ge=1)
    batches: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)


class Perturbation(Selection):
    """An edge keeps the operation whose removal costs the supernet most accuracy.

    Edges are decided one after the other in random order, with tuning of the weights in between. To
    decide one, each of its operations in turn is masked (its Z set to 0, the others not
    renormalised) and the supernet, under Z = p(alpha), evaluated on the whole search half with
    batch statistics; the lowest remaining accuracy wins, the first of equals. ``none`` takes part.
    Cells of the DARTS graph then drop, node by node, the edge without which accuracy is highest
    (the last of equals), until two are left.
    """

    name: ClassVar[str] = "perturbation"
    summary: ClassVar[str] = "the operation whose removal costs most accuracy (DARTS-PT)"
    at_end: ClassVar[bool] = True
    Settings = PerturbationSettings
    settings: PerturbationSettings

    def select(self, context: SelectionContext) -> Selected:
        """Decide, tune, decide ...; details: every masked accuracy in percent."""
        return _Projection(context, self.settings).run()


class _Projection:
    """One run of the procedure; its state is kept in ``perturbation.pt`` of the run's folder."""

    def __init__(self, context: SelectionContext, settings: PerturbationSettings) -> None:
        self.context, self.settings = context, settings
        self.module = context.module
        self.groups = {group.name: group for group in context.module.strategy.groups}
        order = torch.Generator().manual_seed(settings.seed)
        self.rounds = plan(list(self.groups.values()), order)
        epochs = settings.tune_epochs
        if epochs is None:
            darts = any(group.graph == DARTS_GRAPH for group in self.groups.values())
            epochs = _PAPER_INTERVAL * (len(self.rounds) - 1) + 1 if darts else 25
        self.epochs = epochs
        self.trace: list[dict[str, Any]] = []
        self.decided: dict[str, dict[int, int | None]] = {name: {} for name in self.groups}
        self.done = (0, 0)  # rounds, epochs
        self.moves_alpha = False

    def run(self) -> Selected:
        self._prepare()
        self._load()
        try:
            self._decide_and_tune()
        finally:
            self.module.decided, self.module.tuning = {}, {}
        cells = {name: self._cell(name) for name in self.groups}
        return Selected(cells, self._details())

    def _decide_and_tune(self) -> None:
        at = decision_epochs(len(self.rounds), self.epochs)
        rounds, epoch = self.done
        while True:
            while rounds < len(self.rounds) and (at[rounds] <= epoch or epoch == self.epochs):
                for step in self.rounds[rounds]:
                    self._decide(step, epoch)
                rounds += 1
                self._save(rounds, epoch)
                self.context.progress(rounds, len(self.rounds), "deciding edges")
            if rounds == len(self.rounds):  # tuning any further would change no decision
                return
            self._tune(epoch)
            epoch += 1
            self._save(rounds, epoch)

    # --- deciding ---

    def _weights(self) -> dict[str, torch.Tensor]:
        relaxation = self.module.strategy.relaxation
        return {
            name: decided_weights(relaxation.probabilities(group).detach(), self.decided[name])
            for name, group in self.groups.items()
        }

    def _accuracies(self, rows: list[tuple[str, int, int | None]]) -> tuple[list[int], int]:
        """Correct images with each (group, edge, operation or None for the whole edge) masked."""
        variants = [self._weights()]
        for name, edge, operation in rows:
            weights = self._weights()
            weights[name] = weights[name].clone()
            weights[name][edge, slice(None) if operation is None else operation] = 0
            variants.append(weights)
        batches = islice(iter(self.context.evaluation), self.settings.batches)
        return supernet_accuracies(self.module.model, batches, variants)

    def _decide(self, step: Step, epoch: int) -> None:
        if step.kind == "topology":
            self._decide_node(step, epoch)
            return
        group = self.groups[step.group]
        allowed = group.allowed[step.place]
        counts, images = self._accuracies([(step.group, step.place, k) for k in allowed])
        remaining = counts[1:]
        chosen = allowed[remaining.index(min(remaining))]
        self.decided[step.group][step.place] = chosen
        self.module.decided = dict[str, Decisions](self.decided)
        self.trace.append(
            {
                "epoch": epoch,
                "group": step.group,
                "edge": group.edges[step.place],
                "accuracy": 100 * counts[0] / images,
                "masked": {
                    group.operations[k]: 100 * count / images
                    for k, count in zip(allowed, remaining, strict=True)
                },
                "chosen": group.operations[chosen],
            }
        )

    def _decide_node(self, step: Step, epoch: int) -> None:
        group = self.groups[step.group]
        edges = list(DARTS_GRAPH.edges_into(step.place))
        while len(edges) > 2:
            counts, images = self._accuracies([(step.group, edge, None) for edge in edges])
            masked = counts[1:]
            last_best = len(masked) - 1 - masked[::-1].index(max(masked))
            dropped = edges[last_best]
            self.trace.append(
                {
                    "epoch": epoch,
                    "group": step.group,
                    "node": step.place,
                    "accuracy": 100 * counts[0] / images,
                    "masked": {
                        group.edges[edge]: 100 * count / images
                        for edge, count in zip(edges, masked, strict=True)
                    },
                    "dropped": group.edges[dropped],
                }
            )
            edges.remove(dropped)
            self.decided[step.group][dropped] = None
            self.module.decided = dict[str, Decisions](self.decided)

    # --- tuning ---

    def _prepare(self) -> None:
        settings, module = self.settings, self.module
        theta = torch.optim.SGD(
            module.weight_parameters(),
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        alpha = module.configure_architecture_optimizers()
        self.moves_alpha = settings.train_alpha and alpha is not None
        module.tuning = {False: theta, **({} if alpha is None else {True: alpha})}

    def _tune(self, epoch: int) -> None:
        context, module = self.context, self.module
        for loader in (context.train, context.search):
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(_FIRST_EPOCH + epoch)
        module.train()
        single = module.strategy.settings.optimisation == "single_level"
        search = cycle([None]) if single else _endless(context.search)
        with torch.enable_grad():
            pairs = zip(islice(iter(context.train), self.settings.max_steps), search, strict=False)
            for step, (train, val) in enumerate(pairs):
                moves = self.moves_alpha and val is not None if not single else self.moves_alpha
                module.search_step({"train": train, "val": val}, step, moves)

    # --- results and resuming ---

    def _cell(self, name: str) -> list[int]:
        """A column of alpha an edge: as decided; for a dropped edge ``none`` where it exists."""
        group = self.groups[name]
        none = group.operations.index("none") if "none" in group.operations else None
        cell = []
        for edge, allowed in enumerate(group.allowed):
            chosen = self.decided[name].get(edge, allowed[0])
            if chosen is None:
                chosen = none if none in allowed else self._operation(name, edge)
            assert chosen is not None
            cell.append(chosen)
        return cell

    def _operation(self, name: str, edge: int) -> int:
        """The operation that was decided on an edge, whether the edge was dropped later or not."""
        group = self.groups[name]
        for entry in self.trace:
            if entry["group"] == name and entry.get("edge") == group.edges[edge]:
                return group.operations.index(entry["chosen"])
        return group.allowed[edge][0]

    def _details(self) -> dict[str, Any]:
        details: dict[str, Any] = {
            "tune_epochs": self.epochs,
            "order": [step._asdict() for steps in self.rounds for step in steps],
            "trace": self.trace,
        }
        darts = {name for name, group in self.groups.items() if group.graph == DARTS_GRAPH}
        if darts == {"normal", "reduce"}:
            details["genotype"] = format_genotype(
                Genotype(
                    self._pairs("normal"),
                    DARTS_GRAPH.outputs,
                    self._pairs("reduce"),
                    DARTS_GRAPH.outputs,
                )
            )
        return details

    def _pairs(self, name: str) -> tuple[tuple[str, int], ...]:
        group = self.groups[name]
        chosen, kept = {}, {}
        for edge, label in enumerate(group.edges):
            chosen[label] = group.operations[self._operation(name, edge)]
        for node in DARTS_GRAPH.intermediate_nodes:
            live = [
                e for e in DARTS_GRAPH.edges_into(node) if self.decided[name].get(e, 0) is not None
            ]
            kept[node] = [group.edges[edge] for edge in live]
        return cell_pairs(chosen, kept)

    @property
    def _file(self) -> Path | None:
        return None if self.context.folder is None else self.context.folder / "perturbation.pt"

    def _save(self, rounds: int, epoch: int) -> None:
        if self._file is None:
            return
        state = {
            "settings": self.settings.model_dump(),
            "rounds": rounds,
            "epoch": epoch,
            "trace": self.trace,
            "decided": self.decided,
            "weights": self.module.state_dict(),
            "optimisers": {key: value.state_dict() for key, value in self.module.tuning.items()},
            "draws": self.module.generator.get_state(),
            "torch": torch.get_rng_state(),
        }
        replace_tensors(self._file, lambda file: torch.save(state, file))

    def _load(self) -> None:
        """Go on after the last saved step, if one of the same settings is there."""
        if self._file is None or not self._file.exists():
            return
        with tensors_of(self._file) as state:
            if state["settings"] != self.settings.model_dump():
                return
            self.module.load_state_dict(state["weights"])
            for key, optimizer in self.module.tuning.items():
                optimizer.load_state_dict(state["optimisers"][key])
            self.module.generator.set_state(state["draws"])
            torch.set_rng_state(state["torch"])
            self.trace, self.decided = state["trace"], state["decided"]
            self.done = state["rounds"], state["epoch"]
        self.module.decided = dict[str, Decisions](self.decided)


def _endless(loader: Any) -> Any:
    """The batches of a loader, again and again; None for ever where it has none."""
    empty = True
    while True:
        for batch in loader:
            empty = False
            yield batch
        if empty:
            yield None
