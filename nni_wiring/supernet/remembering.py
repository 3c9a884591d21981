"""Evaluations of a supernet under several Z: their common work is done once a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from nni_wiring.supernet.autocast import autocast_type
from nni_wiring.supernet.cell import SupernetCell, Weights, is_zero
from nni_wiring.supernet.choice import ChoiceCell
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.fused.cell import FusedCell, Term
from nni_wiring.supernet.partial_cell import PartialCell
from search_spaces.cell_graph import CellGraph
from search_spaces.nni_api import BaseSuperNetModule
from search_spaces.operations import Noise

#: Rows of Z as keys, by edge group name: equal where an edge computes the same function.
Rows = Mapping[str, tuple[bytes, ...]]


def function_rows(group: EdgeGroup, z: Tensor) -> tuple[bytes, ...]:
    """One key an edge, equal where its row of Z means the same: the weight of ``none`` does not
    count. z: (edges, operations).
    """
    values = z.detach().cpu().clone()
    if "none" in group.operations:
        values[:, group.operations.index("none")] = 0
    return tuple(row.numpy().tobytes() for row in values)


class Remembered:
    """Results of one batch by the tensors that they were made of, and which Z is running.

    A tensor is common where it is a batch, or was made from common ones in a way that several of
    ``variants`` share. rows: of the Z that runs.
    """

    def __init__(self, variants: Sequence[Rows]) -> None:
        self.variants = variants
        self.rows: Rows = variants[0] if variants else {}
        # a tensor and its version; kept, so that an id stays a tensor's own
        self._common: dict[int, tuple[Tensor, int]] = {}
        self._results: dict[Hashable, Any] = {}

    def start(self, *batch: Tensor) -> None:
        """Forget all, and go on with a batch, if any."""
        self._results.clear()
        self._common = {id(tensor): (tensor, _version(tensor)) for tensor in batch}

    def knows(self, tensors: Sequence[Any]) -> bool:
        """True where all are common, and as they were: no operation has changed them in place."""
        return bool(tensors) and all(
            id(tensor) in self._common and self._common[id(tensor)][1] == _version(tensor)
            for tensor in tensors
        )

    def once(self, key: Hashable, tensors: Sequence[Tensor], compute: Callable[[], Any]) -> Any:
        """The result of ``compute`` on common tensors, run the first time only."""
        result = self.found(key, tensors, default=self)
        if result is not self:
            return result
        result = compute()
        # a module that changes its input in place has to do so each time
        return self.keep(key, tensors, result) if self.knows(tensors) else result

    def found(self, key: Hashable, tensors: Sequence[Tensor], default: Any = None) -> Any:
        """The result known under a key of common tensors, or the default."""
        result = self._results.get((key, *map(id, tensors)), default)
        changed = isinstance(result, Tensor) and not self.knows([result])
        return default if changed else result

    def keep(self, key: Hashable, tensors: Sequence[Tensor], result: Any) -> Any:
        """Know a result from now on, and return it; a tensor is common."""
        self._results[(key, *map(id, tensors))] = result
        if isinstance(result, Tensor):
            self._common[id(result)] = result, _version(result)
        return result


def _version(tensor: Tensor) -> int:
    """Counts the changes in place."""
    return 0 if tensor.is_inference() else tensor._version


class _CommonCell:
    """The methods that stand in for those of one cell. ``original`` are the cell's own."""

    def __init__(self, cell: SupernetCell, remembered: Remembered) -> None:
        self.cell, self.remembered = cell, remembered
        self.original = cell.unified, cell.node_state, cell.edge_output
        self._upstream = [_edges_above(cell.graph, node) for node in range(cell.graph.nodes)]
        everything = range(len(cell.graph.edges))
        self._parts = {("node", node): edges for node, edges in enumerate(self._upstream)}
        self._parts |= {("edge", edge): (edge,) for edge in everything}
        self._parts["cell", 0] = tuple(everything)
        name = cell.group.name
        self._counts = {
            part: Counter(_chosen(rows[name], edges) for rows in remembered.variants)
            for part, edges in self._parts.items()
        }

    def _key(self, kind: str, place: int) -> Hashable:
        """The rows of Z that a part of the cell depends on; None where no other variant has
        them.
        """
        part = kind, place
        key = _chosen(self.remembered.rows[self.cell.group.name], self._parts[part])
        return (id(self.cell), *part, key) if self._counts[part][key] > 1 else None

    def unified(self, inputs: Sequence[Tensor], draw: Draw) -> Tensor:
        """``SupernetCell.unified``."""
        unified = self.original[0]
        if not self.remembered.knows(inputs) or self._noisy(draw, self._parts["cell", 0]):
            return unified(inputs, draw)
        key = self._key("cell", 0)
        if key is not None:
            result = self.remembered.once(key, inputs, lambda: unified(inputs, draw))
            return cast(Tensor, result)
        return self._by_nodes(inputs, draw)

    def _by_nodes(self, inputs: Sequence[Tensor], draw: Draw) -> Tensor:
        return self.original[0](inputs, draw)

    def node_state(
        self, node: int, states: Sequence[Tensor], weights: Sequence[Weights], draw: Draw
    ) -> Tensor:
        """``SupernetCell.node_state``."""

        def compute() -> Tensor:
            return self.original[1](node, states, weights, draw)

        inputs = states[: len(self.cell.graph.inputs)]
        key = self._key("node", node) if self.remembered.knows(inputs) else None
        if key is None or self._noisy(draw, self._upstream[node]):
            return compute()
        return cast(Tensor, self.remembered.once(key, inputs, compute))

    def edge_output(self, edge: int, x: Tensor, weights: Weights, draw: Draw) -> Tensor | None:
        """``SupernetCell.edge_output``."""
        own = self.original[2]
        if not self.remembered.knows([x]) or self._noisy(draw, (edge,)):
            return own(edge, x, weights, draw)
        key = self._key("edge", edge)
        if key is not None:
            term = self.remembered.once(key, [x], lambda: own(edge, x, weights, draw))
            return cast("Tensor | None", term)
        if isinstance(self.cell, PartialCell):
            return own(edge, x, weights, draw)
        return self._sum(edge, x, weights, draw)

    def _sum(self, edge: int, x: Tensor, weights: Weights, draw: Draw) -> Tensor | None:
        """``SupernetCell.mixture``, each operation run once."""
        total: Tensor | None = None
        for k in draw.active[edge]:
            operation = self.cell.operation(edge, k)
            if not is_zero(operation):
                key = self._operation_key(edge, k)
                output = self.remembered.once(key, [x], partial(operation, x))
                total = weights[k] * output if total is None else total + weights[k] * output
        return total

    def _operation_key(self, edge: int, k: int) -> Hashable:
        return id(self.cell), "operation", edge, k

    def _noisy(self, draw: Draw, edges: Sequence[int]) -> bool:
        """True where some active operation draws numbers: each variant has its own."""
        return any(
            isinstance(self.cell.operation(edge, k), Noise)
            for edge in edges
            for k in draw.active[edge]
        )


