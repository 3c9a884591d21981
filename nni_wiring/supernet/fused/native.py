"""A fused cell's forward and backward passes on one CPU thread, each one call of native code.

The same functions as ``kernels.forward`` and ``backward.backward``. native.cpp reads a plan as a
list of numbers (`Layout`) that also say where each intermediate result lies in two vectors: what
forward keeps for backward, and scratch.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from nni_wiring.supernet.fused.kernels import Moments, Needs, Saved, images, rows
from nni_wiring.supernet.fused.native_library import Given, library
from nni_wiring.supernet.fused.plan import Branch, ConvGroup, Plan, SourcePlan

#: Up to this width the convolutions of native.cpp are as fast as torch's or faster.
WIDEST = 64
_KERNELS = (1, 3)


def suits(plan: Plan) -> bool:
    """True where every node is reached and inside, every branch reaches an output, and kernels are
    of 1 or 3, those of 1 that leave a source with batch norms alike.
    """
    useful = set(plan.outputs)
    if min(useful) < plan.inputs:
        return False
    for source in reversed(plan.sources):
        targets = {branch.target for branch in _leaving(source)}
        if not targets <= useful:
            return False
        if targets:
            useful.add(source.source)
        kernels = [group.kernel for group in source.convolutions]
        if kernels.count(1) > 1 or not set(kernels) <= set(_KERNELS):
            return False
    reached = {branch.target for source in plan.sources for branch in _leaving(source)}
    return reached >= set(range(plan.inputs, plan.nodes)) and useful >= set(range(plan.nodes))


def _leaving(source: SourcePlan) -> list[Branch]:
    convolved = [branch for group in source.convolutions for branch in group.branches]
    return [*convolved, *source.skips, *source.pools]


class _Places(NamedTuple):
    """Places of the results of one group in what forward keeps; unused ones are 0."""

    y: int
    mean: int
    variance: int
    inverse: int
    covariance: int
    input_mean: int


class Layout(NamedTuple):
    """A plan for images of one size.

    Attributes:
        words: the plan as native.cpp reads it.
        kept, scratch, gradients: numbers in what forward keeps, in scratch and in the gradients of
            the parameters.
        states: places of the states of all nodes but the inputs.
        groups: places of the groups of convolutions, in the order of ``plan.groups``.
        parameters: place of each parameter's gradient, by slot.
    """

    words: ctypes.Array[ctypes.c_int64]
    kept: int
    scratch: int
    gradients: int
    states: list[int]
    groups: list[_Places]
    parameters: list[int]


class _Room:
    """Places one after the other."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, count: int) -> int:
        self.size += count
        return self.size - count


@lru_cache(maxsize=256)
def layout(plan: Plan, operations: int, channels: int, pixels: int) -> Layout:
    """The layout of a plan. operations: columns of z; pixels: n h w."""
    kept, gradients, matrix = _Room(), _Room(), pixels * channels
    states = [kept.take(matrix) for _ in range(plan.inputs, plan.nodes)]
    pooled = {branch.target for source in plan.sources for branch in source.pools}
    words = [plan.inputs, plan.nodes]
    groups: list[_Places] = []
    parameters: dict[int, int] = {}
    width_of_all = channels * sum(len(group.branches) for group in plan.groups)
    mean, variance = kept.take(width_of_all), kept.take(width_of_all)

    def spelt(branches: Sequence[Branch]) -> list[int]:
        found = [[b.target, b.edge * operations + b.operation, b.slot] for b in branches]
        return [len(branches), *(number for branch in found for number in branch)]

    for source in plan.sources:
        node = source.source
        state = states[node - plan.inputs] if node >= plan.inputs else 0
        words += [node, state, node in pooled, len(source.convolutions)]
        for group in source.convolutions:
            width, wide = len(group.branches) * channels, group.kernel > 1
            places = _Places(
                kept.take(pixels * width) if wide else 0,
                mean,
                variance,
                kept.take(width),
                0 if wide else kept.take(channels * channels),
                0 if wide else kept.take(channels),
            )
            mean, variance = mean + width, variance + width
            groups.append(places)
            sizes = [channels * channels * group.kernel**2, *([channels] * 2 * group.affine)]
            of_group = [gradients.take(len(group.branches) * size) for size in sizes]
            for number, branch in enumerate(group.branches):
                for which, size in enumerate(sizes):
                    parameters[branch.slot + which] = of_group[which] + number * size
            words += [group.kernel, group.affine, *places, *of_group, *[0] * (3 - len(of_group))]
            words += [*struct.unpack("q", struct.pack("d", group.eps)), *spelt(group.branches)]
        words += [*spelt(source.skips), *spelt(source.pools)]
    return Layout(
        (ctypes.c_int64 * len(words))(*words),
        kept.size,
        _scratch(plan, channels, matrix),
        gradients.size,
        states,
        groups,
        [parameters[slot] for slot in sorted(parameters)],
    )


def _scratch(plan: Plan, channels: int, matrix: int) -> int:
    """Numbers that either pass needs at most beside what is kept."""

    def small(group: ConvGroup) -> int:
        """Weights and batch norms of a group, gradients, and what its kernels of 1 add to r."""
        count = len(group.branches)
        return count * channels * (2 * channels * group.kernel**2 + channels + 8) + channels * (
            channels + 1
        )

    forward = backward = 0
    for source in plan.sources:
        own = sum(small(group) for group in source.convolutions)
        if source.convolutions:
            forward += matrix + own
        wide = sum(len(g.branches) + 1 for g in source.convolutions if g.kernel > 1)
        backward = max(backward, own + (1 + wide) * matrix)
    return max(forward, backward + 2 * plan.nodes * matrix)


