"""ENAS: a controller draws the cells, and is rewarded with the supernet's accuracy."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.controller import Reinforce
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.parts.memory import Memory
from nni_wiring.strategies.parts.policy import (
    ControllerTraining,
    Likeliest,
    PolicySample,
    PolicyUpdate,
)
from nni_wiring.strategies.settings import StrategySettings, ThetaDefaults


class ENASSettings(StrategySettings):
    """controller_steps: updates of the controller after every epoch; controller_samples: cells an
    update, each rewarded on a batch of its own. entropy_weight: of the controller's entropy (nats)
    in the reward. baseline_decay: of the moving baseline. alpha_*: of Adam on the controller.

    memory_weight: of the loss of reconstructing past cells from the controller's hidden states (0:
    no memory, the two below then mean nothing). memory_size: cells kept, the last ones.
    memory_samples: of them that an update reads.
    """

    alpha_lr: float = Field(default=1e-3, ge=0)
    alpha_betas: tuple[float, float] = (0.0, 0.999)
    alpha_eps: float = Field(default=1e-3, gt=0)
    alpha_weight_decay: float = Field(default=0.0, ge=0)
    alpha_clip: float | None = Field(default=5.0, gt=0)
    selection: str = "supernet_ranking"
    controller_steps: int = Field(default=50, ge=1)
    controller_samples: int = Field(default=20, ge=1)
    entropy_weight: float = Field(default=1e-4, ge=0)
    baseline_decay: float = Field(default=0.99, ge=0, le=1)
    memory_weight: float = Field(default=0.0, ge=0)
    memory_size: int = Field(default=500, ge=1)
    memory_samples: int = Field(default=20, ge=1)


class ENAS(WiringStrategy):
    """ENAS (Pham et al., ICML 2018): theta is trained on cells that an LSTM controller draws; after
    every epoch the controller learns by REINFORCE, its reward the supernet's accuracy on one batch
    of the search half (single_level: of the training data) with batch statistics.

    The cell of an epoch is the controller's likeliest, edge by edge; the final one the best of
    cells that it draws. Defaults are those of the NAS-Bench-201 paper's runs (AutoDL-Projects;
    theory page, section 6), but for theta's cosine, which AutoDL restarts every 10 epochs. A memory
    buffer is an idea of Adam and Lorraine (arXiv 1904.00438), off by default; its form is ours.
    """

    name: ClassVar[str] = "enas"
    paper: ClassVar[str] = "Pham et al., ICML 2018, arXiv 1802.03268"
    theta: ClassVar[ThetaDefaults] = ThetaDefaults(250, 128, 0.05, 0.0005, 0.9, 2.5e-4, True)
    Settings = ENASSettings
    settings: ENASSettings

    def declare(self) -> Parts:
        """The controller, the cells that it draws and the one that it likes best."""
        s = self.settings
        half = "train" if s.optimisation == "single_level" else "val"
        training = ControllerTraining(s.controller_steps, s.controller_samples, half, s.alpha_clip)
        memory = Memory(s.memory_weight, s.memory_size, s.memory_samples)
        policy = PolicyUpdate(
            training,
            Reinforce(s.entropy_weight, s.baseline_decay),
            memory if s.memory_weight > 0 else None,
        )
        return Parts(PolicySample(policy), alpha=policy, reading=Likeliest(policy))
