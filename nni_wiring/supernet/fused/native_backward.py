"""The gradients of a fused cell on one CPU thread; see ``native``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nni_wiring.supernet.fused.kernels import (
    Needs,
    Saved,
    affine_of,
    images,
    rows,
    weights_of,
)
from nni_wiring.supernet.fused.native import address, convolves, longs, place, pooled_nodes
from nni_wiring.supernet.fused.native_library import library
from nni_wiring.supernet.fused.plan import ConvGroup, Plan, SourcePlan


class NodeGradient(NamedTuple):
    """dL/dx of a node (pixels, C), its sum over pixels (C,) in float64, and the adjoint of pooling
    applied to it where a pool leads to the node.
    """

    value: Tensor
    total: Tensor
    adjoint: Tensor | None


class _Rectified:
    """The part of dL/dr that a source's convolutions add."""

    def __init__(self) -> None:
        self.wide: Tensor | None = None
        self.r: Tensor | None = None
        self.constant: Tensor | None = None
        self.mixed: Tensor | None = None
        self.back: Tensor | None = None
        self.count, self.targets = 0, longs([])


class Backward:
    """One backward pass of one cell; see ``backward``."""

    def __init__(
        self,
        plan: Plan,
        z: Tensor,
        parameters: Sequence[Tensor],
        counts: Tensor,
        needs: Needs,
        like: Tensor,
    ) -> None:
        self.plan, self.z, self.parameters = plan, z.contiguous(), parameters
        self.counts, self.needs, self.like = counts, needs, like
        self.channels = like.shape[1]
        self.code = library(self.channels, like.dtype)
        self.pooled = pooled_nodes(plan)
        self.of_node: list[NodeGradient | None] = [None] * plan.nodes
        self.of_input: list[Tensor | None] = [None] * plan.inputs
        self.of_z = torch.zeros_like(self.z)
        self.of_parameters: list[Tensor | None] = [None] * len(parameters)

    def source(
        self, source: SourcePlan, x: Tensor | None, saved: Sequence[Saved], own: Tensor | None
    ) -> None:
        """dL/d state of a node from all that leaves it. own: of the node as an output."""
        node = source.source
        wanted = node >= self.plan.inputs or self.needs.inputs
        total = own
        if x is not None:
            total = self._leaving(source, x, saved, own, wanted)
        if node < self.plan.inputs:
            self.of_input[node] = total
        elif total is not None:
            self._finish(node, total)

    def _finish(self, node: int, value: Tensor) -> None:
        n, _, h, w = self.like.shape
        total = torch.empty(self.channels, dtype=torch.float64)
        adjoint = torch.empty_like(value) if node in self.pooled else None
        counts, places = self.counts.data_ptr(), (total.data_ptr(), address(adjoint))
        self.code.node_gradient(value.data_ptr(), n, h, w, counts, *places)
        self.of_node[node] = NodeGradient(value, total, adjoint)

    def _target(self, node: int) -> NodeGradient:
        found = self.of_node[node]
        assert found is not None  # in plans that ``suits``
        return found

    def _leaving(
        self,
        source: SourcePlan,
        x: Tensor,
        saved: Sequence[Saved],
        own: Tensor | None,
        wanted: bool,
    ) -> Tensor | None:
        found = _Rectified()
        if source.convolutions:
            found.r = torch.empty_like(x)
            self.code.rectified(x.data_ptr(), len(x), found.r.data_ptr(), None, None)
        for group, kept in zip(source.convolutions, saved, strict=True):
            step = self._pointwise if group.kernel == 1 else self._stacked
            step(group, kept, found, wanted)
        linear = [(b, self._target(b.target).value) for b in source.skips]
        linear += [(b, self._target(b.target).adjoint) for b in source.pools]  # type: ignore[misc]
        places, size = [], self.z.element_size()
        for branch, gradient in linear:
            entry = place(branch, self.z)
            of_z = self.of_z.data_ptr() + entry * size
            self.code.linear(gradient.data_ptr(), x.data_ptr(), len(x), of_z)
            places += [gradient.data_ptr(), entry]
        if not wanted:
            return None
        out = torch.empty_like(x)
        tensors = (x, found.wide, found.r, found.constant, found.mixed, found.back)
        given = [address(tensor) or 0 for tensor in tensors]
        targets, linears = ctypes.addressof(found.targets), longs(places)
        record = [
            *given,
            found.count,
            targets,
            len(linear),
            ctypes.addressof(linears),
            address(own) or 0,
        ]
        self.code.source_gradient(longs(record), self.z.data_ptr(), len(x), out.data_ptr())
        return out

    def _group(self, group: ConvGroup, kept: Saved) -> tuple[Any, Any, int | None, list[Tensor]]:
        """Targets, batch norms and shifts as native.cpp takes them, and what must be kept alive."""
        found = [self._target(branch.target) for branch in group.branches]
        targets: list[int] = []
        for branch, target in zip(group.branches, found, strict=True):
            targets += [target.value.data_ptr(), target.total.data_ptr(), place(branch, self.z)]
        affine = affine_of(group, self.parameters)
        norm = [kept.mean.data_ptr(), kept.inverse.data_ptr(), 0, 0, 0]
        if affine is None:
            return longs(targets), longs(norm), None, []
        of_scale, of_shift = torch.empty_like(affine[0]), torch.empty_like(affine[1])
        norm[2:] = [affine[0].data_ptr(), of_scale.data_ptr(), of_shift.data_ptr()]
        if self.needs.weights:
            for number, branch in enumerate(group.branches):
                self.of_parameters[branch.slot + 1] = of_scale[self._part(number)]
                self.of_parameters[branch.slot + 2] = of_shift[self._part(number)]
        return longs(targets), longs(norm), affine[1].data_ptr(), [*affine, of_scale, of_shift]

    def _part(self, number: int) -> slice:
        return slice(number * self.channels, (number + 1) * self.channels)

    def _stacked(self, group: ConvGroup, kept: Saved, found: _Rectified, wanted: bool) -> None:
        y, r = kept.outputs, found.r
        assert y is not None and r is not None
        targets, norm, shifts, _alive = self._group(group, kept)
        dy = torch.empty_like(y) if wanted or self.needs.weights else None
        given = (len(group.branches), targets, norm, shifts, y.data_ptr(), len(y))
        z, of_z = self.z.data_ptr(), self.of_z.data_ptr()
        self.code.stacked_backward(*given, z, of_z, address(dy))
        if dy is None:
            return
        of_r, of_weights = self._of_convolution(group, dy, r, wanted)
        if self.needs.weights:
            for number, branch in enumerate(group.branches):
                self.of_parameters[branch.slot] = of_weights[self._part(number)]
        if wanted:
            found.wide = of_r if found.wide is None else found.wide.add_(of_r)

    def _of_convolution(
        self, group: ConvGroup, dy: Tensor, r: Tensor, wanted: bool
    ) -> tuple[Tensor, Tensor]:
        """dL/dr (pixels, C) and dL/d weights (branches x C, C, k, k), where they are needed."""
        weights = weights_of(group, self.parameters).contiguous()
        if convolves(group, self.like):
            n, _, h, w = self.like.shape
            of_r, of_weights = torch.empty_like(r), torch.empty_like(weights)
            asked = wanted, self.needs.weights
            places = [
                t.data_ptr() if ask else None
                for t, ask in zip((of_r, of_weights), asked, strict=True)
            ]
            given = dy.data_ptr(), r.data_ptr(), n, h, w, weights.data_ptr(), len(weights)
            self.code.convolution_backward(*given, *places)
            return of_r, of_weights
        of_images, of_weights, _ = torch.ops.aten.convolution_backward(
            images(dy, self.like),
            images(r, self.like),
            weights,
            None,
            [1, 1],
            [group.kernel // 2] * 2,
            [1, 1],
            False,
            [0, 0],
            1,
            [wanted, self.needs.weights, False],
        )
        return rows(of_images).contiguous() if wanted else r, of_weights

    def _pointwise(self, group: ConvGroup, kept: Saved, found: _Rectified, wanted: bool) -> None:
        r, covariance, of_r = found.r, kept.covariance, kept.input_mean
        assert r is not None and covariance is not None and of_r is not None
        targets, norm, shifts, _alive = self._group(group, kept)
        weights, count, c = weights_of(group, self.parameters), len(group.branches), self.channels
        of_weights = torch.empty_like(weights) if self.needs.weights else None
        if wanted:
            found.constant, found.mixed = r.new_empty(c), r.new_empty(c, c)
            found.back, found.count, found.targets = r.new_empty(count, c, c), count, targets
        known = (weights.data_ptr(), of_r.data_ptr(), covariance.data_ptr())
        given = (count, targets, norm, shifts, r.data_ptr(), len(r), *known)
        places = (self.of_z, of_weights, found.constant, found.mixed, found.back)
        self.code.pointwise_backward(*given, self.z.data_ptr(), *map(address, places))
        if of_weights is not None:
            for number, branch in enumerate(group.branches):
                self.of_parameters[branch.slot] = of_weights[self._part(number)]


def backward(
    plan: Plan,
    gradient: Tensor,
    z: Tensor,
    states: Sequence[Tensor | None],
    parameters: Sequence[Tensor],
    saved: Sequence[Saved],
    counts: Tensor,
    needs: Needs,
) -> tuple[Tensor | None, list[Tensor | None], list[Tensor | None]]:
    """As ``backward.backward``, for plans that ``suits``."""
    channels = gradient.shape[1] // len(plan.outputs)
    like = gradient[:, :channels]
    run = Backward(plan, z, parameters, counts, needs, like)
    matrix = rows(gradient)
    outputs: dict[int, Tensor] = {}
    for number, node in enumerate(plan.outputs):
        outputs[node] = matrix[:, number * channels : (number + 1) * channels].contiguous()
    last = len(saved)
    for source in reversed(plan.sources):
        first = last - len(source.convolutions)
        run.source(source, states[source.source], saved[first:last], outputs.get(source.source))
        last = first
    of_inputs = [None if g is None else images(g, like) for g in run.of_input]
    return run.of_z if needs.z else None, of_inputs, run.of_parameters
