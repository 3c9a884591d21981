"""The kernels of a fused cell: the eager ones, or compiled ones that are checked against them.

On one CPU thread they are native.cpp's, elsewhere those that torch.compile makes.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nni_wiring.supernet.fused import kernels as fused_kernels
from nni_wiring.supernet.fused import native
from nni_wiring.supernet.fused.backward import backward
from nni_wiring.supernet.fused.compared import Compared, Kernel, one_line
from nni_wiring.supernet.fused.kernels import Moments, Saved
from nni_wiring.supernet.fused.native_library import NUMBERS, library
from nni_wiring.supernet.fused.plan import Plan

log = logging.getLogger(__name__)

#: Versions of one function that torch.compile may keep: three widths of cells, each with and
#: without gradients of weights and inputs, for the plans of a few spaces in one process.
MAX_VERSIONS = 64


class Kernels(NamedTuple):
    """The two functions that a fused cell runs; see ``fused_kernels.forward`` and
    ``fused_backward.backward``.
    """

    forward: Kernel
    backward: Kernel


EAGER = Kernels(fused_kernels.forward, backward)


@cache
def compiler_problem(device_type: str) -> str | None:
    """None where torch.compile works on a kind of device, else what is wrong, in one line."""
    try:
        compiled = torch.compile(lambda x: (x + 1).sum(), dynamic=False)
        compiled(torch.ones(8, device=device_type))
    except Exception as error:  # noqa: BLE001  a missing compiler shows up as many types
        return one_line(error)
    return None


@cache
def kernels_for(device_type: str) -> Kernels:
    """Compiled kernels, or the eager ones and one warning where there is no compiler."""
    problem = compiler_problem(device_type)
    if problem is not None:
        log.warning("compile: no working compiler, so cells run uncompiled (%s)", problem)
        return EAGER
    return Kernels(_forward, _backward)


def native_kernels(z: Tensor, x: Tensor, parameters: Sequence[Tensor]) -> Kernels | None:
    """The kernels of native.cpp, for plans that ``native.suits``; None where they do not serve: on
    a GPU, on several threads, in half precision, for other widths than multiples of 4 up
    to native.WIDEST, or where
    they cannot be compiled.
    """
    width = x.shape[1]
    here = x.is_cpu and torch.get_num_threads() == 1 and width % 4 == 0
    if not here or width > native.WIDEST:
        return None
    if any(t.dtype != x.dtype or t.dtype not in NUMBERS for t in (z, *parameters)):
        return None
    return NATIVE if native_problem(x.shape[1], x.dtype) is None else None


@cache
def native_problem(channels: int, dtype: torch.dtype) -> str | None:
    """None where native.cpp can be had for a width and type, else what is wrong, in one line."""
    try:
        library(channels, dtype)
    except (OSError, subprocess.SubprocessError) as error:
        log.info("compile: torch.compile serves cells of %d channels (%s)", channels, error)
        return one_line(error)
    return None


def _allow_versions() -> None:
    """torch keeps this setting for each thread, and autograd has threads of its own."""
    dynamo: Any = torch._dynamo.config
    name = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"
    if getattr(dynamo, name) < MAX_VERSIONS:
        setattr(dynamo, name, MAX_VERSIONS)


def _forward(plan: Plan, *arguments: Any) -> Any:
    return _checked(fused_kernels.forward, plan)(*arguments)


def _backward(plan: Plan, *arguments: Any) -> Any:
    return _checked(backward, plan)(*arguments)


@cache
def _checked(kernel: Kernel, plan: Plan) -> Checked:
    return Checked(kernel, plan)


class Checked(Compared):
    """A kernel through torch.compile, for one plan."""

    def __init__(self, kernel: Kernel, plan: Plan) -> None:
        def eager(*arguments: Any) -> Any:
            return kernel(plan, *arguments)

        super().__init__(eager, torch.compile(eager, dynamic=False, fullgraph=True))

    def _prepared(self, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        _allow_versions()
        arguments = _detached(arguments)
        return arguments, _key(arguments)


class _NativeForward(Compared):
    """``native.forward``, which is one for all plans."""

    def _prepared(self, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        x, counts = arguments[2][0], arguments[-1]
        return arguments, (x.shape, x.dtype, counts.shape)

    def _difference(self, arguments: tuple[Any, ...], found: Any, expected: Any) -> str | None:
        plan, z, inputs, *_ = arguments
        states, saved, moments = found
        saved = native.unpacked(plan, saved, z, inputs[0].shape[1], len(states[0]))
        rest = (
            [torch.cat([getattr(m, name) for m in expected[2]]) for name in Moments._fields]
            if expected[2]
            else []
        )
        return super()._difference(
            arguments, (states, saved, list(moments[0])[: len(rest)]), (*expected[:2], rest)
        )


class _NativeBackward(Compared):
    """``native.backward`` of what ``native.forward`` saved; eager, of what the eager one saved."""

    def __call__(self, *arguments: Any) -> Any:
        """The kernel's own outputs."""
        packed = native.is_packed(arguments[5])
        return super().__call__(*arguments) if packed else self._eager(*arguments)

    def _prepared(self, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        gradient, needs = arguments[1], arguments[-1]
        return arguments, (gradient.shape, gradient.dtype, needs)


def _backward_of_native(
    plan: Plan,
    gradient: Tensor,
    z: Tensor,
    states: Any,
    parameters: Any,
    saved: list[Saved],
    *rest: Any,
) -> Any:
    """The eager backward pass, of what either forward pass saved."""
    if native.is_packed(saved):
        n, channels, h, w = gradient.shape
        saved = native.unpacked(plan, saved, z, channels // len(plan.outputs), n * h * w)
    return backward(plan, gradient, z, states, parameters, saved, *rest)


NATIVE = Kernels(
    _NativeForward(EAGER.forward, native.forward),
    _NativeBackward(_backward_of_native, native.backward),
)


def _detached(value: Any) -> Any:
    """Without requires_grad: torch.compile makes versions of their own for it, unasked."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, (tuple, list)):
        parts = [_detached(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _key(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device, value.stride()
    return tuple(map(_key, value)) if isinstance(value, (tuple, list)) else value
