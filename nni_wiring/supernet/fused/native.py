"""A fused cell's forward and backward passes on one CPU thread, in few passes of native code.

The same functions as ``kernels.forward`` and ``backward.backward``; what they keep for one another
is the same too. Convolutions of many channels stay torch's; all else of a node is one pass over
its pixels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nni_wiring.supernet.fused.kernels import (
    Moments,
    Saved,
    affine_of,
    images,
    rows,
    weights_of,
)
from nni_wiring.supernet.fused.native_library import library
from nni_wiring.supernet.fused.plan import Branch, ConvGroup, Plan, SourcePlan

#: Kinds of terms, as native.cpp numbers them.
STACKED, POINTWISE, SKIP, POOL = range(4)


def convolves(group: ConvGroup, like: Tensor) -> bool:
    """True where native.cpp runs the convolutions of a group on images like ``like`` (n, C, h, w),
    else torch does.
    """
    channels = like.shape[1]
    return group.kernel == 3 and channels <= int(library(channels, like.dtype).widest())


def suits(plan: Plan) -> bool:
    """True where every node is reached, every branch reaches an output, and the kernels of 1 that
    leave a source have batch norms alike.
    """
    useful = set(plan.outputs)
    for source in reversed(plan.sources):
        targets = {branch.target for branch in _leaving(source)}
        if not targets <= useful:
            return False
        if targets:
            useful.add(source.source)
        if sum(group.kernel == 1 for group in source.convolutions) > 1:
            return False
    reached = {branch.target for source in plan.sources for branch in _leaving(source)}
    return reached >= set(range(plan.inputs, plan.nodes)) and useful >= set(range(plan.nodes))


def _leaving(source: SourcePlan) -> list[Branch]:
    convolved = [branch for group in source.convolutions for branch in group.branches]
    return [*convolved, *source.skips, *source.pools]


def pooled_nodes(plan: Plan) -> set[int]:
    """The nodes that a pool leads to."""
    return {branch.target for source in plan.sources for branch in source.pools}


def place(branch: Branch, z: Tensor) -> int:
    """The place of a branch's weight in z, row by row."""
    return branch.edge * z.shape[1] + branch.operation


