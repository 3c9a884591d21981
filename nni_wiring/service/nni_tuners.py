"""The samplers as NNI tuners, for `tuner: {name: WiringEvolution}` after `register`.

The search space has one choice of operations per edge ("0-1", "0-2", ...), and may hold further
choices of a single value, which are passed on to the trial as they are.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nni.tuner import Tuner

from nni_wiring.errors import ConfigError
from nni_wiring.tuners.bayes import BayesSampler
from nni_wiring.tuners.growth import GrowthSampler
from nni_wiring.tuners.journal import Event, Journal
from nni_wiring.tuners.samplers import (
    Cell,
    EvolutionSampler,
    LocalSearchSampler,
    RandomSampler,
    ReinforceSampler,
    Sampler,
    check_integer,
)
from search_spaces.cell_graph import NB201, OPERATIONS, parse_arch
from search_spaces.errors import SpaceError

_log = logging.getLogger(__name__)
_MODES = ("maximize", "minimize")


class WiringTuner(Tuner):
    """Base class: turns NNI's calls into ask and tell of one sampler.

    Args:
        optimize_mode: "maximize" or "minimize".
        seed: of all random draws.
        options: of the sampler.

    Raises:
        ConfigError: an option is unknown or out of its range.
    """

    sampler_class: ClassVar[type[Sampler]]

    def __init__(self, optimize_mode: str = "maximize", seed: int = 0, **options: Any) -> None:  # noqa: ANN401
        super().__init__()
        if optimize_mode not in _MODES:
            raise ConfigError(f"optimize_mode = {optimize_mode!r}; allowed: {', '.join(_MODES)}")
        check_integer("seed", seed, 0, 2**63)
        self._sign = 1.0 if optimize_mode == "maximize" else -1.0
        self._seed, self._options = seed, options
        self._fixed: dict[str, Any] = {}
        self._told: Counter[Event] = Counter()
        self._sampler = self._make()  # refuses bad options before NNI starts anything

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        """Take the choices of each edge; ConfigError names what cannot be searched."""
        choices, self._fixed = read_search_space(search_space)
        self._sampler = self._make(choices=choices)
        # Here rather than in load_checkpoint, which NNI calls before the search space is known.
        self._replay()

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """The next cell, one operation per edge, and the single-valued choices."""
        cell = self._sampler.ask()
        self._record(Event(cell, None))
        chosen = [OPERATIONS[operation] for operation in cell]
        return {**self._fixed, **dict(zip(NB201.edge_names, chosen, strict=True))}

    def receive_trial_result(
        self,
        parameter_id: int,
        parameters: dict[str, Any],
        value: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Learn one final result; ``value`` is a number or a dict with "default"."""
        self._tell(cell_of(parameters), value)

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Learn earlier results, but none twice.

        NNI calls it on resume, too, with parameters that may belong to another trial; a result
        that names its own cell is taken at its word.
        """
        for entry in data:
            value = entry.get("value")
            try:
                own = value.get("arch") if isinstance(value, Mapping) else None
                cell = parse_arch(own) if own else cell_of(entry["parameter"])
            except (ConfigError, SpaceError, KeyError, TypeError) as error:
                _log.warning("imported result left out: %s", error)
                continue
            event = self._event(cell, value)
            if event is not None and self._told[event] > 0:
                self._told[event] -= 1
            else:
                self._tell(cell, value)

    def _replay(self) -> None:
        """Repeat the calls of the journal, which is empty unless an experiment is resumed."""
        journal = self._journal()
        events = journal.read() if journal else []
        if journal is None or not events:
            return
        journal.repair(events)
        self._told.clear()
        other = 0
        for event in events:
            if event.value is None:
                other += self._sampler.ask() != event.cell
            elif self._allowed(event.cell):
                self._sampler.tell(event.cell, event.value)
                self._told[event] += 1
        _log.info("resumed after %d calls, %d of them repeated otherwise", len(events), other)

    def _allowed(self, cell: Cell) -> bool:
        choices = self._sampler.choices
        return len(cell) == len(choices) and all(
            operation in allowed for operation, allowed in zip(cell, choices, strict=True)
        )

    def _make(self, **space: Any) -> Sampler:  # noqa: ANN401
        try:
            return self.sampler_class(seed=self._seed, **space, **self._options)
        except TypeError as error:
            name = type(self).__name__
            raise ConfigError(f"{name}: unknown option in {sorted(self._options)}") from error

    def _event(self, cell: Cell, value: object) -> Event | None:
        number = value.get("default") if isinstance(value, Mapping) else value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        return Event(cell, self._sign * number) if math.isfinite(number) else None

    def _tell(self, cell: Cell, value: object) -> None:
        event = self._event(cell, value)
        if event is None or event.value is None or not self._allowed(cell):
            _log.warning(
                "result %.80s of %s left out: no finite number, or not searched", value, cell
            )
            return
        self._sampler.tell(cell, event.value)
        self._record(event)

    def _record(self, event: Event) -> None:
        journal = self._journal()
        if journal is not None:
            journal.append(event)

    def _journal(self) -> Journal | None:
        folder = self.get_checkpoint_path()
        return Journal(Path(folder)) if folder else None


def cell_of(parameters: Mapping[str, Any]) -> Cell:
    """The cell in a trial's parameters; ConfigError if an edge or operation is wrong."""
    for edge in NB201.edge_names:
        if parameters.get(edge) not in OPERATIONS:
            raise ConfigError(
                f"parameter {edge!r} = {parameters.get(edge)!r}; allowed: {', '.join(OPERATIONS)}"
            )
    return tuple(OPERATIONS.index(parameters[edge]) for edge in NB201.edge_names)


