"""The settings that a search space declares, and the option names that are not free for others.

All options of a search stand side by side under flat names (``--set``, YAML, ``run.json``), so no
space and no strategy may have a setting with the name of a run's option.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: The options that a search has whatever its space and its strategy.
RUN_OPTIONS = frozenset(
    {
        *("strategy", "space", "dataset", "benchmark"),
        *("seed", "seeds", "device", "precision", "threads", "logger"),
        *("data", "data_dir", "split", "augment", "cutout", "max_steps", "resize"),
        *("epochs", "batch_size", "lr", "lr_min", "momentum", "weight_decay", "nesterov"),
    }
)


class SpaceSettings(BaseModel):
    """Settings of a space, all settable by their flat names; a space adds its own.

    operations: ``{edge or "*": [..]}``, on top of the space's own constraint; None: nothing more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    operations: dict[str, list[str]] | None = None


class CellNetworkSettings(SpaceSettings):
    """Those of a network that is a stack of cells.

    Attributes:
        channels: C, of the first cells.
        cells: how many there are, as the space counts them.
        affine: scale and shift in the batch norms inside the cells.
        track_stats: running statistics in the batch norms inside the cells.
    """

    channels: int = Field(default=16, ge=1, le=1024)
    cells: int = Field(default=5, ge=1, le=100)
    affine: bool = False
    track_stats: bool = False


class NasBench201SpaceSettings(CellNetworkSettings):
    """cells: N, of every stage. head: the classifier, ``nasbench201``, or S1's ``bias_free``."""

    head: Literal["nasbench201", "bias_free"] = "nasbench201"


class DartsSpaceSettings(CellNetworkSettings):
    """cells: in all. head: the classifier, ``darts`` (linear with bias), or S1's ``bias_free``."""

    cells: int = Field(default=8, ge=1, le=100)
    head: Literal["darts", "bias_free"] = "darts"


class S1SpaceSettings(DartsSpaceSettings):
    """Those of DARTS-type networks, with S1's head."""

    head: Literal["darts", "bias_free"] = "bias_free"


#: The options of this project's spaces.
SPACE_OPTIONS = frozenset(
    {*NasBench201SpaceSettings.model_fields, *DartsSpaceSettings.model_fields}
)


def misfit(model: type[BaseModel], taken: Mapping[str, Set[str]]) -> str | None:
    """The reason that a plug-in's settings cannot stand beside a search's other options; None if
    nothing does.

    Args:
        model: the plug-in's settings.
        taken: the names that are not free for it, by whose they are ("the run").
    """
    for name, field in model.model_fields.items():
        for owner, names in taken.items():
            if name in names:
                return (
                    f"its setting {name!r} has the name of an option of {owner}; "
                    "it must be called otherwise"
                )
        if field.is_required():
            return f"its setting {name!r} has no default"
    return None