class _CommonFusedCell(_CommonCell):
    """Of a fused cell, whose terms are run by ``FusedCell.terms``: those of a source together."""

    cell: FusedCell
    _own: dict[int, Tensor] | None = None  # by edge, of this call

    def _by_nodes(self, inputs: Sequence[Tensor], draw: Draw) -> Tensor:
        lowered = autocast_type(inputs[0].device.type) is not None
        if lowered or not self.cell.runs_fused(draw):
            return super()._by_nodes(inputs, draw)
        self._own = {}
        try:
            return SupernetCell.unified(self.cell, inputs, draw)
        finally:
            self._own = None

    def edge_output(self, edge: int, x: Tensor, weights: Weights, draw: Draw) -> Tensor | None:
        """``SupernetCell.edge_output``."""
        if self._own is None:
            return super().edge_output(edge, x, weights, draw)
        if not draw.active[edge]:
            return None
        source = self.cell.graph.edges[edge][0]
        leaving = [e for e, (first, _) in enumerate(self.cell.graph.edges) if first == source]
        if not self.remembered.knows([x]):
            if edge not in self._own:
                active = [e for e in leaving if draw.active[e]]
                rows = [Term(e, draw.z[e], draw.active[e]) for e in active]
                self._own |= dict(zip(active, self.cell.terms(rows, x), strict=True))
            return self._own[edge]
        self._remember(leaving, x, draw)
        key = self._key("edge", edge)
        if key is not None:
            return cast(Tensor, self.remembered.found(key, [x]))
        return self._sum(edge, x, weights, draw)

    def _remember(self, edges: Sequence[int], x: Tensor, draw: Draw) -> None:
        """Run what is not known yet of edges that leave a common node: the sum of an edge that
        other variants share, else each of its operations.
        """
        wanted: dict[Hashable, Term] = {}
        for edge in edges:
            key = self._key("edge", edge)
            if key is not None:
                wanted[key] = Term(edge, draw.z[edge], draw.active[edge])
                continue
            ones = torch.ones_like(draw.z[edge])
            for k in draw.active[edge]:
                if not is_zero(self.cell.operation(edge, k)):
                    wanted[self._operation_key(edge, k)] = Term(edge, ones, (k,))
        missing = [key for key in wanted if self.remembered.found(key, [x]) is None]
        if missing:
            outputs = self.cell.terms([wanted[key] for key in missing], x)
            for key, output in zip(missing, outputs, strict=True):
                self.remembered.keep(key, [x], output)


