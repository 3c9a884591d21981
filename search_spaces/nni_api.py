"""The one door to ``nni.nas`` and Lightning: import their names from here, and the order is right.

Two traps: torchvision's registry build beside a CPU torch (see ``torchvision_guard``), and a
circular import: if ``nni.nas.oneshot`` is imported before ``nni.nas.strategy``, the latter silently
replaces DARTS, RandomOneShot and all others by stand-ins that fail when they are used.
"""

from __future__ import annotations

from search_spaces import torchvision_guard  # noqa: F401

# isort: split
import nni.nas.strategy  # noqa: F401

# isort: split
import pytorch_lightning as pl
from nni.mutable import Categorical, CategoricalMultiple, label_scope
from nni.nas.evaluator.pytorch import Classification, Lightning, LightningModule, Trainer
from nni.nas.experiment import NasExperiment
from nni.nas.hub.pytorch import DARTS as HubDarts
from nni.nas.hub.pytorch import NasBench201
from nni.nas.hub.pytorch.modules.nasbench201 import NasBench201Cell
from nni.nas.nn.pytorch import Cell, LayerChoice, ModelSpace, MutableModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule, BaseSuperNetModule
from nni.nas.oneshot.pytorch.strategy import MutationHook, OneShotStrategy
from nni.nas.oneshot.pytorch.supermodule.differentiable import (
    DifferentiableMixedLayer,
    MixedOpDifferentiablePolicy,
)
from nni.nas.strategy import DARTS as NniDarts
from pytorch_lightning.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.types import OptimizerLRScheduler

__all__ = [
    "BaseOneShotLightningModule",
    "BaseSuperNetModule",
    "CSVLogger",
    "Categorical",
    "CategoricalMultiple",
    "Cell",
    "Classification",
    "DifferentiableMixedLayer",
    "HubDarts",
    "LayerChoice",
    "Lightning",
    "LightningModule",
    "Logger",
    "MLFlowLogger",
    "MixedOpDifferentiablePolicy",
    "ModelSpace",
    "MutableModule",
    "MutationHook",
    "NasBench201",
    "NasBench201Cell",
    "NasExperiment",
    "NniDarts",
    "OneShotStrategy",
    "OptimizerLRScheduler",
    "SingleDeviceStrategy",
    "TensorBoardLogger",
    "Trainer",
    "WandbLogger",
    "label_scope",
    "pl",
]
