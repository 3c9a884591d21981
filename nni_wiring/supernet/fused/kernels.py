"""The arithmetic of a fused cell, forward and backward, on matrices of (pixels, channels).

Notation: r = ReLU(x_i) of a source, pixels M = n h w, channels C. A branch is z BN(W * r).

- Kernels of 3 and more: y = W * r of all branches of a source in one convolution; only per-channel
  moments of y are needed, so the branch adds a y + const with a = z scale / sqrt(var + eps), and
  BN's output never exists. Backward: with s = sum g and q = sum g yhat per channel (which dL/dZ is
  made of), dy = a (g - s / M - yhat q / M).
- Kernels of 1: y = W r is linear in r, so the moments of y follow from mean and covariance of r,
  shared by all branches (var y_c = w_c Cov(r) w_c), and even y never exists: the branch adds
  r (a W)^T + const. Its backward needs g^T r and one product r S.
- Pooling is linear: node j pools sum_i z x_i once; backward, its adjoint runs once on g.

All sums of one target go into one tensor. Moments are float32 at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nni_wiring.supernet.fused.plan import Branch, ConvGroup, Plan

#: Per-channel dot products: up to this many channels a matrix product is the faster way.
GEMM_DOT_CHANNELS = 32


# torch.compiler has it from 2.3 on; before that every kernel is traced as it runs eagerly
_is_compiling = getattr(torch.compiler, "is_compiling", lambda: False)


class Needs(NamedTuple):
    """The gradients that a backward pass is asked for. inputs: any input of the cell."""

    z: bool
    inputs: bool
    weights: bool


class Saved(NamedTuple):
    """The tensors that forward keeps of one group of convolutions for backward.

    Attributes:
        outputs: y, (pixels, branches x C), kernels of 3 and more only; or, of native code, all that
            it keeps of all groups, one vector, with empty ones beside it.
        mean, inverse: of y, (branches x C).
        covariance, input_mean: of r, kernels of 1 only.
    """

    outputs: Tensor | None
    mean: Tensor
    inverse: Tensor
    covariance: Tensor | None
    input_mean: Tensor | None


class Moments(NamedTuple):
    """Batch statistics of one group: mean and biased variance, (branches x C)."""

    mean: Tensor
    variance: Tensor


# --- small parts ---


def rows(images: Tensor) -> Tensor:
    """(n, C, h, w) -> (n h w, C); a view where images are channels-last."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def images(matrix: Tensor, like: Tensor) -> Tensor:
    """(n h w, C) -> (n, C, h, w), a channels-last view; n, h, w from ``like``."""
    n, _, h, w = like.shape
    return matrix.view(n, h, w, -1).permute(0, 3, 1, 2)


def exact(tensor: Tensor) -> Tensor:
    """float32 in the place of a half precision."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _moments(y: Tensor, like: Tensor) -> Moments:
    if y.is_cpu and y.dtype == torch.float32 and not _is_compiling():
        # the reduction of native batch norm is sixteen times faster than var_mean here
        mean, variance = torch.batch_norm_update_stats(images(y, like), None, None, 0.0)
    else:
        variance, mean = torch.var_mean(exact(y), dim=0, correction=0)
    return Moments(mean, variance)


def channel_dot(a: Tensor, b: Tensor) -> Tensor:
    """sum over pixels of a b, per channel."""
    direct = _is_compiling() or a.shape[1] > GEMM_DOT_CHANNELS
    if direct or a.dtype in (torch.bfloat16, torch.float16):
        return (exact(a) * exact(b)).sum(dim=0)
    return (a.t() @ b).diagonal()


def dot(a: Tensor, b: Tensor) -> Tensor:
    """sum of a b, a scalar."""
    if _is_compiling():
        return (exact(a) * exact(b)).sum()
    return torch.dot(exact(a).reshape(-1), exact(b).reshape(-1))


def column_sum(a: Tensor) -> Tensor:
    """sum over pixels, per channel."""
    return exact(a).sum(dim=0)


def _add(total: Tensor | None, term: Tensor, scale: Tensor) -> Tensor:
    scale = scale.to(term.dtype)
    return term * scale if total is None else total.addcmul_(term, scale)


def box_sum(matrix: Tensor, like: Tensor) -> Tensor:
    """Sum over the 3x3 neighbourhood of every pixel, per channel; its own adjoint."""
    maps = images(matrix, like)
    if maps.is_cpu and maps.dtype == torch.float32:
        kernel = maps.new_ones(maps.shape[1], 1, 3, 3)
        pooled = functional.conv2d(maps, kernel, padding=1, groups=maps.shape[1])
    else:
        pooled = functional.avg_pool2d(maps, 3, 1, 1, divisor_override=1)
    return rows(pooled)


def per_pixel(matrix: Tensor, inverse_counts: Tensor) -> Tensor:
    """matrix (n h w, C) times a factor (h w, 1) of every place."""
    places = inverse_counts.shape[0]
    scaled = matrix.view(-1, places, matrix.shape[1]) * inverse_counts
    return scaled.to(matrix.dtype).view_as(matrix)


def inverse_counts(like: Tensor) -> Tensor:
    """1 / (pixels of the image in the 3x3 window) of every place, (h w, 1)."""
    ones = exact(like.new_ones(1, 1, *like.shape[-2:]))
    counts = functional.avg_pool2d(ones, 3, 1, 1, divisor_override=1)
    return counts.reciprocal().view(-1, 1)


def z_of(z: Tensor, branches: Sequence[Branch], channels: int) -> Tensor:
    """z of the branches, one entry a channel: (branches x C)."""
    found = torch.stack([z[b.edge, b.operation] for b in branches])
    return found[:, None].expand(-1, channels).reshape(-1)


def weights_of(group: ConvGroup, parameters: Sequence[Tensor]) -> Tensor:
    """(branches x C, C, k, k)"""
    return torch.cat([parameters[b.slot] for b in group.branches])


def affine_of(group: ConvGroup, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
    """Batch norm's scale and shift of all branches, each (branches x C); None where it has none."""
    if not group.affine:
        return None
    scale = torch.cat([parameters[b.slot + 1] for b in group.branches])
    return scale, torch.cat([parameters[b.slot + 2] for b in group.branches])


