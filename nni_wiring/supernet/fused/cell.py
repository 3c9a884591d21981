"""FusedCell: the supernet cell as few large operations; the same function and the same state_dict
as the plain one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from nni_wiring.supernet.autocast import autocast_type, without_autocast
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.fused import kernels as fused_kernels
from nni_wiring.supernet.fused.compiled import EAGER, Kernels, kernels_for, native_kernels
from nni_wiring.supernet.fused.depthwise import depthwise_shape
from nni_wiring.supernet.fused.kernels import Moments, Needs, Saved
from nni_wiring.supernet.fused.native import suits
from nni_wiring.supernet.fused.plan import (
    Active,
    Plan,
    fusable,
    make_plan,
    uses_batch_statistics,
)
from nni_wiring.supernet.fused.sharing_cell import SharingCell, can_share
from search_spaces.cell_graph import CellGraph
from search_spaces.nni_api import LayerChoice


class _Call(NamedTuple):
    """The inputs of one fused call beside its tensors. moments: filled by forward."""

    plan: Plan
    kernels: Kernels
    moments: list[Moments]


class _FusedFunction(torch.autograd.Function):
    """(call, z, inputs.., parameters..) -> the cell's output; backward gives dL/dZ exactly.

    Once differentiable. Runs in the type of its inputs, also under autocast.
    """

    @staticmethod
    def forward(ctx: Any, call: _Call, z: Tensor, *tensors: Tensor) -> Tensor:
        plan = call.plan
        inputs, parameters = tensors[: plan.inputs], tensors[plan.inputs :]
        counts = fused_kernels.inverse_counts(inputs[0])
        with without_autocast(z.device.type):
            states, saved, moments = call.kernels.forward(plan, z, inputs, parameters, counts)
        call.moments.extend(moments)
        outputs = [fused_kernels.images(states[node], inputs[0]) for node in plan.outputs]
        ctx.plan, ctx.kernels, ctx.groups = plan, call.kernels, len(saved)
        # an output node that nothing leaves is not needed again
        keep = [bool(s.convolutions or s.skips or s.pools) for s in plan.sources]
        kept = [state if needed else None for state, needed in zip(states, keep, strict=True)]
        flat = [tensor for group in saved for tensor in group]
        ctx.save_for_backward(z, counts, *parameters, *kept, *flat)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        z, counts, *rest = ctx.saved_tensors
        count = len(rest) - plan.nodes - len(Saved._fields) * ctx.groups
        parameters, states = rest[:count], rest[count : count + plan.nodes]
        flat = rest[count + plan.nodes :]
        width = len(Saved._fields)
        saved = [Saved(*flat[i : i + width]) for i in range(0, len(flat), width)]
        wants = ctx.needs_input_grad
        needs = Needs(wants[1], any(wants[2 : 2 + plan.inputs]), any(wants[2 + plan.inputs :]))
        with without_autocast(z.device.type):
            of_z, of_inputs, of_parameters = ctx.kernels.backward(
                plan, gradient, z, states, parameters, saved, counts, needs
            )
        return (None, of_z, *of_inputs, *of_parameters)


class _Stage(NamedTuple):
    """All that a cell needs to run one set of active operations. connected: no input is cut off.
    native: native.cpp may run it.
    """

    plan: Plan
    parameters: list[Tensor]
    norms: list[nn.BatchNorm2d]
    candidates: list[nn.Module]
    connected: bool
    native: bool

    def runs_fused(self) -> bool:
        """Batch norm uses the batch's statistics, nobody listens to a candidate module, and no
        input is cut off (what comes before it must get no gradient, which is not one of zeros).
        """
        heard = any(m._forward_hooks or m._forward_pre_hooks for m in self.candidates)
        return not heard and self.connected and uses_batch_statistics(self.norms)


class Term(NamedTuple):
    """The contribution of one edge to its target under a row of Z, (operations,)."""

    edge: int
    z: Tensor
    active: tuple[int, ...]


class FusedCell(SupernetCell):
    """A SupernetCell that runs like operations of a source together and never makes the terms of
    the weighted sum.

    Its parameters are those of the candidate modules, stacked when they are used. It runs as the
    plain cell does where batch norm uses running statistics (evaluation of a tracked supernet),
    where a candidate module has forward hooks, where an input is cut off, and inside
    ``plain_cells``. Under autocast it runs in autocast's type, sums and batch statistics in
    float32. compiled: use native code, or torch.compile wherever all operations run.
    """

    def __init__(self, graph: CellGraph, edges: nn.ModuleDict, group: EdgeGroup) -> None:
        super().__init__(graph, edges, group)
        self.plain, self.compiled = False, False
        self._stages: dict[Active, _Stage] = {}

    def unified(self, inputs: Sequence[Tensor], draw: Draw) -> Tensor:
        """The formula of the plain cell."""
        if not self.runs_fused(draw):
            return super().unified(inputs, draw)
        stage = self._stage(draw.active)
        device = inputs[0].device.type
        lowered = autocast_type(device)
        if lowered is not None:
            inputs = tuple(x.to(lowered) for x in inputs)
        call = _Call(stage.plan, self._kernels(stage, inputs[0], draw), [])
        output = _FusedFunction.apply(call, draw.z, *inputs, *stage.parameters)
        _track(stage.norms, call.moments, pixels=inputs[0].numel() // inputs[0].shape[1])
        return output

    def runs_fused(self, draw: Draw) -> bool:
        """False where this draw is run as the plain cell does; see the class."""
        return not self.plain and self._stage(draw.active).runs_fused()

    def terms(self, terms: Sequence[Term], x: Tensor) -> list[Tensor]:
        """Terms of the weighted sum that leave one node, each by itself, without gradients.

        Args:
            x: the state of that node, (n, C, h, w).

        Returns:
            One (n, C, h, w) tensor a term.
        """
        places = range(len(terms))
        star = CellGraph(
            inputs=(0,),
            nodes=1 + len(terms),
            edges=tuple((0, 1 + place) for place in places),
            outputs=tuple(1 + place for place in places),
        )
        active = tuple(term.active for term in terms)
        plan, parameters, _ = make_plan(star, active, lambda e, k: self.operation(terms[e].edge, k))
        z = torch.stack([term.z for term in terms])
        native = native_kernels(z, x, parameters) if self.compiled and suits(plan) else None
        with torch.no_grad(), without_autocast(x.device.type):
            counts = fused_kernels.inverse_counts(x)
            states, _, _ = (native or EAGER).forward(plan, z, [x], parameters, counts)
        return [fused_kernels.images(state, x) for state in states[1:]]

    def _kernels(self, stage: _Stage, x: Tensor, draw: Draw) -> Kernels:
        if not self.compiled:
            return EAGER
        native = native_kernels(draw.z, x, stage.parameters) if stage.native else None
        if native is not None:
            return native
        # torch.compile makes a kernel for one set of operations, and samples have thousands
        whole = draw.active == self.group.allowed
        return kernels_for(x.device.type) if whole else EAGER

    def _stage(self, active: Active) -> _Stage:
        if active not in self._stages:
            if len(self._stages) >= MAX_STAGES:
                self._stages.clear()
            candidates = [self.operation(e, k) for e, ks in enumerate(active) for k in ks]
            plan, parameters, norms = make_plan(self.graph, active, self.operation)
            self._stages[active] = _Stage(
                plan, parameters, norms, candidates, plan.uses_all_inputs, suits(plan)
            )
        return self._stages[active]


#: Stages that a cell keeps: sampled strategies draw other operations every step.
MAX_STAGES = 64


def _track(norms: Sequence[nn.BatchNorm2d], moments: Sequence[Moments], pixels: int) -> None:
    """Move the running statistics of training batch norms as nn.BatchNorm2d does."""
    tracking = [norm for norm in norms if norm.training and norm.running_mean is not None]
    if not tracking:
        return
    channels = norms[0].num_features
    means = torch.cat([m.mean for m in moments]).split(channels)
    variances = torch.cat([m.variance for m in moments]).split(channels)
    unbiased = pixels / (pixels - 1)
    with torch.no_grad():
        for norm, mean, variance in zip(norms, means, variances, strict=True):
            if not norm.training or norm.running_mean is None or norm.running_var is None:
                continue
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += 1
            weight: Any = norm.momentum
            if weight is None:
                weight = 1.0 / norm.num_batches_tracked.to(mean.dtype)
            dtype = norm.running_mean.dtype
            norm.running_mean.lerp_(mean.to(dtype), weight)
            norm.running_var.lerp_((variance * unbiased).to(dtype), weight)


@contextmanager
def plain_cells(model: nn.Module) -> Iterator[None]:
    """Run all fused cells of a model as plain ones, for what needs a second derivative."""
    cells = [module for module in model.modules() if isinstance(module, FusedCell)]
    before = [cell.plain for cell in cells]
    for cell in cells:
        cell.plain = True
    try:
        yield
    finally:
        for cell, value in zip(cells, before, strict=True):
            cell.plain = value


def can_fuse(graph: CellGraph, edges: nn.ModuleDict, group: EdgeGroup) -> bool:
    """True where a cell has only operations that the fused cell knows, of one width and with batch
    norms alike in whether they are affine.
    """
    modules = _candidates(edges, group)
    widths = {m.out_channels for module in modules for m in module.modules() if _is_conv(m)}
    return graph.nodes > 2 and all(fusable(module) for module in modules) and len(widths) <= 1


def _candidates(edges: nn.ModuleDict, group: EdgeGroup) -> list[nn.Module]:
    choices = [cast(LayerChoice, choice) for choice in edges.values()]
    return [
        choices[edge][group.choice(edge, k)]
        for edge, allowed in enumerate(group.allowed)
        for k in allowed
    ]


def _is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def fused_or_plain(graph: CellGraph, edges: nn.ModuleDict, group: EdgeGroup) -> SupernetCell:
    """A FusedCell where ``can_fuse``, a SharingCell where ``can_share``, else a SupernetCell."""
    if can_fuse(graph, edges, group):
        return FusedCell(graph, edges, group)
    shares = graph.nodes > 2 and can_share(_candidates(edges, group))
    return (SharingCell if shares else SupernetCell)(graph, edges, group)


def all_fused(model: nn.Module) -> bool:
    """True where every supernet cell of a model is a fused one."""
    return all(isinstance(cell, FusedCell) for cell in _cells(model))


def compile_cells(model: nn.Module) -> bool:
    """Let the cells of a model run compiled kernels that can: fused ones, and sharing ones with
    depthwise convolutions. False where there are others.
    """
    every = True
    for cell in _cells(model):
        shared = isinstance(cell, SharingCell) and any(map(depthwise_shape, cell.modules()))
        if shared or isinstance(cell, FusedCell):
            cell.compiled = True
        else:
            every = False
    return every


def _cells(model: nn.Module) -> list[SupernetCell]:
    return [module for module in model.modules() if isinstance(module, SupernetCell)]
