"""The plan of a fused cell with one set of active operations, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from nni_wiring.supernet.cell import is_zero
from search_spaces.cell_graph import CellGraph

#: (edge, operation) -> candidate module.
Candidates = Callable[[int, int], nn.Module]
Active = tuple[tuple[int, ...], ...]


class Branch(NamedTuple):
    """One active entry of Z. slot: where its parameters start in the list of parameters (weight,
    then scale and shift where batch norm is affine); -1 where it has none.
    """

    target: int
    edge: int
    operation: int
    slot: int = -1


class ConvGroup(NamedTuple):
    """The ReLU-convolution-batch norms of one kernel size that leave one source."""

    kernel: int
    branches: tuple[Branch, ...]
    eps: float
    affine: bool


class SourcePlan(NamedTuple):
    """All that leaves one node."""

    source: int
    convolutions: tuple[ConvGroup, ...]
    skips: tuple[Branch, ...]
    pools: tuple[Branch, ...]


class Plan(NamedTuple):
    """A cell with one set of active operations; nodes ascend in ``sources``."""

    inputs: int
    nodes: int
    outputs: tuple[int, ...]
    sources: tuple[SourcePlan, ...]

    @property
    def groups(self) -> list[ConvGroup]:
        """All groups of convolutions, in the order in which they run."""
        return [group for source in self.sources for group in source.convolutions]

    @property
    def uses_all_inputs(self) -> bool:
        """True where something of every input reaches an output."""
        useful = set(self.outputs)
        for source in reversed(self.sources):
            branches = [b for group in source.convolutions for b in group.branches]
            if any(b.target in useful for b in (*branches, *source.skips, *source.pools)):
                useful.add(source.source)
        return useful >= set(range(self.inputs))


def conv_parts(module: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d] | None:
    """Convolution and batch norm of a stride-1, shape-keeping ReLU-conv-BN (ours or NNI's); None
    for all else.
    """
    steps = getattr(module, "op", None)
    if not isinstance(steps, nn.Sequential) or len(steps) != 3 or len(module._modules) != 1:
        return None
    relu, conv, norm = steps
    if type(relu) is not nn.ReLU or type(conv) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d:
        return None
    size = conv.kernel_size[0]
    expected = ((size, size), (1, 1), (size // 2, size // 2), (1, 1), 1, None, "zeros")
    found = (
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        conv.bias,
        conv.padding_mode,
    )
    same_shape = conv.in_channels == conv.out_channels and size % 2 == 1
    return (conv, norm) if found == expected and same_shape else None


def is_pool(module: nn.Module) -> bool:
    """True for the benchmark's 3x3 average pool (ours or NNI's): padding not counted."""
    inner = getattr(module, "op", None)
    if isinstance(inner, nn.AvgPool2d) and getattr(module, "preprocess", 0) is None:
        module = inner
    if type(module) is not nn.AvgPool2d:
        return False
    numbers = [_single(v) for v in (module.kernel_size, module.stride, module.padding)]
    plain = not module.count_include_pad and not module.ceil_mode
    return numbers == [3, 1, 1] and plain and module.divisor_override is None


def _single(value: int | tuple[int, ...]) -> int | None:
    values = set(value) if isinstance(value, tuple) else {value}
    return values.pop() if len(values) == 1 else None


def fusable(module: nn.Module) -> bool:
    """True where the fused cell knows an operation."""
    known = is_zero(module) or type(module) is nn.Identity or is_pool(module)
    return known or conv_parts(module) is not None


class _SourceBuilder:
    def __init__(self, source: int) -> None:
        self.source = source
        self.convolutions: dict[tuple[int, float, bool], list[Branch]] = {}
        self.skips: list[Branch] = []
        self.pools: list[Branch] = []

    def finished(self) -> SourcePlan:
        groups = [
            ConvGroup(kernel, tuple(branches), eps, affine)
            for (kernel, eps, affine), branches in sorted(self.convolutions.items(), reverse=True)
        ]
        return SourcePlan(self.source, tuple(groups), tuple(self.skips), tuple(self.pools))


def make_plan(
    graph: CellGraph, active: Active, candidate: Candidates
) -> tuple[Plan, list[Tensor], list[nn.BatchNorm2d]]:
    """The plan of one set of active operations, its parameters in slot order, and its batch norms
    in the order of ``plan.groups``.
    """
    builders = [_SourceBuilder(node) for node in range(graph.nodes)]
    parameters: list[Tensor] = []
    norms: dict[Branch, nn.BatchNorm2d] = {}
    for edge, (source, target) in enumerate(graph.edges):
        for k in active[edge]:
            module = candidate(edge, k)
            parts = conv_parts(module)
            if parts is not None:
                branch = Branch(target, edge, k, len(parameters))
                _add_convolution(builders[source], parameters, branch, *parts)
                norms[branch] = parts[1]
            elif is_pool(module):
                builders[source].pools.append(Branch(target, edge, k))
            elif not is_zero(module):
                builders[source].skips.append(Branch(target, edge, k))
    sources = tuple(builder.finished() for builder in builders)
    plan = Plan(len(graph.inputs), graph.nodes, tuple(graph.outputs), sources)
    ordered = [norms[branch] for group in plan.groups for branch in group.branches]
    return plan, parameters, ordered


def _add_convolution(
    builder: _SourceBuilder,
    parameters: list[Tensor],
    branch: Branch,
    conv: nn.Conv2d,
    norm: nn.BatchNorm2d,
) -> None:
    parameters.append(conv.weight)
    if norm.affine:
        parameters.extend([norm.weight, norm.bias])
    key = (conv.kernel_size[0], norm.eps, norm.affine)
    builder.convolutions.setdefault(key, []).append(branch)


def uses_batch_statistics(norms: Sequence[nn.BatchNorm2d]) -> bool:
    """True where all batch norms normalise by the batch's own statistics in their present mode."""
    return all(norm.training or norm.running_mean is None for norm in norms)
