"""RunConfig: everything that defines one search, under the CLI's option names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nni_wiring.errors import ConfigError
from nni_wiring.search.precision import Precision
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.registry import strategy_class
from nni_wiring.strategies.settings import ThetaDefaults
from nni_wiring.validation import one_line_validation, unknown_name
from search_spaces.constraints import EdgeOperations
from search_spaces.errors import SpaceError
from search_spaces.registry import SpaceEntry, space_entry

_NUMBER = re.compile(r"[0-9]{1,12}")
#: Most CPU threads that a search may ask for.
MAX_THREADS = 1024


class RunConfig(BaseModel):
    """One search. Field names are the option names of ``search``, of ``--set`` and of NNI's YAML.

    strategy, space, data: names of the registries (``npz:PATH`` is a data name too). data_dir: the
    folder of downloaded data sets. dataset: whose truth is shown; unset: the data's own. benchmark:
    the truth table's name; unset: the default one. seed: of weights, splits, order and draws.
    epochs, batch_size (images), lr, lr_min (at most lr), momentum, weight_decay, nesterov: training
    of theta; unset: the strategy's paper. split: ``half`` or ``full+xvalid``; unset: the data's
    own. augment: random crop and flip. cutout: side in pixels, 0 for none. max_steps: cap on the
    steps of an epoch. channels (C), cells (N, a stage; in DARTS-type spaces, in all), head, affine,
    track_stats, operations (``{edge or "*": [..]}``): of the space; unset: its defaults. device:
    where to train. precision: ``float32``, ``tf32`` (CUDA only) or ``bf16`` (autocast). threads: of
    one search on the CPU; unset: torch's own choice (several seeds at once: their share of the
    cores). method: the strategy's own settings, checked by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    strategy: str = "darts"
    space: str = "nasbench201"
    data: str = "digits"
    data_dir: str = "data"
    dataset: Literal["cifar10", "cifar100", "imagenet16"] | None = None
    benchmark: str | None = None
    seed: int = Field(default=1, ge=0, lt=2**31)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    lr: float = Field(gt=0)
    lr_min: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    nesterov: bool
    split: Literal["half", "full+xvalid"] | None = None
    augment: bool = True
    cutout: int = Field(default=0, ge=0)
    max_steps: int | None = Field(default=None, ge=1)
    channels: int = Field(default=16, ge=1)
    cells: int = Field(default=5, ge=1)
    head: Literal["nasbench201", "darts", "bias_free"] = "nasbench201"
    affine: bool = False
    track_stats: bool = False
    operations: dict[str, list[str]] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "float32"
    threads: int | None = Field(default=None, ge=1, le=MAX_THREADS)
    method: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_schedule(self) -> RunConfig:
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} must not be above lr {self.lr:g}")
        return self

    def flat(self) -> dict[str, Any]:
        """All settings under their option names, the strategy's own among them; JSON-ready."""
        values = self.model_dump(mode="json", exclude={"method"})
        return {**values, **self.method}

    def draws_noise(self) -> bool:
        """Whether the operation ``noise`` is searched, which draws from torch's own generator."""
        operations = space_entry(self.space).operations(self.operations)
        return any("noise" in names for names in operations.values())

    def build_strategy(self) -> WiringStrategy:
        """The strategy object, with its settings."""
        return strategy_class(self.strategy)(**self.method)


def check_operations(entry: SpaceEntry, operations: EdgeOperations | None) -> None:
    """Raise SpaceError for an edge or an operation that the space has not."""
    known = sorted({*entry.candidates, "noise"})
    for edge, names in entry.operations(operations).items():
        for name in names:
            if name not in known:
                allowed = ", ".join(known)
                raise SpaceError(f"operations of edge {edge}: unknown {name!r}; allowed: {allowed}")


def option_names(strategy: str) -> list[str]:
    """All option names that a search with this strategy takes, sorted."""
    own = strategy_class(strategy).Settings.model_fields
    return sorted({*RunConfig.model_fields, *own, "seeds"} - {"method"})


def make_config(values: Mapping[str, Any]) -> RunConfig:
    """Check flat options and fill in the strategy's defaults.

    Raises ConfigError, one line: the option, what is wrong with it, what is allowed.
    """
    # None leaves an option of the run unset, but is a value of a method's own (clip: no limit)
    run_fields = RunConfig.model_fields
    unset = {*run_fields, "seeds"}
    given = {k: v for k, v in values.items() if v is not None or k not in unset}
    name = given.get("strategy", "darts")
    if not isinstance(name, str):
        raise ConfigError(f"strategy: must be a name, got {name!r:.60}")
    strategy = strategy_class(name)
    for key in given:
        if key not in option_names(name):
            raise ConfigError(unknown_name(str(key), f"strategy {name}", option_names(name)))
    if "seeds" in given:
        raise ConfigError("seeds: this is one search, which has one seed; give seed instead")
    run = {key: value for key, value in given.items() if key in run_fields}
    method = {key: value for key, value in given.items() if key not in run_fields}
    theta: ThetaDefaults = strategy.theta
    settings = strategy(**method).settings  # checks them
    try:
        entry = space_entry(str(run.get("space", RunConfig.model_fields["space"].default)))
        filled = {**theta._asdict(), **entry.defaults, **run}
        config = RunConfig(**filled, method=settings.model_dump(mode="json"))
        check_operations(entry, config.operations)
    except ValidationError as error:
        raise ConfigError(one_line_validation(error, "configuration", option_names(name))) from None
    except SpaceError as error:
        raise ConfigError(str(error)) from None
    return config


def make_configs(values: Mapping[str, Any]) -> list[RunConfig]:
    """One config for every seed of the option ``seeds``: a list of different whole numbers, also
    written ``1,2,3``. None of them has the option itself.

    Raises ConfigError, one line, as :func:`make_config`.
    """
    if values.get("seed") is not None:
        raise ConfigError("seed and seeds: only one of them can be given")
    others = {key: value for key, value in values.items() if key != "seeds"}
    return [make_config({**others, "seed": seed}) for seed in _seeds(values["seeds"])]


def _seeds(value: Any) -> list[int]:
    """The different whole numbers of the option ``seeds``; ConfigError for anything else."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        value = [int(part) if _NUMBER.fullmatch(part) else part for part in parts]
    if not isinstance(value, (list, tuple)) or not value:
        raise ConfigError(f"seeds: must be a list such as [1, 2, 3], not empty; got {value!r:.60}")
    found: dict[int, None] = {}
    for seed in value:
        if type(seed) is not int or not 0 <= seed < 2**31:
            raise ConfigError(f"seeds: {seed!r:.60} is not a whole number from 0 to {2**31 - 1}")
        if seed in found:
            raise ConfigError(f"seeds: {seed} is given twice; every seed is one search")
        found[seed] = None
    return list(found)


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """``("channels=8", "clip=null")`` -> options; values are read as YAML.

    Raises ConfigError for an assignment without "=" or with a value that is no YAML.
    """
    import yaml

    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {assignment!r}: expected key=value")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"--set {key}: {text!r:.60} is no YAML value") from None
    return values
