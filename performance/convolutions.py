"""The 3x3 convolutions of native cells against torch's (oneDNN), forwards and backwards.

    python performance/convolutions.py [--branches 3] [--batch 64] [--rounds 15] [--json]
    python performance/convolutions.py --depthwise --batch 16

CPU milliseconds of one convolution from C to ``branches`` C channels, of its gradient to the input
and of that to the weights: medians, the two taking turns on one thread in float32. Both are held
against torch in float64 first. Depthwise: the convolutions of DARTS' operations on channels-last
maps, whose gradients of our own stand beside torch's (the forward pass is torch's).
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from stepping import alternate
from torch import Tensor, nn
from torch.nn.functional import conv2d

from nni_wiring.files.native import shared_library
from nni_wiring.supernet.fused.depthwise import convolve
from nni_wiring.supernet.fused.native_library import FLAGS, HEADERS
from nni_wiring.truth import cache_dir

SOURCE = Path(__file__).with_suffix(".cpp")
#: Channels and side of the images: those of a small network's stages, and of a large one's.
SIZES = ((4, 16), (8, 16), (16, 8), (32, 4), (16, 32), (32, 16), (64, 8))
#: Kernel, dilation and stride of DARTS' depthwise convolutions, but for a 3x3 with a stride.
DEPTHWISE = ((3, 1, 1), (5, 1, 1), (3, 2, 1), (5, 2, 1), (5, 2, 2))
PASSES = ("forward", "to the input", "to the weights")
REPEATS = 5
_I, _P = ctypes.c_int64, ctypes.c_void_p

Pass = Callable[[], Tensor]


def library(channels: int) -> Any:
    """convolutions.cpp compiled for one width, with the flags of the native cells."""
    include = f"-I{HEADERS[0].parent}"
    flags = (*FLAGS, include, f"-DCHANNELS={channels}", "-DNUMBER=float")
    path = shared_library(SOURCE, cache_dir() / "native", *flags, headers=HEADERS)
    loaded = ctypes.CDLL(str(path))
    loaded.forward.argtypes = (_P, _I, _I, _I, _P, _I, _P)
    loaded.backward.argtypes = (_P, _P, _I, _I, _I, _P, _I, _P, _P)
    return loaded


def passes(
    channels: int, side: int, branches: int, batch: int
) -> tuple[dict[str, Pass], dict[str, Pass], list[Tensor]]:
    """Native and torch's passes of the same numbers, and the results in float64, all NCHW."""
    outs = branches * channels
    x = torch.randn(batch, side, side, channels)
    weights = torch.randn(outs, channels, 3, 3)
    dy = torch.randn(batch, side, side, outs)
    y, of_x, of_weights = torch.empty_like(dy), torch.empty_like(x), torch.empty_like(weights)
    own, size = library(channels), (batch, side, side)

    def forward() -> Tensor:
        own.forward(x.data_ptr(), *size, weights.data_ptr(), outs, y.data_ptr())
        return y.permute(0, 3, 1, 2)

    def backward(inputs: Tensor | None, parameters: Tensor | None) -> None:
        places = [None if one is None else one.data_ptr() for one in (inputs, parameters)]
        own.backward(
            dy.data_ptr(), x.data_ptr(), *size, weights.data_ptr(), outs, places[0], places[1]
        )

    def to_input() -> Tensor:
        backward(of_x, None)
        return of_x.permute(0, 3, 1, 2)

    def to_weights() -> Tensor:
        backward(None, of_weights)
        return of_weights

    native = dict(zip(PASSES, (forward, to_input, to_weights), strict=True))
    images, gradient = x.permute(0, 3, 1, 2), dy.permute(0, 3, 1, 2)  # channels last

    def gradients(mask: list[bool], *of: Tensor) -> tuple[Tensor, ...]:
        found = torch.ops.aten.convolution_backward(
            *of, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [*mask, False]
        )
        return tuple(found)

    theirs: dict[str, Pass] = {
        "forward": lambda: conv2d(images, weights, padding=1),
        "to the input": lambda: gradients([True, False], gradient, images, weights)[0],
        "to the weights": lambda: gradients([False, True], gradient, images, weights)[1],
    }
    exact = [one.double() for one in (gradient, images, weights)]
    truth = [conv2d(*exact[1:], padding=1), *gradients([True, True], *exact)[:2]]
    return native, theirs, truth


