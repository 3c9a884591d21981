"""Depthwise convolutions with the gradients that torch is slow at, on one CPU core."""

from __future__ import annotations

import ctypes
import logging
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from nni_wiring.files.native import shared_library
from nni_wiring.supernet.fused.compared import Compared
from nni_wiring.supernet.fused.native_library import FLAGS, NUMBERS
from nni_wiring.supernet.partial_cell import SlimConv2d
from nni_wiring.truth import cache_dir

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("depthwise.cpp")
_LAST = torch.channels_last
_I, _P = ctypes.c_int64, ctypes.c_void_p


class Shape(NamedTuple):
    """A depthwise convolution but for its weights; pixels."""

    kernel: int
    stride: int
    padding: int
    dilation: int


class _Given(ctypes.Structure):
    """``Convolution`` in depthwise.cpp."""

    _fields_ = [
        (name, _I) for name in ("n", "h", "w", "c", "stride", "padding", "dilation", "oh", "ow")
    ]


def depthwise_shape(layer: nn.Module) -> Shape | None:
    """Of a depthwise convolution larger than 1x1, square and without a bias; None for others."""
    if type(layer) not in (nn.Conv2d, SlimConv2d):
        return None
    layer = cast(nn.Conv2d, layer)
    if layer.bias is not None or layer.groups == 1:
        return None
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    if any(isinstance(size, str) or size[0] != size[1] for size in sizes):
        return None
    square = Shape(*(cast(int, size[0]) for size in sizes))
    own = layer.groups == layer.in_channels == layer.out_channels
    return square if own and square.kernel > 1 and layer.padding_mode == "zeros" else None


def convolve(layer: nn.Module, x: Tensor, *, compiled: bool) -> Tensor:
    """``layer(x)``, x (n, c, h, w); of a depthwise convolution with gradients of its own, on the
    first channels where x has fewer and the layer is a `SlimConv2d`.

    compiled: the weights' by native code where it serves: on one thread, for kernels of 3 and 5
    and a multiple of 4 channels, where a compiler is found. Derivatives of the gradients exist. A
    layer with hooks is called.
    """
    shape = depthwise_shape(layer)
    if shape is None or layer._forward_hooks or layer._forward_pre_hooks:
        return cast(Tensor, layer(x))
    weight, width = cast(Tensor, layer.weight), x.shape[1]
    own = weight if len(weight) == width else weight[:width]
    return cast(Tensor, _Depthwise.apply(x, own, shape, compiled))


class _Depthwise(torch.autograd.Function):
    """torch's convolution, whose gradient to the input is the convolution of the outputs', zeros
    between them where its stride is above 1, with the turned kernel: torch's takes up to five
    times as long, seventeen times with strides and dilation.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, shape: Shape, compiled: bool) -> Tensor:
        """The convolution."""
        ctx.save_for_backward(x, weight)
        ctx.shape, ctx.compiled = shape, compiled
        return _forward(x, weight, shape, shape.stride, shape.padding)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients that are wanted; by torch alone where their derivative is, too."""
        x, weight = ctx.saved_tensors
        wanted, shape = ctx.needs_input_grad[:2], ctx.shape
        if torch.is_grad_enabled():
            return *_gradients(dy, x, weight, shape, *wanted), None, None
        return (
            _to_input(dy, x, weight, shape) if wanted[0] else None,
            _to_weight(dy, x, weight, shape, ctx.compiled) if wanted[1] else None,
            None,
            None,
        )


def _forward(x: Tensor, weight: Tensor, shape: Shape, stride: int, padding: int) -> Tensor:
    return conv2d(x, weight, None, stride, padding, shape.dilation, weight.shape[0])


def _gradients(
    dy: Tensor, x: Tensor, weight: Tensor, shape: Shape, to_x: bool, to_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """torch's own."""
    pairs = [2 * [size] for size in (shape.stride, shape.padding, shape.dilation)]
    mask = [to_x, to_weight, False]
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        dy, x, weight, None, *pairs, False, [0, 0], weight.shape[0], mask
    )
    return of_x, of_weight


def _to_input(dy: Tensor, x: Tensor, weight: Tensor, shape: Shape) -> Tensor | None:
    reach = shape.dilation * (shape.kernel - 1)
    if reach < shape.padding:
        return _gradients(dy, x, weight, shape, True, False)[0]
    if shape.stride > 1:
        h, w = (size + 2 * shape.padding - reach for size in x.shape[2:])
        between = x.new_zeros(*x.shape[:2], h, w).to(memory_format=_LAST)
        between[:, :, :: shape.stride, :: shape.stride] = dy
        dy = between
    return _forward(dy, weight.flip(2, 3), shape, 1, reach - shape.padding)


def _to_weight(
    dy: Tensor, x: Tensor, weight: Tensor, shape: Shape, compiled: bool
) -> Tensor | None:
    serves = compiled and shape.kernel in (3, 5) and weight.shape[0] % 4 == 0
    same = x.dtype == dy.dtype == weight.dtype and x.dtype in NUMBERS and x.is_cpu
    if not (serves and same and torch.get_num_threads() == 1 and library(x.dtype)):
        return _by_torch(dy, x, weight, shape)
    return cast(Tensor, _NATIVE(dy, x, weight, shape))


class _Compared(Compared):
    """The gradient to the weights by native code."""

    what = "a depthwise convolution"

    def _prepared(self, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        dy, x, weight, shape = arguments
        dy, x = (tensor.contiguous(memory_format=_LAST) for tensor in (dy, x))
        return (dy, x, weight, shape), (x.shape, x.dtype, shape)

    def _difference(self, arguments: tuple[Any, ...], found: Any, expected: Any) -> str | None:
        """(torch adds up all pixels in one number: in float32 it may be the one that is off)"""
        dy, x, weight, shape = arguments
        exact = _by_torch(dy.double(), x.double(), weight.double(), shape)
        assert exact is not None
        return super()._difference(arguments, found, exact.to(found.dtype))


def _by_torch(dy: Tensor, x: Tensor, weight: Tensor, shape: Shape) -> Tensor | None:
    return _gradients(dy, x, weight, shape, False, True)[1]


def _by_native_code(dy: Tensor, x: Tensor, weight: Tensor, shape: Shape) -> Tensor:
    n, c, h, w = x.shape
    given = _Given(n, h, w, c, *shape[1:], *dy.shape[2:])
    found = torch.empty(weight.shape, dtype=weight.dtype)
    library(x.dtype).of_weights(
        ctypes.byref(given), shape.kernel, x.data_ptr(), dy.data_ptr(), found.data_ptr()
    )
    return found


_NATIVE = _Compared(_by_torch, _by_native_code)


@cache
def library(dtype: torch.dtype) -> Any:
    """The function of depthwise.cpp for one type of number; None, and a line in the log, where it
    cannot be compiled.
    """
    folder = cache_dir() / "native"
    try:
        path = shared_library(SOURCE, folder, *FLAGS, f"-DNUMBER={NUMBERS[dtype]}")
        loaded = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("compile: depthwise convolutions run uncompiled (%s)", error)
        return None
    loaded.of_weights.argtypes = (_P, _I, _P, _P, _P)
    loaded.of_weights.restype = None
    return loaded
