"""DNW: a fixed number of operations a cell, by the largest scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from nni_wiring.errors import ConfigError
from nni_wiring.selection.genotype import strongest_pairs
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.base import Part, Reading
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.settings import Optimisation, StrategySettings, ThetaDefaults
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import TopK
from search_spaces.genotypes import Pairs
from search_spaces.topology import live_mask

_TRIES = 1000


class DNWSettings(StrategySettings):
    """top_k: operations that a cell runs, none not counted (None: half as many as it has edges,
    rounded up: 3 in NAS-Bench-201).
    """

    optimisation: Optimisation = "single_level"
    alpha_init: float = Field(default=0.01, ge=0)
    alpha_init_mean: float = 1.0
    alpha_weight_decay: float = Field(default=0.0, ge=0)
    top_k: int | None = Field(default=None, ge=1)
    refused_selections = {
        "magnitude_without_none": "an edge without a selected operation has nothing but none"
    }


class ConnectedStart(Part):
    """Draws a cell's first scores again until a path of selected operations leads from input to
    output: in a cell that gives zero every cost is zero, so that its scores never move.
    """

    def __init__(self, relaxation: TopK, settings: DNWSettings) -> None:
        self.relaxation, self.settings = relaxation, settings

    def prepare(self, groups: Sequence[EdgeGroup]) -> None:
        """Raises ConfigError where a group cannot fill its budget, or no draw connects it."""
        super().prepare(groups)
        for group in groups:
            tries = iter(range(_TRIES))
            while not self._connected(group):
                if next(tries, None) is None:
                    raise ConfigError(
                        f"strategy dnw: top_k = {self.relaxation.budget(group)}: in {_TRIES} draws "
                        "of scores none led from input to output; allowed: a larger top_k, "
                        "alpha_init above 0"
                    )
                group.initialise(self.settings.alpha_init, mean=self.settings.alpha_init_mean)

    def _connected(self, group: EdgeGroup) -> bool:
        runs = self.relaxation.wiring(group).any(dim=-1)
        if group.graph is None:
            return True
        return bool(live_mask([runs.int().tolist()], group.graph, ("none", "selected")).any())


class Wired(Reading):
    """An edge is worth keeping where its operation is selected."""

    def __init__(self, relaxation: TopK) -> None:
        self.relaxation = relaxation

    def keeps(self, group: EdgeGroup, selected: list[int]) -> list[bool]:
        """True where Z is 1."""
        rows = self.relaxation.wiring(group).bool().tolist()
        return [row[k] for k, row in zip(selected, rows, strict=True)]


class DNW(WiringStrategy):
    """Discovering Neural Wirings (Wortsman, Farhadi & Rastegari, NeurIPS 2019) on a cell: one score
    an edge and operation, the k largest |score| of the cell run with weight 1, and a score moves by
    <dL/dy, O(x)> whether its operation runs or not.

    So alpha follows S1's local cost of all edges at once, without none [ours: the paper's scores
    are the weights of its edges]. Scores start at N(1, .01), as DSNAS' alphas, since a score below
    zero would be the stronger the more its operation hurts, and are drawn again until the first
    cell is connected [ours]; they have no weight decay, which would add to the local cost. Other
    defaults are DARTS'; theta and scores learn from the same batches, as the paper's. The cell has
    an edge's largest selected |score|; an edge without one is none.
    """

    name: ClassVar[str] = "dnw"
    paper: ClassVar[str] = "Wortsman et al., NeurIPS 2019, arXiv 1906.00586"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults()
    Settings = DNWSettings
    settings: DNWSettings
    relaxation: TopK

    def declare(self) -> Parts:
        """The k largest, straight through."""
        relaxation = TopK(self.settings.top_k)
        return Parts(
            relaxation,
            schedules=(ConnectedStart(relaxation, self.settings),),
            reading=Wired(relaxation),
        )

    def pairs(self, group: EdgeGroup) -> Pairs:
        """See the base: the strongest selected |score| tell edges apart, whose Z are all 1."""
        reading = self.parts.reading
        keeps = None if reading is None else lambda selected: reading.keeps(group, selected)
        return strongest_pairs(group, self.relaxation.strengths(group), keeps)
