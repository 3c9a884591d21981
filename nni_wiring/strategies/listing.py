"""The rows that `strategies` lists, read from the source in place of importing torch and NNI.

The classes are imported where the source is not the whole truth: another package announces entries
of its own, or the registry is loaded already and may hold more. Both ways give the same rows.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from nni_wiring.files.source import SourceClass, Unreadable, source_module

if TYPE_CHECKING:
    from nni_wiring.selection.base import Selection
    from nni_wiring.strategies.base import WiringStrategy
    from nni_wiring.supernet.relaxations.base import Relaxation

Row = dict[str, str]

_STRATEGIES = "nni_wiring.strategies.registry"
_RELAXATIONS = "nni_wiring.supernet.relaxations"
_SELECTIONS = "nni_wiring.selection.registry"
_PARTS = "nni_wiring.strategies.parts.declaration"


def strategy_rows() -> list[Row]:
    """A row a strategy: its name, level, relaxation, selection and paper."""
    return _rows(_STRATEGIES, "nni_wiring.strategies", _read_strategies, _load_strategies)


def relaxation_rows() -> list[Row]:
    """A row a relaxation: its name and summary."""
    return _rows(_RELAXATIONS, "nni_wiring.relaxations", _read_relaxations, _load_relaxations)


def selection_rows() -> list[Row]:
    """A row a selection: its name and summary."""
    return _rows(_SELECTIONS, "nni_wiring.selections", _read_selections, _load_selections)


def _rows(
    registry: str, group: str, read: Callable[[], list[Row]], load: Callable[[], list[Row]]
) -> list[Row]:
    if registry in sys.modules or entry_points(group=group):
        return load()
    try:
        return read()
    except Unreadable:
        return load()


# --- from the classes ---


def _load_strategies() -> list[Row]:
    from nni_wiring.strategies.registry import STRATEGIES

    return [_row(strategy) for strategy in STRATEGIES.values()]


def _row(strategy: type[WiringStrategy]) -> Row:
    fields = strategy.Settings.model_fields
    return {
        "name": strategy.name,
        "level": fields["optimisation"].default,
        "relaxation": strategy().relaxation.name,
        "selection": fields["selection"].default,
        "paper": strategy.paper,
    }


def _load_relaxations() -> list[Row]:
    from nni_wiring.supernet.relaxations import RELAXATIONS

    return [_summarised(entry) for entry in RELAXATIONS.values()]


def _load_selections() -> list[Row]:
    from nni_wiring.selection.registry import SELECTIONS

    return [_summarised(entry) for entry in SELECTIONS.values()]


def _summarised(entry: type[Relaxation | Selection]) -> Row:
    return {"name": entry.name, "summary": (entry.__doc__ or "").strip().split("\n")[0]}


# --- from the source ---


def _read_strategies() -> list[Row]:
    rows = []
    for strategy in source_module(_STRATEGIES).registered("STRATEGIES"):
        settings = strategy.class_of("Settings")
        rows.append(
            {
                "name": strategy.text("name"),
                "level": settings.text("optimisation"),
                "relaxation": declared_relaxation(strategy).text("name"),
                "selection": settings.text("selection"),
                "paper": strategy.text("paper"),
            }
        )
    return rows


def _read_relaxations() -> list[Row]:
    return _read_summarised(_RELAXATIONS, "RELAXATIONS")


def _read_selections() -> list[Row]:
    return _read_summarised(_SELECTIONS, "SELECTIONS")


def _read_summarised(module: str, registry: str) -> list[Row]:
    entries = source_module(module).registered(registry)
    return [{"name": entry.text("name"), "summary": entry.summary()} for entry in entries]


def declared_relaxation(strategy: SourceClass) -> SourceClass:
    """The one relaxation that ``declare`` makes: its own, its base's where it asks ``super()``,
    else the default of Parts. Raises Unreadable where it makes several, as the settings say.
    """
    owner, declare = strategy.method("declare")
    found = {one.key: one for one in _made(declare, owner)}
    if len(found) > 1:
        raise Unreadable(f"{owner.node.name} declares one of several relaxations")
    if found:
        return next(iter(found.values()))
    if "super().declare()" in ast.unparse(declare):
        _, base, *_ = owner.lineage()
        return declared_relaxation(base)
    return _default_relaxation()


def _made(node: ast.AST, owner: SourceClass) -> Iterator[SourceClass]:
    """The relaxations that calls below ``node`` make, but for those handed to another one."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            made = owner.module.find(name)
            if made is not None and _is_relaxation(made):
                yield made
                return
    for child in ast.iter_child_nodes(node):
        yield from _made(child, owner)


def _default_relaxation() -> SourceClass:
    module, value = source_module(_PARTS).named(ast.Name("Parts")).attribute("relaxation")
    match value:
        case ast.Call(keywords=[ast.keyword(arg="default_factory", value=factory)]):
            return module.named(factory)
    raise Unreadable("Parts.relaxation has no default_factory")


def _is_relaxation(found: SourceClass) -> bool:
    root = (f"{_RELAXATIONS}.base", "Relaxation")
    return any(ancestor.key == root for ancestor in found.lineage())
