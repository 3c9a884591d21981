"""The gradients of a fused cell; notation and method in ``fused_kernels``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nni_wiring.supernet.fused.kernels import (
    Needs,
    Saved,
    affine_of,
    box_sum,
    channel_dot,
    column_sum,
    dot,
    exact,
    images,
    per_pixel,
    rows,
    weights_of,
    z_of,
)
from nni_wiring.supernet.fused.plan import Branch, ConvGroup, Plan, SourcePlan


class Backward:
    """One backward pass of one cell; see ``backward``."""

    def __init__(
        self,
        plan: Plan,
        z: Tensor,
        states: Sequence[Tensor],
        parameters: Sequence[Tensor],
        counts: Tensor,
        needs: Needs,
        like: Tensor,
    ) -> None:
        self.plan, self.z, self.states, self.parameters = plan, z, states, parameters
        self.counts, self.needs, self.like = counts, needs, like
        self.channels = like.shape[1]
        self.of_node: list[Tensor | None] = [None] * plan.nodes
        self.of_z: dict[tuple[int, int], Tensor] = {}
        self.of_parameters: list[Tensor | None] = [None] * len(parameters)
        self._sums: dict[int, Tensor] = {}
        self._adjoints: dict[int, Tensor] = {}

    def run(self, gradient: Tensor, saved: Sequence[Saved]) -> None:
        """Fill ``of_node``, ``of_z``, ``of_parameters`` from dL/d output and forward's keep."""
        matrix = rows(gradient)
        for number, node in enumerate(self.plan.outputs):
            self.of_node[node] = matrix[:, self._part(number)]
        last = len(saved)
        for source in reversed(self.plan.sources):
            first = last - len(source.convolutions)
            self._source(source, saved[first:last])
            last = first

    def _part(self, number: int) -> slice:
        return slice(number * self.channels, (number + 1) * self.channels)

    def _gradient(self, node: int) -> Tensor:
        """dL/dx of a node (all that leaves it has been handled); zeros where nothing leads on."""
        found = self.of_node[node]
        return torch.zeros_like(self.states[0]) if found is None else found

    def _live(self, branches: Sequence[Branch]) -> list[Branch]:
        """Those that lead to the output; the others' parameters get no gradient at all."""
        return [branch for branch in branches if self.of_node[branch.target] is not None]

    def _sum(self, node: int) -> Tensor:
        if node not in self._sums:
            self._sums[node] = column_sum(self._gradient(node))
        return self._sums[node]

    def _adjoint(self, node: int) -> Tensor:
        """The adjoint of pooling, applied to a node's gradient."""
        if node not in self._adjoints:
            scaled = per_pixel(self._gradient(node), self.counts)
            self._adjoints[node] = box_sum(scaled, self.like)
        return self._adjoints[node]

    def _source(self, source: SourcePlan, saved: Sequence[Saved]) -> None:
        node = source.source
        wanted = node >= self.plan.inputs or self.needs.inputs
        x = self.states[node]
        total = self._convolutions(source, saved, x, wanted)
        for linear, of_target in ((source.skips, self._gradient), (source.pools, self._adjoint)):
            for branch in self._live(linear):
                term = of_target(branch.target)
                if self.needs.z:
                    self.of_z[branch.edge, branch.operation] = dot(term, x)
                if wanted:
                    scale = self.z[branch.edge, branch.operation].to(x.dtype)
                    total = term * scale if total is None else total.addcmul_(term, scale)
        own = self.of_node[node]
        if total is not None:
            self.of_node[node] = total if own is None else total.add_(own)

    def _convolutions(
        self, source: SourcePlan, saved: Sequence[Saved], x: Tensor, wanted: bool
    ) -> Tensor | None:
        groups = [
            (group, kept)
            for group, kept in zip(source.convolutions, saved, strict=True)
            if self._live(group.branches)
        ]
        if not groups:
            return None
        r = x.clamp_min(0)
        total: Tensor | None = None
        # kernels of 1 come last in the plan, and make the tensor that the others are added to
        for group, kept in reversed(groups):
            step = self._pointwise if group.kernel == 1 else self._stacked
            found = step(group, kept, r, wanted)
            if found is not None:
                total = found if total is None else total.add_(found)
        if self.needs.weights:
            self._forget_dead(source)
        if total is None:
            return None
        return torch.ops.aten.threshold_backward(total, x, 0)

    def _forget_dead(self, source: SourcePlan) -> None:
        for group in source.convolutions:
            live = self._live(group.branches)
            for branch in group.branches:
                if branch not in live:
                    slots = slice(branch.slot, branch.slot + (3 if group.affine else 1))
                    self.of_parameters[slots] = [None] * len(self.of_parameters[slots])

    def _norm(self, group: ConvGroup, kept: Saved, dots: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(s, q, a) per channel; leaves dL/dZ, dL/d scale, dL/d shift. dots: sum g y."""
        s = torch.cat([self._sum(b.target) for b in group.branches])
        q = kept.inverse * (dots - kept.mean * s)
        weight = z_of(self.z, group.branches, self.channels)
        affine = affine_of(group, self.parameters)
        a, of_norm = weight * kept.inverse, q
        if affine is not None:
            a, of_norm = a * affine[0], q * affine[0] + s * affine[1]
        for number, branch in enumerate(group.branches):
            part = self._part(number)
            if self.needs.z:
                self.of_z[branch.edge, branch.operation] = of_norm[part].sum()
            if self.needs.weights and affine is not None:
                self.of_parameters[branch.slot + 1] = (weight * q)[part]
                self.of_parameters[branch.slot + 2] = (weight * s)[part]
        return s, q, a

    def _stacked(self, group: ConvGroup, kept: Saved, r: Tensor, wanted: bool) -> Tensor | None:
        y = kept.outputs
        assert y is not None
        gradients = [self._gradient(b.target) for b in group.branches]
        parts = [self._part(number) for number in range(len(gradients))]
        dots = [channel_dot(g, y[:, part]) for g, part in zip(gradients, parts, strict=True)]
        s, q, a = self._norm(group, kept, torch.cat(dots))
        if not (wanted or self.needs.weights):
            return None
        of_y = -a * kept.inverse * q / len(y)
        constant = -a * s / len(y) - of_y * kept.mean
        a, of_y, constant = a.to(y.dtype), of_y.to(y.dtype), constant.to(y.dtype)
        dy = torch.empty_like(y)
        for g, part in zip(gradients, parts, strict=True):
            dy[:, part] = torch.addcmul(constant[part], g, a[part])
        dy.addcmul_(y, of_y)
        of_r, of_weights, _ = torch.ops.aten.convolution_backward(
            images(dy, self.like),
            images(r, self.like),
            weights_of(group, self.parameters).to(y.dtype),
            None,
            [1, 1],
            [group.kernel // 2] * 2,
            [1, 1],
            False,
            [0, 0],
            1,
            [wanted, self.needs.weights, False],
        )
        if self.needs.weights:
            for branch, part in zip(group.branches, parts, strict=True):
                self.of_parameters[branch.slot] = of_weights[part]
        return rows(of_r) if wanted else None

    def _pointwise(self, group: ConvGroup, kept: Saved, r: Tensor, wanted: bool) -> Tensor | None:
        covariance, input_mean = kept.covariance, kept.input_mean
        assert covariance is not None and input_mean is not None
        weights = weights_of(group, self.parameters).flatten(1)
        gradients = [self._gradient(b.target) for b in group.branches]
        wide = exact(r)
        products = torch.cat([exact(g).t() @ wide for g in gradients])  # (branches x C, C)
        s, q, a = self._norm(group, kept, (weights * products).sum(dim=1))
        of_variance = -0.5 * a * kept.inverse * q
        if self.needs.weights:
            of_weights = a[:, None] * (products - torch.outer(s, input_mean))
            of_weights += 2 * of_variance[:, None] * (weights @ covariance)
            for number, branch in enumerate(group.branches):
                shape = self.parameters[branch.slot].shape
                self.of_parameters[branch.slot] = of_weights[self._part(number)].view(shape)
        if not wanted:
            return None
        mixed = 2 / len(r) * (weights.t() @ (of_variance[:, None] * weights))
        constant = -((a * s) @ weights) / len(r) - input_mean @ mixed
        total = torch.addmm(constant.to(r.dtype), r, mixed.to(r.dtype))
        back = (a[:, None] * weights).to(r.dtype)
        for number, g in enumerate(gradients):
            total.addmm_(g, back[self._part(number)])
        return total


def backward(
    plan: Plan,
    gradient: Tensor,
    z: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    saved: Sequence[Saved],
    counts: Tensor,
    needs: Needs,
) -> tuple[Tensor | None, list[Tensor | None], list[Tensor | None]]:
    """Gradients of Z (edges, operations), of the inputs (n, C, h, w) and of the parameters, each
    None where it is not needed.

    Args:
        gradient: of the cell's output (n, C x outputs, h, w).
        states, saved: from ``forward``.
    """
    channels = gradient.shape[1] // len(plan.outputs)  # a state that nothing needs is not kept
    like = gradient[:, :channels]
    run = Backward(plan, z, states, parameters, counts, needs, like)
    run.run(gradient, saved)
    of_z = None
    if needs.z:
        zero = z.new_zeros(())
        edges, operations = z.shape
        found = [run.of_z.get((e, k), zero) for e in range(edges) for k in range(operations)]
        of_z = torch.stack([value.to(z.dtype) for value in found]).view(edges, operations)
    of_inputs: list[Tensor | None] = [None] * plan.inputs
    if needs.inputs:
        of_inputs = [None if g is None else images(g, like) for g in run.of_node[: plan.inputs]]
    return of_z, of_inputs, run.of_parameters
