"""TrainConfig: everything that defines one training of a fixed cell, and its flat form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from nni_wiring.errors import ConfigError
from nni_wiring.search.precision import Precision
from nni_wiring.search.settings import (
    MAX_THREADS,
    DataSettings,
    LoggerName,
    Settings,
    ThetaSettings,
)
from nni_wiring.train.arch import Operations, parse_cell
from nni_wiring.train.protocols import PROTOCOLS
from nni_wiring.validation import one_line_validation, unknown_name
from search_spaces.registry import SpaceEntry, space_entry
from search_spaces.settings import SpaceSettings

Model = TypeVar("Model", bound=BaseModel)


class TrainingSettings(Settings):
    """The subject of a training, and its protocol.

    arch: the cell, see ``parse_cell``. space: whose cell it is. protocol: the settings that others
    replace. dataset, benchmark: of the truth that is shown, as in a search. seed: of weights,
    split, order and draws. device, precision, threads, logger: as in a search.
    """

    arch: str
    space: str = "nasbench201"
    protocol: str = "short"
    dataset: str | None = None
    benchmark: str | None = None
    seed: int = Field(default=1, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "float32"
    threads: int | None = Field(default=None, ge=1, le=MAX_THREADS)
    logger: LoggerName = "none"


class RegularisationSettings(Settings):
    """A protocol's optimiser and its additions, and the epochs that see the held-out images.

    optimiser: ``sgd``, or ``adamw`` (momentum is its beta 1, beta 2 is .999, nesterov is SGD's
    alone). schedule: ``cosine`` from lr to lr_min, or ``one_cycle``: by cosines from lr / 25 to lr
    over the first three tenths of the steps, then to lr_min. lr_moves: the schedule's steps, every
    ``step`` or every ``epoch``. clip: largest norm of the
    gradient, None for none. drop_path: probability at the end of a path being dropped, which rises
    linearly from 0. auxiliary: weight of the auxiliary head's loss; 0 for no head. eval_epochs:
    after how many epochs the held-out images are evaluated (the last epoch always is); None: after
    every one.
    """

    optimiser: Literal["sgd", "adamw"] = "sgd"
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    lr_moves: Literal["step", "epoch"] = "step"
    clip: float | None = Field(default=None, gt=0)
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    auxiliary: float = Field(default=0.0, ge=0)
    eval_epochs: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _check_epochs(self) -> RegularisationSettings:
        if any(epoch < 1 for epoch in self.eval_epochs or ()):
            raise ValueError("eval_epochs: epochs are counted from 1")
        return self


@dataclass(frozen=True)
class TrainConfig:
    """One training: its settings by the thing that they belong to, and the cell, edge by edge."""

    training: TrainingSettings
    data_settings: DataSettings
    theta: ThetaSettings
    regularisation: RegularisationSettings
    space_settings: SpaceSettings
    cell: Operations

    @property
    def space(self) -> SpaceEntry:
        """The space that the cell is of."""
        return space_entry(self.training.space)

    def flat(self) -> dict[str, Any]:
        """All settings under their option names; JSON-ready. :func:`make_train_config` reads it."""
        values: dict[str, Any] = {}
        for part in (
            self.training,
            self.data_settings,
            self.theta,
            self.regularisation,
            self.space_settings,
        ):
            values |= part.model_dump(mode="json")
        del values["operations"]  # the cell says which
        return values

    def evaluates_after(self, epochs: int) -> bool:
        """True where the held-out images are evaluated once ``epochs`` epochs are done."""
        given = self.regularisation.eval_epochs
        return given is None or epochs in given or epochs == self.theta.epochs


_PARTS: tuple[type[BaseModel], ...] = (
    TrainingSettings,
    DataSettings,
    ThetaSettings,
    RegularisationSettings,
)
#: Without a value of their own that None could be, so None leaves them to the protocol.
_NONE_IS_A_VALUE = frozenset({"clip", "eval_epochs"})


def train_options(space: str) -> list[str]:
    """All option names that a training in this space takes, sorted; SpaceError for no space."""
    own = space_entry(space).settings.model_fields
    return sorted({*own, *(name for part in _PARTS for name in part.model_fields)} - {"operations"})


def make_train_config(values: Mapping[str, Any]) -> TrainConfig:
    """Check flat options and fill in what they leave out: the protocol's, then the defaults.

    Raises:
        WiringError: one line; the option, what is wrong with it, what is allowed.
    """
    given = {k: v for k, v in values.items() if v is not None or k in _NONE_IS_A_VALUE}
    entry = space_entry(_name(given, "space"))
    protocol = PROTOCOLS.lookup(_name(given, "protocol"))
    known = train_options(entry.name)
    for key in given:
        if key not in known:
            whose = f"training in space {entry.name}"
            raise ConfigError(unknown_name(str(key), whose, known))
    cell = parse_cell(entry, _name(given, "arch"))
    given = {**protocol.options, **given, "operations": {edge: [cell[edge]] for edge in cell}}
    try:
        return TrainConfig(
            _part(TrainingSettings, given),
            _part(DataSettings, given),
            _part(ThetaSettings, given),
            _part(RegularisationSettings, given),
            _part(entry.settings, given),
            cell,
        )
    except ValidationError as error:
        raise ConfigError(one_line_validation(error, "training", known)) from None


def _name(given: Mapping[str, Any], option: str) -> str:
    name = given.get(option, TrainingSettings.model_fields[option].default)
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{option}: must be a text, got {given.get(option)!r:.60}")
    return name


def _part(model: type[Model], given: Mapping[str, Any]) -> Model:
    return model(**{key: value for key, value in given.items() if key in model.model_fields})
