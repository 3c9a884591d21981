"""Turn a model space into a supernet: the hook that replaces cells and lone LayerChoices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.choice import ChoiceCell
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.hooks import hook_arguments, provide_alphas
from nni_wiring.supernet.partial_cell import PartialCell
from search_spaces.cell_graph import NB201, CellGraph
from search_spaces.nni_api import (
    Cell,
    LayerChoice,
    MutableModule,
    MutationHook,
    NasBench201Cell,
)
from search_spaces.wiring_cell import WiringCell, edge_of_label

#: A graph of one edge: what a LayerChoice outside any known cell amounts to.
SINGLE_EDGE = CellGraph(inputs=(0,), nodes=2, edges=((0, 1),), outputs=(1,))

CellFactory = Callable[[CellGraph, nn.ModuleDict, EdgeGroup], SupernetCell]


def _hub_cell_edges(cell: NasBench201Cell) -> nn.ModuleDict:
    """The LayerChoices of NNI's hub cell, by edge name, in our order (node by node, sources
    ascending).
    """
    edges = nn.ModuleDict()
    for target, choices in enumerate(cell.layers, start=1):
        for source, choice in enumerate(cast(nn.ModuleList, choices)):
            edges[f"{source}-{target}"] = choice
    return edges


def _as_cell(module: nn.Module) -> tuple[CellGraph, nn.ModuleDict] | None:
    if isinstance(module, WiringCell):
        return module.graph, module.edges
    if isinstance(module, NasBench201Cell) and module.num_tensors == NB201.nodes:
        return NB201, _hub_cell_edges(module)
    if type(module) is LayerChoice:
        return SINGLE_EDGE, nn.ModuleDict({"0-1": module})
    return None


class EdgeGroups(MutableModule):
    """The edge groups of a supernet, by number. A frozen network has none: its alphas are spent."""

    def __init__(self, groups: Iterable[EdgeGroup]) -> None:
        super().__init__()
        for number, group in enumerate(groups):
            self.add_module(str(number), group)

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Nothing of it is left."""
        return nn.Module()


class SupernetBuilder:
    """The mutation hook of one ``mutate_model`` call; collects the edge groups that it meets, in
    order of appearance.
    """

    def __init__(self, cell_factory: CellFactory) -> None:
        self.groups: dict[str, EdgeGroup] = {}
        self._cell_factory = cell_factory
        self._owned: set[int] = set()  # ids of LayerChoices that a supernet cell already runs

    def __call__(
        self, module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]
    ) -> nn.Module | bool:
        """NNI's mutation hook: a SupernetCell in place of a cell; True (leave alone) for what one
        already owns.
        """
        if id(module) in self._owned:
            return True
        found = _as_cell(module)
        if found is None:
            return False
        graph, edges = found
        self._owned.update(id(choice) for choice in edges.values())
        group = self._group(graph, edges)
        cell = self._cell_factory(graph, edges, group)
        if graph is not SINGLE_EDGE:
            return cell
        if isinstance(cell, PartialCell):
            raise ConfigError(
                f"partial channels (pc_darts, drnas): LayerChoice {group.name!r} is outside any "
                "cell, where channels are not known; allowed: choices inside a WiringCell or NNI's "
                "NasBench201Cell, or a method on all channels"
            )
        return ChoiceCell(graph, edges, group) if type(cell) is SupernetCell else cell

    def run(self, hook: MutationHook, module: nn.Module, name: str, memo: dict[str, Any]) -> Any:
        """Run any hook of the mutation: one of the user's finds alphas in its memo, as with NNI's
        DARTS, and does not see what a supernet cell already owns.
        """
        if hook is self or hook is refuse_the_rest:
            return hook(module, name, memo, {})
        if id(module) in self._owned:
            return False
        provide_alphas(module, memo)
        return hook(module, name, memo, hook_arguments())

    def _group(self, graph: CellGraph, edges: nn.ModuleDict) -> EdgeGroup:
        choices = [cast(LayerChoice, choice) for choice in edges.values()]
        labels = [choice.label for choice in choices]
        lone = graph is SINGLE_EDGE
        name = labels[0] if lone else labels[0].rsplit("/", 1)[0]
        group = EdgeGroup(
            name,
            edges=[edge_of_label(label) for label in labels] if lone else list(edges),
            labels=labels,
            operations=[list(choice.names) for choice in choices],
            graph=None if lone else graph,
        )
        _check_alike(self.groups.setdefault(name, group), group)
        return self.groups[name]


def refuse_the_rest(
    module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]
) -> bool:
    """NNI's mutation hook that comes last: raises ConfigError for a choice that no hook took."""
    check_no_choice(module, f"module {name!r}")
    return True


def check_no_choice(module: nn.Module, place: str) -> None:
    """Raise ConfigError where a module itself makes a choice; place: what messages call it."""
    open_choices = list(module.mutables) if isinstance(module, MutableModule) else []
    if isinstance(module, Cell) and module.merge_op != "all":
        open_choices = open_choices or [module]
    if open_choices:
        raise ConfigError(
            f"{place} of type {type(module).__name__} makes a choice that the strategies of "
            "nni_wiring do not take (a ValueChoice or a parametrised module, Repeat, InputChoice, "
            "Cell, ...); allowed: WiringCell, NNI's NasBench201Cell, LayerChoice, or a hook for it "
            "in mutation_hooks"
        )


def _check_alike(first: EdgeGroup, other: EdgeGroup) -> None:
    """Raise ConfigError where one alpha cannot serve both: by its label it is one and the same."""
    if (first.graph, first.labels) != (other.graph, other.labels):
        one, two = (", ".join(group.edges) for group in (first, other))
        differs = f"the edges {one} in one place and {two} in another"
    else:
        pairs = zip(first.edges, first.edge_operations, other.edge_operations, strict=True)
        unlike = [(edge, a, b) for edge, a, b in pairs if set(a) != set(b)]
        if not unlike:
            return
        edge, a, b = unlike[0]
        differs = f"edge {edge} with {', '.join(a)} in one place and with {', '.join(b)} in another"
    raise ConfigError(
        f"label {first.name!r}: what shares a label shares its choice, but it has {differs}; "
        "allowed: the same edges and operations, or another label"
    )
