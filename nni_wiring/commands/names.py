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


#: Option -> its names.
_NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "strategy": strategy_names,
    "selection": selection_names,
    "space": space_names,
    "protocol": protocol_names,
}


def allowed_names() -> dict[str, list[str]]:
    """Option -> the names that it takes."""
    from nni_wiring.data.registry import data_names

    return {**{option: list(names()) for option, names in _NAMES.items()}, "data": data_names()}


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
