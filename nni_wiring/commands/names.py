"""The names that a command takes, and the refusal of others before torch is imported for them.

The registries refuse them too, in the same words; that they are asked here first spares a user who
mistypes a name the seconds of the import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nni_wiring.errors import ConfigError
from search_spaces.names import not_known


def strategy_names() -> list[str]:
    """Search strategies."""
    from nni_wiring.strategies.listing import strategy_rows

    return [row["name"] for row in strategy_rows()]


def selection_names() -> list[str]:
    """Selections: ways to read a cell off a supernet."""
    from nni_wiring.strategies.listing import selection_rows

    return [row["name"] for row in selection_rows()]


def space_names() -> list[str]:
    """Search spaces."""
    from search_spaces.registry import SPACES

    return list(SPACES)


def protocol_names() -> list[str]:
    """Protocols of `train`."""
    from nni_wiring.train.protocols import PROTOCOLS

    return list(PROTOCOLS)


def data_names() -> list[str]:
    """Data sets; of ``npz:PATH`` the part before the path."""
    from nni_wiring.data.registry import data_sources

    return [source.name for source in data_sources()]


def study_names() -> list[str]:
    """Studies."""
    from nni_wiring.studies.registry import STUDIES

    return list(STUDIES)


def table_names() -> list[str]:
    """Truth tables, and the benchmarks that stand for their default table."""
    from nni_wiring.truth import BENCHMARKS
    from nni_wiring.truth import table_names as tables

    return list(dict.fromkeys([*tables(), *BENCHMARKS]))


def dataset_names() -> list[str]:
    """Data sets of the benchmarks."""
    from nni_wiring.truth import BENCHMARKS

    return list(dict.fromkeys(name for one in BENCHMARKS.values() for name in one.dataset_names))


def split_names() -> list[str]:
    """Splits of the benchmarks."""
    from nni_wiring.truth import BENCHMARKS

    return list(dict.fromkeys(name for one in BENCHMARKS.values() for name in one.splits))


def run_names() -> list[str]:
    """Runs, and ``latest``."""
    from nni_wiring.service.resolve import run_ids

    return [*run_ids(), "latest"]


def experiment_names() -> list[str]:
    """NNI's experiments, and ``latest``."""
    from nni_wiring.service.manifest import read_manifest

    return [*read_manifest(), "latest"]


def run_or_experiment_names() -> list[str]:
    """All that stands for runs, but for folders and trials."""
    from nni_wiring.service.resolve import known_ids

    return known_ids()


#: Option -> its names.
_NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "strategy": strategy_names,
    "selection": selection_names,
    "space": space_names,
    "protocol": protocol_names,
}


def allowed_names() -> dict[str, list[str]]:
    """Option -> the names that it takes."""
    from nni_wiring.data.registry import data_names as spelt

    return {**{option: list(names()) for option, names in _NAMES.items()}, "data": spelt()}


def check_names(options: Mapping[str, Any]) -> None:
    """Refuse a name that is not known; options without a list of names pass.

    Args:
        options: by their flat names.

    Raises:
        WiringError: one line, with the allowed names and those spelt alike.
    """
    for option, names in _NAMES.items():
        name = options.get(option)
        if isinstance(name, str) and name not in (known := list(names())):
            raise ConfigError(not_known(option, name, known))
    if isinstance(options.get("data"), str):
        from nni_wiring.data.registry import find_source

        find_source(options["data"])
    if isinstance(options.get("benchmark"), str):
        from nni_wiring.truth import load_table

        load_table(options["benchmark"])