# --- forward ---


def forward(
    plan: Plan,
    z: Tensor,
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
    counts: Tensor,
) -> tuple[list[Tensor], list[Saved], list[Moments]]:
    """Run a cell. inputs: (n, C, h, w) an input node; counts: ``inverse_counts``.

    Returns the states of all nodes as (n h w, C), what backward needs of every group, and the batch
    statistics of every group.
    """
    like = inputs[0]
    states = [rows(x) for x in inputs]
    totals: list[Tensor | None] = [None] * plan.nodes
    pooled: list[Tensor | None] = [None] * plan.nodes
    saved: list[Saved] = []
    moments: list[Moments] = []
    for source in plan.sources:
        node = source.source
        if node >= plan.inputs:
            states.append(_finished(totals[node], pooled[node], like, counts))
        x = states[node]
        r = x.clamp_min(0) if source.convolutions else x
        for group in source.convolutions:
            run = _pointwise if group.kernel == 1 else _stacked
            kept, found = run(group, z, r, parameters, like, totals)
            saved.append(kept)
            moments.append(found)
        for branch in source.skips:
            scale = z[branch.edge, branch.operation]
            totals[branch.target] = _add(totals[branch.target], x, scale)
        for branch in source.pools:
            scale = z[branch.edge, branch.operation]
            pooled[branch.target] = _add(pooled[branch.target], x, scale)
    return states, saved, moments


def _finished(total: Tensor | None, pooled: Tensor | None, like: Tensor, counts: Tensor) -> Tensor:
    if pooled is not None:
        pooled = per_pixel(box_sum(pooled, like), counts)
        return pooled if total is None else total.add_(pooled)
    return torch.zeros_like(rows(like)) if total is None else total


def _scale_and_shift(
    group: ConvGroup, z: Tensor, found: Moments, parameters: Sequence[Tensor], channels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(inverse, a, const): a branch adds a y + const."""
    inverse = torch.rsqrt(found.variance + group.eps)
    weight = z_of(z, group.branches, channels)
    affine = affine_of(group, parameters)
    scale = weight * inverse if affine is None else weight * inverse * affine[0]
    shift = -scale * found.mean
    return inverse, scale, shift if affine is None else shift + weight * affine[1]


def _stacked(
    group: ConvGroup,
    z: Tensor,
    r: Tensor,
    parameters: Sequence[Tensor],
    like: Tensor,
    totals: list[Tensor | None],
) -> tuple[Saved, Moments]:
    channels = r.shape[1]
    weights = weights_of(group, parameters).to(r.dtype)
    y = rows(functional.conv2d(images(r, like), weights, padding=group.kernel // 2))
    found = _moments(y, like)
    inverse, scale, shift = _scale_and_shift(group, z, found, parameters, channels)
    scale, shift = scale.to(y.dtype), shift.to(y.dtype)
    for number, branch in enumerate(group.branches):
        part = slice(number * channels, (number + 1) * channels)
        total = totals[branch.target]
        start = shift[part] if total is None else total.add_(shift[part])
        if total is None:
            totals[branch.target] = torch.addcmul(start, y[:, part], scale[part])
        else:
            totals[branch.target] = total.addcmul_(y[:, part], scale[part])
    return Saved(y, found.mean, inverse, None, None), found


def _covariance(r: Tensor) -> tuple[Tensor, Tensor]:
    wide = exact(r)
    mean = wide.mean(dim=0)
    return mean, torch.addmm(torch.outer(mean, mean), wide.t(), wide, alpha=1 / len(r), beta=-1)


def _pointwise(
    group: ConvGroup,
    z: Tensor,
    r: Tensor,
    parameters: Sequence[Tensor],
    like: Tensor,
    totals: list[Tensor | None],
) -> tuple[Saved, Moments]:
    channels = r.shape[1]
    weights = weights_of(group, parameters).flatten(1)
    input_mean, covariance = _covariance(r)
    variance = ((weights @ covariance) * weights).sum(dim=1).clamp_min(0)
    found = Moments(weights @ input_mean, variance)
    inverse, scale, shift = _scale_and_shift(group, z, found, parameters, channels)
    mixed = (scale[:, None] * weights).to(r.dtype)
    shift = shift.to(r.dtype)
    for number, branch in enumerate(group.branches):
        part = slice(number * channels, (number + 1) * channels)
        total = totals[branch.target]
        if total is None:
            totals[branch.target] = torch.addmm(shift[part], r, mixed[part].t())
        else:
            totals[branch.target] = total.addmm_(r, mixed[part].t()).add_(shift[part])
    return Saved(None, found.mean, inverse, covariance, input_mean), found