def milliseconds(ways: Mapping[str, Pass], rounds: int) -> dict[str, float]:
    """CPU milliseconds of one call of each, the median of rounds in which they take turns."""

    def some(one: Pass) -> None:
        for _ in range(REPEATS):
            one()

    found = alternate({name: partial(some, one) for name, one in ways.items()}, rounds)
    return {name: 1e3 * median / REPEATS for name, median in found.medians().items()}


def measure(channels: int, side: int, options: argparse.Namespace) -> dict[str, Any]:
    """The row of one size; AssertionError where either is not the convolution."""
    native, theirs, truth = passes(channels, side, options.branches, options.batch)
    for name, value in zip(PASSES, truth, strict=True):
        for one in (native, theirs):
            torch.testing.assert_close(one[name]().double(), value, rtol=1e-4, atol=2e-2)
    flop = 18 * channels**2 * options.branches * options.batch * side**2
    row: dict[str, Any] = {"channels": channels, "side": side}
    for name in PASSES:
        ways = {"torch_ms": theirs[name], "native_ms": native[name]}
        found = milliseconds(ways, options.rounds)
        row[name] = {**found, "native_gflops": flop / found["native_ms"] / 1e6}
    return row


def depthwise_row(kernel: int, dilation: int, stride: int, options: Any) -> dict[str, Any]:
    """Milliseconds at C=8, side 32: of the forward pass, and torch's and ours of the gradients."""
    padding = dilation * (kernel - 1) // 2
    layer = nn.Conv2d(8, 8, kernel, stride, padding, dilation, groups=8, bias=False)
    x = torch.randn(options.batch, 8, 32, 32).contiguous(memory_format=torch.channels_last)
    ways = {"torch": layer, "ours": partial(convolve, layer, compiled=True)}
    layer.requires_grad_(False)
    timed = {"forward": {"torch": partial(layer, x)}}
    timed["to the input"] = {
        name: gradient(way, x.clone().requires_grad_()) for name, way in ways.items()
    }
    layer.requires_grad_(True)
    timed["to the weights"] = {name: gradient(way, x, layer.weight) for name, way in ways.items()}
    found = {name: milliseconds(passes_of, options.rounds) for name, passes_of in timed.items()}
    return {"kernel": kernel, "dilation": dilation, "stride": stride, **found}


def gradient(apply: Callable[[Tensor], Tensor], x: Tensor, wanted: Tensor | None = None) -> Pass:
    """The backward pass of one graph, which is kept, to ``wanted`` (default: x)."""
    y = apply(x)
    dy = torch.randn_like(y)
    of = x if wanted is None else wanted
    return lambda: torch.autograd.grad(y, of, dy, retain_graph=True)[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--branches", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", nargs="*", default=[f"{c}x{s}" for c, s in SIZES])
    parser.add_argument("--depthwise", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    if options.depthwise:
        for sizes in DEPTHWISE:
            print(json.dumps(depthwise_row(*sizes, options)))
        return
    pairs = [tuple(map(int, size.split("x"))) for size in options.sizes]
    rows = [measure(channels, side, options) for channels, side in pairs]
    if options.json:
        print(json.dumps(rows))
        return
    print("C, side   torch / native ms, GFLOP/s: " + ", ".join(PASSES))
    for row in rows:
        cells = (
            f"{one['torch_ms']:.2f} / {one['native_ms']:.2f}, {one['native_gflops']:.0f}"
            for one in (row[name] for name in PASSES)
        )
        print(f"{row['channels']:2d}, {row['side']:2d}   " + "   ".join(cells))


if __name__ == "__main__":
    main()