def read_search_space(
    space: Mapping[str, Any],
) -> tuple[tuple[tuple[int, ...], ...], dict[str, Any]]:
    """Operation indices of each edge, and the choices of a single value.

    Raises:
        ConfigError: an edge is missing, or something but one operation per edge is left to search.
    """
    fixed = {}
    by_edge = {}
    for name, entry in space.items():
        values = entry.get("_value") if isinstance(entry, Mapping) else None
        if not isinstance(values, list) or not values or entry.get("_type") != "choice":
            raise ConfigError(f"search space: {name!r} must be a choice with values")
        if name in NB201.edge_names:
            unknown = [value for value in values if value not in OPERATIONS]
            if unknown or len(set(values)) != len(values):
                raise ConfigError(
                    f"search space: edge {name!r} has {unknown[:1] or 'an operation twice'}; "
                    f"allowed, each once: {', '.join(OPERATIONS)}"
                )
            by_edge[name] = tuple(OPERATIONS.index(value) for value in values)
        elif len(values) == 1:
            fixed[name] = values[0]
        else:
            raise ConfigError(f"search space: {name!r} has several values; only edges may have")
    missing = [edge for edge in NB201.edge_names if edge not in by_edge]
    if missing:
        raise ConfigError(f"search space: no edge {missing[0]!r}")
    return tuple(by_edge[edge] for edge in NB201.edge_names), fixed


class WiringRandom(WiringTuner):
    """Uniform random search."""

    sampler_class = RandomSampler


class WiringEvolution(WiringTuner):
    """Regularised evolution; options population, sample."""

    sampler_class = EvolutionSampler


class WiringGrowth(WiringTuner):
    """Evolution whose cells start with one edge and only gain some; options population, sample,
    grow.
    """

    sampler_class = GrowthSampler


class WiringReinforce(WiringTuner):
    """REINFORCE on independent edges; options learning_rate, momentum."""

    sampler_class = ReinforceSampler


class WiringLocalSearch(WiringTuner):
    """Local search with restarts."""

    sampler_class = LocalSearchSampler


class WiringBayes(WiringTuner):
    """Gaussian process on a graph kernel; options start, refit, window."""

    sampler_class = BayesSampler


TUNERS = (
    WiringRandom,
    WiringEvolution,
    WiringGrowth,
    WiringReinforce,
    WiringLocalSearch,
    WiringBayes,
)
