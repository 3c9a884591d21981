"""From a fixed cell's network to the list of instructions that ``kernels.c`` runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nni_wiring.errors import ConfigError
from search_spaces.cell_graph import CellGraph
from search_spaces.nasbench201 import NasBench201Space, ResidualBlock
from search_spaces.operations import ReLUConvBN, Zero

#: The kinds of instruction, in the order of the enumeration in kernels.c.
KINDS = ("conv", "norm", "relu", "add", "pool", "halve", "zero", "mean", "linear", "loss")
#: torch's batch norm.
MOMENTUM, EPSILON = 0.1, 1e-5
_ADD_BACK, _BACK = 16, 17  # columns of an instruction's row


class NotCompactError(ConfigError):
    """The network has a part that the kernels do not run."""


@dataclass(frozen=True)
class Feature:
    """A tensor of activations: channels, height and width in pixels, and its place in the list."""

    index: int
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Instruction:
    """One operation on features.

    Attributes:
        kind: of `KINDS`.
        source, target: what is read and written.
        module: holder of its weights and statistics, if it has any.
        add: whether it adds to the target, which earlier instructions have begun.
    """

    kind: str
    source: Feature
    target: Feature
    module: nn.Module | None = None
    add: bool = False


@dataclass(frozen=True)
class Program:
    """Instructions with places for all that they read and write.

    Attributes:
        rows: int64 (instructions, 18), the fields of ``op`` in kernels.c; columns 1 and 2 (source,
            target) count elements for one image.
        image, logits: places of the input and the output, elements for one image.
        classes: number of logits.
        activations: elements of all features, for one image.
        weights: those that the loss depends on, each with its place among all.
        statistics: the running means and variances, each with its place.
        saved, scratch: elements that the kernels keep and work in (scratch beside one batch's).
    """

    rows: NDArray[np.int64]
    image: int
    logits: int
    classes: int
    activations: int
    weights: Mapping[int, nn.Parameter]
    statistics: Mapping[int, Tensor]
    saved: int
    scratch: int


class _Tracer:
    """Collects the instructions of a network, in the order of its forward pass."""

    def __init__(self) -> None:
        self.features: list[Feature] = []
        self.instructions: list[Instruction] = []
        self._begun: set[int] = set()

    def feature(self, channels: int, height: int, width: int) -> Feature:
        made = Feature(len(self.features), channels, height, width)
        self.features.append(made)
        return made

    def like(self, feature: Feature) -> Feature:
        return self.feature(feature.channels, feature.height, feature.width)

    def emit(
        self, kind: str, source: Feature, target: Feature, module: nn.Module | None = None
    ) -> Feature:
        """Add an instruction; the sum of all that write one target is that target."""
        begun = target.index in self._begun
        self.instructions.append(Instruction(kind, source, target, module, begun))
        self._begun.add(target.index)
        return target

    def conv(self, module: nn.Module, source: Feature, target: Feature | None = None) -> Feature:
        """A convolution, into a feature of its own unless a target is given."""
        conv = cast(nn.Conv2d, module)
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        usual = (kernel in (1, 3), conv.padding == (kernel // 2,) * 2, conv.dilation == (1, 1))
        if not all(usual) or conv.groups > 1 or conv.bias is not None or source.height % stride:
            raise NotCompactError(f"the kernels run no such convolution: {conv}")
        shape = (conv.out_channels, source.height // stride, source.width // stride)
        return self.emit("conv", source, target or self.feature(*shape), conv)

    def norm(self, module: nn.Module, source: Feature, target: Feature | None = None) -> Feature:
        """A batch norm, into a feature of its own unless a target is given."""
        norm = cast(nn.BatchNorm2d, module)
        if norm.running_mean is None or (norm.momentum, norm.eps) != (MOMENTUM, EPSILON):
            raise NotCompactError(f"the kernels run no such batch norm: {norm}")
        return self.emit("norm", source, target or self.like(source), norm)


def program_of(network: nn.Module, side: tuple[int, int]) -> Program:
    """The program of a network of NAS-Bench-201's kind on images of ``side`` (height, width).

    Raises:
        NotCompactError: one line; it has a part that the kernels do not run.
    """
    if not isinstance(network, NasBench201Space):
        raise NotCompactError(f"the kernels run no network of type {type(network).__name__}")
    tracer = _Tracer()
    image = tracer.feature(3, *side)
    conv, norm = network.stem
    state = tracer.norm(norm, tracer.conv(conv, image))
    for layer in network.layers:
        state = (
            _residual(tracer, layer, state)
            if isinstance(layer, ResidualBlock)
            else (_cell(tracer, layer, state))
        )
    if isinstance(network.lastact, nn.Sequential):
        normed = tracer.norm(network.lastact[0], state)
        state = tracer.emit("relu", normed, tracer.like(state))
    pooled = tracer.emit("mean", state, tracer.feature(state.channels, 1, 1))
    classes = network.classifier.out_features
    logits = tracer.feature(classes, 1, 1)
    tracer.emit("linear", pooled, logits, network.classifier)
    needed = list(_needed(tracer.instructions, logits))
    needed.append(Instruction("loss", logits, logits))
    return _laid_out(needed, image, logits)


def _residual(tracer: _Tracer, block: ResidualBlock, state: Feature) -> Feature:
    inner = _relu_conv_norm(tracer, block.conv_a, tracer.emit("relu", state, tracer.like(state)))
    rectified = tracer.emit("relu", inner, tracer.like(inner))
    result = _relu_conv_norm(tracer, block.conv_b, rectified)
    half = tracer.feature(state.channels, state.height // 2, state.width // 2)
    tracer.emit("halve", state, half)
    return tracer.conv(block.downsample[1], half, result)


def _relu_conv_norm(
    tracer: _Tracer, module: ReLUConvBN, rectified: Feature, target: Feature | None = None
) -> Feature:
    _, conv, norm = module.op
    return tracer.norm(norm, tracer.conv(conv, rectified), target)


def _cell(tracer: _Tracer, cell: nn.Module, state: Feature) -> Feature:
    """The nodes of a discrete cell of one input and one output (``run_cell``)."""
    graph, edges = cell.graph, cast(nn.ModuleDict, cell.edges)
    if not isinstance(graph, CellGraph) or len(graph.inputs) + len(graph.outputs) != 2:
        raise NotCompactError("the kernels run cells of one input and one output")
    states, rectified = [state], dict[int, Feature]()
    for node in range(1, graph.nodes):
        target, written = tracer.like(state), False
        for name, (source, end) in zip(graph.edge_names, graph.edges, strict=True):
            operation = edges[name]
            if end != node or isinstance(operation, Zero):
                continue
            written = True
            if isinstance(operation, ReLUConvBN):
                if source not in rectified:
                    rectified[source] = tracer.emit("relu", states[source], tracer.like(state))
                _relu_conv_norm(tracer, operation, rectified[source], target)
            elif isinstance(operation, (nn.Identity, nn.AvgPool2d)):
                kind = "add" if isinstance(operation, nn.Identity) else "pool"
                tracer.emit(kind, states[source], target)
            else:
                raise NotCompactError(f"the kernels run no operation {type(operation).__name__}")
        if not written:
            tracer.emit("zero", target, target)
        states.append(target)
    return states[graph.outputs[0]]


def _needed(instructions: Sequence[Instruction], result: Feature) -> Iterator[Instruction]:
    """Those that the result depends on, in order."""
    wanted, kept = {result.index}, []
    for instruction in reversed(instructions):
        if instruction.target.index in wanted:
            wanted.add(instruction.source.index)
            kept.append(instruction)
    return reversed(kept)


class _Places:
    """Consecutive places of tensors, in multiples of 1 element."""

    def __init__(self) -> None:
        self.of: dict[int, Tensor] = {}
        self.end = 0

    def take(self, count: int) -> int:
        start = self.end
        self.end += count
        return start

    def hold(self, tensor: Tensor | None) -> int:
        """A place for a tensor; -1 for None."""
        if tensor is None:
            return -1
        start = self.take(tensor.numel())
        self.of[start] = tensor
        return start


def _laid_out(instructions: Sequence[Instruction], image: Feature, logits: Feature) -> Program:
    acts, weights, stats, saved = {}, _Places(), _Places(), 0
    size = scratch = 0
    rows = np.zeros((len(instructions), 18), dtype=np.int64)
    for feature in _features(instructions, image):
        acts[feature.index] = size
        size += feature.channels * feature.height * feature.width
    for row, one in zip(rows, instructions, strict=True):
        source, target, module = one.source, one.target, one.module
        kernel = stride = 1
        if isinstance(module, nn.Conv2d):
            kernel, stride = module.kernel_size[0], module.stride[0]
            scratch = max(scratch, module.weight.numel())
        own_weights = [weights.hold(getattr(module, name, None)) for name in ("weight", "bias")]
        place = -1
        if isinstance(module, nn.BatchNorm2d):
            place = stats.hold(module.running_mean)
            stats.hold(module.running_var)
        row[:] = (
            *(KINDS.index(one.kind), acts[source.index], acts[target.index]),
            *(source.channels, target.channels, source.height, source.width),
            *(target.height, target.width, kernel, stride, *own_weights, place, saved),
            *(one.add, 0, 0),
        )
        saved += 2 * target.channels if one.kind == "norm" else 0
    _set_gradients(rows, instructions, image)
    return Program(
        rows,
        acts[image.index],
        acts[logits.index],
        logits.channels,
        size,
        cast("dict[int, nn.Parameter]", weights.of),
        stats.of,
        saved,
        scratch,
    )


def _features(instructions: Sequence[Instruction], image: Feature) -> list[Feature]:
    found = {image.index: image}
    for one in instructions:
        found |= {one.source.index: one.source, one.target.index: one.target}
    return list(found.values())


def _set_gradients(
    rows: NDArray[np.int64], instructions: Sequence[Instruction], image: Feature
) -> None:
    """Mark the instructions that pass a gradient on, and those that add to what others passed."""
    constant, begun = {image.index}, set[int]()
    for one in instructions:
        learns = one.module is not None or one.source.index not in constant
        if learns and one.kind != "zero":
            constant.discard(one.target.index)
        elif not one.add:
            constant.add(one.target.index)
    for row, one in zip(rows[::-1], instructions[::-1], strict=True):
        if one.kind not in ("zero", "loss") and one.source.index not in constant:
            row[_BACK], row[_ADD_BACK] = True, one.source.index in begun
            begun.add(one.source.index)