def _chosen(rows: Sequence[bytes], edges: Sequence[int]) -> tuple[bytes, ...]:
    return tuple(rows[edge] for edge in edges)


def _edges_above(graph: CellGraph, node: int) -> tuple[int, ...]:
    """The edges on any path to a node."""
    above = {node}
    for source, target in sorted(graph.edges, key=lambda edge: -edge[1]):
        if target in above:
            above.add(source)
    return tuple(edge for edge, (_, target) in enumerate(graph.edges) if target in above)


def _apart(model: nn.Module) -> Iterator[nn.Module]:
    """The largest modules that no choice and no drawn noise is part of."""
    for child in model.children():
        if isinstance(child, SupernetCell):
            continue
        drawn = any(isinstance(m, (BaseSuperNetModule, Noise)) for m in child.modules())
        if drawn or isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            if not isinstance(child, BaseSuperNetModule):
                yield from _apart(child)
        else:
            yield child


def _common_forward(module: nn.Module, remembered: Remembered) -> Callable[..., Any]:
    own = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if kwargs or not remembered.knows(args):
            return own(*args, **kwargs)
        return remembered.once((id(module), "forward"), args, lambda: own(*args))

    return forward


@contextmanager
def common_work_once(model: nn.Module, variants: Sequence[Rows]) -> Iterator[Remembered]:
    """Let a model run what several variants share once a batch: what comes before the first cell
    that differs, and in that cell the nodes, edges and operations that are alike. The caller names
    each batch (``start``) and the Z that runs (``rows``). Only for passes without gradients, in
    evaluation mode.
    """
    remembered = Remembered(variants)
    with ExitStack() as stack:
        for module in _apart(model):
            _replace(stack, module, "forward", _common_forward(module, remembered))
        for cell in model.modules():
            if isinstance(cell, SupernetCell) and not isinstance(cell, ChoiceCell):
                kind = _CommonFusedCell if isinstance(cell, FusedCell) else _CommonCell
                common = kind(cell, remembered)
                for name in ("unified", "node_state", "edge_output"):
                    _replace(stack, cell, name, getattr(common, name))
        stack.callback(remembered.start)
        yield remembered


def _replace(stack: ExitStack, module: nn.Module, name: str, method: Any) -> None:
    """Give a module a method of its own until the stack is left."""
    before = vars(module).get(name)
    setattr(module, name, method)
    if before is None:
        stack.callback(delattr, module, name)
    else:
        stack.callback(setattr, module, name, before)