def _given(
    found: Layout,
    z: Tensor,
    inputs: Sequence[Tensor | None],
    parameters: Sequence[Tensor],
    counts: Tensor,
    kept: Tensor,
    like: Tensor,
) -> tuple[Given, list[object]]:
    """The arguments of a pass, and what must be kept alive while it runs. inputs: (n h w, C)."""
    n, _, h, w = like.shape
    scratch = kept.new_empty(found.scratch)
    tensors = addresses(inputs), addresses(parameters)
    given = Given(
        ctypes.addressof(found.words),
        z.data_ptr(),
        ctypes.addressof(tensors[0]),
        ctypes.addressof(tensors[1]),
        counts.data_ptr(),
        *(n, h, w),
        *(kept.data_ptr(), scratch.data_ptr()),
    )
    return given, [*tensors, scratch]


def addresses(tensors: Sequence[Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
    """Of the tensors' first numbers; null for None."""
    found = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    return (ctypes.c_void_p * len(found))(*found)


def forward(
    plan: Plan,
    z: Tensor,
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
    counts: Tensor,
) -> tuple[list[Tensor], list[Saved], list[Moments]]:
    """As ``kernels.forward``, for plans that ``suits``; all that backward needs of groups is one
    vector, which ``unpacked`` reads.
    """
    like = inputs[0]
    n, channels, h, w = like.shape
    pixels = n * h * w
    found = layout(plan, z.shape[1], channels, pixels)
    kept = like.new_empty(found.kept)
    states = [rows(x).contiguous() for x in inputs]
    z, own = z.contiguous(), [parameter.contiguous() for parameter in parameters]
    given, _alive = _given(found, z, states, own, counts, kept, like)
    library(channels, like.dtype).forward(ctypes.byref(given))
    size = pixels * channels
    states += [kept[place : place + size].view(pixels, channels) for place in found.states]
    return (
        states,
        [Saved(kept, kept[:0], kept[:0], None, None)],
        [_moments(plan, found, kept, channels)],
    )


def _moments(plan: Plan, found: Layout, kept: Tensor, channels: int) -> Moments:
    """The batch statistics of all groups, one after the other."""
    if not found.groups:
        return Moments(kept[:0], kept[:0])
    width = sum(len(group.branches) for group in plan.groups) * channels
    first = found.groups[0]
    mean, variance = (kept[place : place + width] for place in (first.mean, first.variance))
    return Moments(mean, variance)


def is_packed(saved: Sequence[Saved]) -> bool:
    """True for what ``forward`` here saves, False for what ``kernels.forward`` does."""
    return len(saved) == 1 and saved[0].mean.numel() == 0


def unpacked(
    plan: Plan, saved: Sequence[Saved], z: Tensor, channels: int, pixels: int
) -> list[Saved]:
    """Read what ``forward`` saved as ``kernels.forward`` saves it."""
    kept = saved[0].outputs
    assert kept is not None
    found, result = layout(plan, z.shape[1], channels, pixels), []
    for group, places in zip(plan.groups, found.groups, strict=True):
        width, points = len(group.branches) * channels, group.kernel == 1

        def part(place: int, *shape: int, given: Tensor = kept) -> Tensor:
            return given[place : place + torch.Size(shape).numel()].view(shape)

        result.append(
            Saved(
                None if points else part(places.y, pixels, width),
                part(places.mean, width),
                part(places.inverse, width),
                part(places.covariance, channels, channels) if points else None,
                part(places.input_mean, channels) if points else None,
            )
        )
    return result


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
    """As ``backward.backward``, for plans that ``suits`` and what ``forward`` here saved."""
    channels = gradient.shape[1] // len(plan.outputs)
    like, matrix = gradient[:, :channels], rows(gradient)
    kept, z = saved[0].outputs, z.contiguous()
    assert kept is not None
    own = [parameter.contiguous() for parameter in parameters]
    found = layout(plan, z.shape[1], channels, len(matrix))
    given, _alive = _given(found, z, states[: plan.inputs], own, counts, kept, like)
    outputs: list[Tensor | None] = [None] * plan.nodes
    for number, node in enumerate(plan.outputs):
        outputs[node] = matrix[:, number * channels : (number + 1) * channels].contiguous()
    of_z = torch.zeros_like(z)
    of_inputs: list[Tensor | None] = [None] * plan.inputs
    if needs.inputs:
        of_inputs = [matrix.new_empty(len(matrix), channels) for _ in range(plan.inputs)]
    of_parameters = z.new_empty(found.gradients) if needs.weights else None
    library(channels, like.dtype).backward(
        ctypes.byref(given),
        addresses(outputs),
        of_z.data_ptr(),
        addresses(of_inputs),
        None if of_parameters is None else of_parameters.data_ptr(),
    )
    return (
        of_z if needs.z else None,
        [None if g is None else images(g, like) for g in of_inputs],
        _split(of_parameters, found.parameters, parameters),
    )


def _split(
    gradients: Tensor | None, places: Sequence[int], parameters: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradient of every parameter, a view of the vector of all."""
    if gradients is None:
        return [None] * len(parameters)
    return [
        gradients[place : place + parameter.numel()].view_as(parameter)
        for place, parameter in zip(places, parameters, strict=True)
    ]
