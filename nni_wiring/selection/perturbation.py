"""Perturbation-based selection (DARTS-PT: Wang et al., ICLR 2021, arXiv 2108.04392)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field

from nni_wiring.errors import RunError
from nni_wiring.files.tensors import replace_tensors, tensors_of
from nni_wiring.selection.base import Selected, Selection, SelectionContext, SelectionSettings
from nni_wiring.selection.decided_cells import (
    decided_cell,
    decided_genotype,
    live_edges,
    masked,
)
from nni_wiring.selection.decision_plan import Step, decision_epochs, plan
from nni_wiring.selection.ties import tied_with
from nni_wiring.supernet.variants import supernet_accuracies
from search_spaces.genotypes import DARTS_GRAPH

#: Epoch numbers of the loaders' order while tuning and, where augmented, while evaluating: apart
#: from those of any search.
_FIRST_EPOCH = 100_000
_FIRST_EVALUATION = 200_000
_PAPER_INTERVAL = 10  # epochs between decisions in the DARTS spaces


class PerturbationSettings(SelectionSettings):
    """tune_epochs: epochs of tuning over which the decisions are spread; unset: the paper's (25 on
    NAS-Bench-201; 10 between decisions in DARTS spaces). lr, momentum, weight_decay: of the SGD
    that tunes theta, constant (a tenth of the search's initial learning rate). train_alpha: whether
    alpha of undecided edges goes on training (only where the method moves alpha). max_steps: cap on
    the steps of a tuning epoch. batches: cap on the batches of an evaluation; unset: the whole
    search half. augmented: evaluate on the search half as it is augmented for training (the
    authors' code does), each decision on images drawn anew. keep_moments: alpha's Adam goes on with
    the moments that it ended the search with (as the authors' does). seed: of the random order of
    edges and nodes.
    """

    tune_epochs: int | None = Field(default=None, ge=0)
    lr: float = Field(default=0.0025, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    train_alpha: bool = True
    max_steps: int | None = Field(default=None, ge=1)
    batches: int | None = Field(default=None, ge=1)
    augmented: bool = False
    keep_moments: bool = False
    seed: int = Field(default=0, ge=0)


class Perturbation(Selection):
    """An edge keeps the operation whose removal costs the supernet most accuracy.

    Edges are decided one after the other in random order, with tuning of the weights in between. To
    decide one, each of its operations in turn is masked (its Z set to 0, the others not
    renormalised) and the supernet, under the method's own Z and edge weights, evaluated on the
    whole search half with batch statistics; the lowest remaining accuracy wins, the first of
    equals. ``none`` takes part. In cells of the DARTS graph, node by node, each edge into the node
    is then masked alone; the two stay without which accuracy is lowest (the first of equals).
    Beside the authors' code, unless the settings say otherwise: they evaluate on augmented images,
    and alpha's Adam goes on with the moments of the search.
    """

    name: ClassVar[str] = "perturbation"
    summary: ClassVar[str] = "the operation whose removal costs most accuracy (DARTS-PT)"
    at_end: ClassVar[bool] = True
    Settings = PerturbationSettings
    settings: PerturbationSettings

    def select(self, context: SelectionContext) -> Selected:
        """Decide, tune, decide ...; details: every masked accuracy in percent."""
        return _Projection(context, self.settings).run()


class _Accuracies(NamedTuple):
    """In percent of so many images: of the supernet as it is, and with each of several masks."""

    whole: float
    masked: list[float]
    images: int


class _Projection:
    """One run of the procedure; its state is kept in ``perturbation.pt`` of the run's folder."""

    def __init__(self, context: SelectionContext, settings: PerturbationSettings) -> None:
        self.context, self.settings = context, settings
        self.module = context.module
        groups = list(context.module.groups)
        self.groups = {group.name: group for group in groups}
        self.rounds = plan(groups, torch.Generator().manual_seed(settings.seed))
        epochs = settings.tune_epochs
        if epochs is None:
            darts = any(group.graph == DARTS_GRAPH for group in groups)
            epochs = _PAPER_INTERVAL * (len(self.rounds) - 1) + 1 if darts else 25
        self.epochs = epochs
        self.trace: list[dict[str, Any]] = []
        self.done = (0, 0)  # rounds, epochs
        self.moves_alpha = False
        self.before = {group.name: group.decisions.state() for group in groups}

    def run(self) -> Selected:
        self._prepare()
        self._load()
        try:
            self._decide_and_tune()
            cells = {name: decided_cell(group) for name, group in self.groups.items()}
            return Selected(cells, self._details())
        finally:
            self.module.tuning = {}
            for name, group in self.groups.items():
                group.decisions.load(self.before[name])

    def _decide_and_tune(self) -> None:
        at = decision_epochs(len(self.rounds), self.epochs)
        rounds, epoch = self.done
        while True:
            while rounds < len(self.rounds) and (at[rounds] <= epoch or epoch == self.epochs):
                for step in self.rounds[rounds]:
                    decide = self._decide_node if step.kind == "topology" else self._decide_edge
                    decide(step, epoch)
                rounds += 1
                self._save(rounds, epoch)
                self.context.progress(rounds, len(self.rounds), "decisions")
            if rounds == len(self.rounds):  # tuning any further would change no decision
                return
            self._tune(epoch)
            epoch += 1
            self._save(rounds, epoch)
            told = f"decisions, tuning epoch {epoch} of {self.epochs}"
            self.context.progress(rounds, len(self.rounds), told)

    # --- deciding ---

    def _accuracies(self, group: str, masks: list[tuple[int, int | None]]) -> _Accuracies:
        """Of the supernet as it is, and with each (edge, operation or None for all of the edge) of
        a group masked.
        """
        whole = {name: self.module.evaluated(own) for name, own in self.groups.items()}
        variants = [whole, *({**whole, group: masked(whole[group], *mask)} for mask in masks)]
        batches = islice(iter(self._images()), self.settings.batches)
        counts, images = supernet_accuracies(self.module.model, batches, variants)
        return _Accuracies(100 * counts[0] / images, [100 * n / images for n in counts[1:]], images)

    def _images(self) -> Iterable[Any]:
        """The images that a decision is evaluated on."""
        if not self.settings.augmented:
            return self.context.evaluation
        search = self.context.search
        if hasattr(search, "set_epoch"):
            search.set_epoch(_FIRST_EVALUATION + len(self.trace))
        return search

    def _decide_edge(self, step: Step, epoch: int) -> None:
        group = self.groups[step.group]
        allowed = group.allowed[step.place]
        whole, left, images = self._accuracies(step.group, [(step.place, k) for k in allowed])
        names = [group.operations[k] for k in allowed]
        first_lowest = left.index(min(left))
        group.decisions.chosen[step.place] = allowed[first_lowest]
        self.trace.append(
            {
                "epoch": epoch,
                "group": step.group,
                "edge": group.edges[step.place],
                "accuracy": whole,
                "masked": dict(zip(names, left, strict=True)),
                "chosen": names[first_lowest],
                "tie": [names[place] for place in tied_with(first_lowest, left, images)],
            }
        )

    def _decide_node(self, step: Step, epoch: int) -> None:
        group = self.groups[step.group]
        edges = live_edges(group, step.place)
        whole, left, images = self._accuracies(step.group, [(edge, None) for edge in edges])
        names = [group.edges[edge] for edge in edges]
        by_accuracy = sorted(range(len(edges)), key=lambda place: left[place])
        dropped = sorted(by_accuracy[2:])
        group.decisions.dropped += [edges[place] for place in dropped]
        self.trace.append(
            {
                "epoch": epoch,
                "group": step.group,
                "node": step.place,
                "accuracy": whole,
                "masked": dict(zip(names, left, strict=True)),
                "dropped": [names[place] for place in dropped],
                "tie": self._undecided(by_accuracy, left, names, images),
            }
        )

    @staticmethod
    def _undecided(order: list[int], left: list[float], names: list[str], images: int) -> list[str]:
        """The dropped edges that cannot be told from the last one that stays."""
        if len(order) <= 2:
            return []
        tied = tied_with(order[1], left, images)
        return [names[place] for place in sorted(order[2:]) if place in tied]

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
        if settings.keep_moments and alpha is not None:
            moments = module.alpha_state()
            if moments is None:
                raise RunError("keep_moments: the search has left no moments of alpha's optimiser")
            alpha.load_state_dict(moments)
        module.tuning = {False: theta, **({} if alpha is None else {True: alpha})}

    def _tune(self, epoch: int) -> None:
        context, module = self.context, self.module
        for loader in (context.train, context.search):
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(_FIRST_EPOCH + epoch)
        module.train()
        single = module.single_level
        search = cycle([None]) if single else _endless(context.search)
        with torch.enable_grad():
            pairs = zip(islice(iter(context.train), self.settings.max_steps), search, strict=False)
            for step, (train, val) in enumerate(pairs):
                moves = self.moves_alpha and (single or val is not None)
                module.search_step({"train": train, "val": val}, step, moves)

    # --- results and resuming ---

    def _details(self) -> dict[str, Any]:
        details: dict[str, Any] = {
            "tune_epochs": self.epochs,
            "order": [step._asdict() for steps in self.rounds for step in steps],
            "trace": self.trace,
        }
        genotype = decided_genotype(list(self.groups.values()))
        return details if genotype is None else {**details, "genotype": genotype}

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
            "decisions": {name: g.decisions.state() for name, g in self.groups.items()},
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
            for name, group in self.groups.items():
                group.decisions.load(state["decisions"][name])
            self.trace, self.done = state["trace"], (state["rounds"], state["epoch"])


def _endless(loader: Any) -> Any:
    """The batches of a loader, again and again; None for ever where it has none."""
    empty = True
    while True:
        for batch in loader:
            empty = False
            yield batch
        if empty:
            yield None
