"""RunConfig: everything that defines one search, and its flat form under the option names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nni_wiring.errors import BenchmarkError, ConfigError
from nni_wiring.search.settings import DataSettings, RunSettings, ThetaSettings
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.registry import strategy_class
from nni_wiring.strategies.settings import StrategySettings
from nni_wiring.truth.catalogue import benchmark_for
from nni_wiring.validation import one_line_validation, unknown_name
from search_spaces.constraints import EdgeOperations
from search_spaces.errors import SpaceError
from search_spaces.nni_api import ModelSpace
from search_spaces.registry import SpaceEntry, space_entry
from search_spaces.settings import RUN_OPTIONS, SPACE_OPTIONS, SpaceSettings

Model = TypeVar("Model", bound=BaseModel)
_NUMBER = re.compile(r"[0-9]{1,12}")
_PARTS: tuple[type[BaseModel], ...] = (RunSettings, DataSettings, ThetaSettings)
assert {"seeds"}.union(*(part.model_fields for part in _PARTS)) == RUN_OPTIONS


@dataclass(frozen=True)
class RunConfig:
    """One search: its settings by the thing that they belong to.

    Outside of the program all of them stand side by side, under the names that ``search --set``,
    NNI's YAML and ``run.json`` have: ``flat`` and :func:`make_config` go there and back.
    """

    run: RunSettings
    data_settings: DataSettings
    theta: ThetaSettings
    space_settings: SpaceSettings
    method: StrategySettings

    def __getattr__(self, name: str) -> Any:
        """A setting by its flat name (``epochs``, ``seed``, ``channels``, a space's own, ...); a
        strategy's own settings are those of ``method`` only.
        """
        for part in ("run", "data_settings", "theta", "space_settings"):
            settings = self.__dict__.get(part)
            if settings is not None and name in type(settings).model_fields:
                return getattr(settings, name)
        raise AttributeError(f"a search has no setting {name!r}")

    def flat(self) -> dict[str, Any]:
        """All settings under their option names; JSON-ready."""
        values: dict[str, Any] = {}
        for part in (self.run, self.data_settings, self.theta, self.space_settings, self.method):
            values |= part.model_dump(mode="json")
        return values

    def draws_noise(self) -> bool:
        """True where the operation ``noise`` is searched; it draws from torch's own generator."""
        operations = space_entry(self.run.space).operations(self.space_settings.operations)
        return any("noise" in names for names in operations.values())

    def build_strategy(self) -> WiringStrategy:
        """The strategy object, with its settings."""
        return strategy_class(self.run.strategy)(**self.method.model_dump())

    def build_space(self, num_classes: int) -> ModelSpace:
        """The model space, not yet a supernet."""
        return space_entry(self.run.space).build(self.space_settings, num_classes)


def check_operations(entry: SpaceEntry, operations: EdgeOperations | None) -> None:
    """Raise SpaceError for an edge or an operation that the space has not."""
    known = sorted({*entry.candidates, "noise"})
    for edge, names in entry.operations(operations).items():
        for name in names:
            if name not in known:
                allowed = ", ".join(known)
                raise SpaceError(f"operations of edge {edge}: unknown {name!r}; allowed: {allowed}")


def option_names(strategy: str, space: str = "nasbench201") -> list[str]:
    """All option names that a search with this strategy and space takes, sorted.

    Raises:
        ConfigError: unknown name, or the space and the strategy have a setting of the same name.
    """
    own, of_space = strategy_class(strategy).Settings.model_fields, _entry(space).settings
    for name in own:
        if name in of_space.model_fields:
            raise ConfigError(
                f"strategy {strategy} and space {space} both have a setting {name!r}, "
                "so they cannot be searched together"
            )
    return sorted({*RUN_OPTIONS, *of_space.model_fields, *own})


def make_config(values: Mapping[str, Any]) -> RunConfig:
    """Check flat options and fill in what they leave out: the strategy's paper's training of theta,
    and the defaults.

    Raises ConfigError, one line: the option, what is wrong with it, what is allowed.
    """
    # None leaves an option unset, but is a value of a method's own (clip: no limit)
    unset = RUN_OPTIONS | SPACE_OPTIONS
    given = {k: v for k, v in values.items() if v is not None or k not in unset}
    strategy, entry = strategy_class(_name(given, "strategy")), _entry(_name(given, "space"))
    known = option_names(strategy.name, entry.name)
    for key in given:
        if key not in known:
            whose = f"strategy {strategy.name}, space {entry.name}"
            raise ConfigError(unknown_name(str(key), whose, known))
    if "seeds" in given:
        raise ConfigError("seeds: this is one search, which has one seed; give seed instead")
    method = {k: v for k, v in given.items() if k in strategy.Settings.model_fields}
    settings = strategy(**method).settings  # checks them
    given = {**strategy.theta._asdict(), **given}
    try:
        config = RunConfig(
            _part(RunSettings, given),
            _part(DataSettings, given),
            _part(ThetaSettings, given),
            _part(entry.settings, given),
            settings,
        )
        check_operations(entry, config.space_settings.operations)
        shown_dataset(config)
    except ValidationError as error:
        raise ConfigError(one_line_validation(error, "configuration", known)) from None
    except BenchmarkError as error:
        raise ConfigError(f"dataset: {error}") from None
    except SpaceError as error:
        raise ConfigError(str(error)) from None
    return config


def shown_dataset(config: RunConfig, usual: str = "") -> str:
    """The data set whose truth stands beside a search.

    Args:
        config: its table, else its space, says which benchmark, NAS-Bench-201 where there is none.
        usual: the one that goes with the searched data.

    Raises:
        BenchmarkError: the benchmark has not the one that was asked for.
    """
    run, operations = config.run, config.space_settings.operations
    benchmark = benchmark_for(space_entry(run.space).truth_benchmark(operations), run.benchmark)
    return benchmark.shown_dataset(run.dataset, usual)


def _name(given: Mapping[str, Any], option: str) -> str:
    name = given.get(option, RunSettings.model_fields[option].default)
    if not isinstance(name, str):
        raise ConfigError(f"{option}: must be a name, got {name!r:.60}")
    return name


def _entry(space: str) -> SpaceEntry:
    try:
        return space_entry(space)
    except SpaceError as error:
        raise ConfigError(str(error)) from None


def _part(model: type[Model], given: Mapping[str, Any]) -> Model:
    return model(**{key: value for key, value in given.items() if key in model.model_fields})


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