def longs(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    """Numbers and addresses as native.cpp's structs hold them."""
    return (ctypes.c_int64 * len(values))(*values)


class Forward:
    """One forward pass of one cell; see ``forward``."""

    def __init__(
        self, plan: Plan, z: Tensor, like: Tensor, parameters: Sequence[Tensor], counts: Tensor
    ) -> None:
        self.plan, self.z, self.like, self.parameters = plan, z.contiguous(), like, parameters
        self.counts = counts
        self.channels = like.shape[1]
        self.code = library(self.channels, like.dtype)
        self.terms: list[list[int]] = [[] for _ in range(plan.nodes)]
        self.kept: list[Tensor] = []  # whose addresses stand in terms

    def node(self, node: int, pixels: int) -> Tensor:
        """The state of a node, (n h w, C), from the terms that lead to it."""
        n, _, h, w = self.like.shape
        out = self.like.new_empty(pixels, self.channels)
        terms, counts = self.terms[node], self.counts.data_ptr()
        count, z = len(terms) // 9, self.z.data_ptr()
        self.code.node(count, longs(terms), z, n, h, w, counts, out.data_ptr())
        return out

    def source(self, source: SourcePlan, x: Tensor) -> list[tuple[Saved, Moments]]:
        """Run all that leaves a node with state ``x``."""
        found = []
        if source.convolutions:
            r = torch.empty_like(x)
            pointwise = any(group.kernel == 1 for group in source.convolutions)
            mean = x.new_empty(self.channels) if pointwise else None
            covariance = x.new_empty(self.channels, self.channels) if pointwise else None
            self.code.rectified(
                x.data_ptr(), len(x), r.data_ptr(), address(mean), address(covariance)
            )
            for group in source.convolutions:
                if group.kernel == 1:
                    found.append(self._pointwise(group, r, mean, covariance))
                else:
                    found.append(self._stacked(group, r))
        for kind, branches in ((SKIP, source.skips), (POOL, source.pools)):
            for branch in branches:
                term = [kind, x.data_ptr(), self.channels, 0, 0, 0, 0, 0, place(branch, self.z)]
                self.terms[branch.target] += term
        return found

    def _stacked(self, group: ConvGroup, r: Tensor) -> tuple[Saved, Moments]:
        weights = weights_of(group, self.parameters).contiguous()
        if convolves(group, self.like):
            n, _, h, w = self.like.shape
            y = r.new_empty(len(r), len(weights))
            given = r.data_ptr(), n, h, w, weights.data_ptr()
            self.code.convolution(*given, len(weights), y.data_ptr())
        else:
            padding = group.kernel // 2
            y = rows(functional.conv2d(images(r, self.like), weights, padding=padding)).contiguous()
        mean, variance, inverse = self.like.new_empty(3, y.shape[1]).unbind()
        of_y = mean.data_ptr(), variance.data_ptr(), inverse.data_ptr()
        self.code.moments(y.data_ptr(), *y.shape, group.eps, *of_y)
        self._add(STACKED, group, (y, y.shape[1]), (mean, inverse), None)
        return Saved(y, mean, inverse, None, None), Moments(mean, variance)

    def _pointwise(
        self, group: ConvGroup, r: Tensor, of_r: Tensor | None, covariance: Tensor | None
    ) -> tuple[Saved, Moments]:
        weights = weights_of(group, self.parameters).flatten(1)
        mean, variance, inverse = self.like.new_empty(3, len(weights)).unbind()
        of_y = mean.data_ptr(), variance.data_ptr(), inverse.data_ptr()
        given = weights.data_ptr(), len(weights), address(of_r), address(covariance), group.eps
        self.code.pointwise_moments(*given, *of_y)
        self._add(POINTWISE, group, (r, 0), (mean, inverse), weights)
        return Saved(None, mean, inverse, covariance, of_r), Moments(mean, variance)

    def _add(
        self,
        kind: int,
        group: ConvGroup,
        data: tuple[Tensor, int],
        norm: tuple[Tensor, Tensor],
        weights: Tensor | None,
    ) -> None:
        """The terms of a group's branches. data: y and its columns, or r and 0."""
        matrix, width = data
        affine = affine_of(group, self.parameters) or ()
        self.kept += [matrix, *norm, *affine, *([] if weights is None else [weights])]
        vectors = [tensor.data_ptr() for tensor in (*norm, *affine)] + [0] * (2 - len(affine))
        size = matrix.element_size() * self.channels
        for number, branch in enumerate(group.branches):
            step = number * size
            first = matrix.data_ptr() + (step if width else 0)
            own = 0 if weights is None else weights.data_ptr() + step * self.channels
            places = [address and address + step for address in vectors]
            term = [kind, first, width or self.channels, *places, own, place(branch, self.z)]
            self.terms[branch.target] += term


def forward(
    plan: Plan,
    z: Tensor,
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
    counts: Tensor,
) -> tuple[list[Tensor], list[Saved], list[Moments]]:
    """As ``kernels.forward``, for plans that ``suits``."""
    run = Forward(plan, z, inputs[0], parameters, counts)
    states = [rows(x).contiguous() for x in inputs]
    found: list[tuple[Saved, Moments]] = []
    for source in plan.sources:
        if source.source >= plan.inputs:
            states.append(run.node(source.source, len(states[0])))
        found += run.source(source, states[source.source])
    return states, [saved for saved, _ in found], [moments for _, moments in found]


def address(tensor: Tensor | None) -> int | None:
    """Of a tensor's first number; None stays None."""
    return None if tensor is None else tensor.data_ptr()
