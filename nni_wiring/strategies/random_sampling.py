"""Random sampling: theta is trained on uniformly drawn cells, the best cell is ranked out of it."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.loop import Loop
from nni_wiring.strategies.parts.base import Reading
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.fixed import Fixed
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy
from nni_wiring.supernet.relaxations.uniform import Uniform

NO_MAGNITUDE = "every operation is as likely as any other, so no magnitude tells them apart"


class RandomSamplingSettings(StrategySettings):
    """epoch_samples: after every epoch, so many cells are drawn and ranked on one batch of the
    search half; the best is the epoch's derived cell (the final one is the selection's).
    """

    selection: str = "supernet_ranking"
    epoch_samples: int = Field(default=10, ge=1)
    refused_selections = {"magnitude": NO_MAGNITUDE, "magnitude_without_none": NO_MAGNITUDE}


class BestOfFew(Reading):
    """The best of a few cells that are drawn after every epoch and ranked on one batch of the
    search half; before the first epoch's end, the first operations.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._best: dict[str, list[int]] = {}

    def after_steps(self, loop: Loop, epoch: int) -> None:
        """Draw and rank."""
        batch = list(islice(iter(loop.evaluation_batches()), 1))
        ranked = []
        for _ in range(self.samples):
            cells = loop.sample_cells()
            z = {group.name: one_hot(group, cells[group.name]) for group in self.groups}
            ranked.append((supernet_accuracy(loop.model, batch, z), cells))
        self._best = max(ranked, key=lambda pair: pair[0])[1]

    def read(self, group: EdgeGroup, selected: list[int]) -> list[int]:
        """See the class."""
        return self._best.get(group.name, [allowed[0] for allowed in group.allowed])

    def state(self) -> dict[str, Any]:
        """The epoch's derived cell."""
        return {"best": self._best}

    def load_state(self, state: dict[str, Any]) -> None:
        """See ``state``."""
        self._best = dict(state["best"])


class RandomSampling(WiringStrategy):
    """Random search with weight sharing (RSPS: Li & Talwalkar, UAI 2019; single path one-shot: Guo
    et al., ECCV 2020): every step trains one uniformly drawn cell; alpha does not move.

    Defaults are those of the NAS-Bench-201 paper's runs (AutoDL-Projects; theory page, section 6):
    250 epochs, and the best of 100 cells at the end. AutoDL ranks on one batch of 512 images
    (``selection_settings: {batches: 1}``), we on the whole search half.
    """

    name: ClassVar[str] = "random_sampling"
    paper: ClassVar[str] = "Li & Talwalkar, UAI 2019, arXiv 1902.07638"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(epochs=250)
    Settings = RandomSamplingSettings
    settings: RandomSamplingSettings

    def declare(self) -> Parts:
        """Uniform paths, alpha as it is, and the epoch's few cells."""
        return Parts(Uniform(), alpha=Fixed(), reading=BestOfFew(self.settings.epoch_samples))
