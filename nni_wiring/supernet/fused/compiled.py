"""The kernels of a fused cell: the eager ones, or the same through torch.compile, checked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nni_wiring.supernet.fused import kernels as fused_kernels
from nni_wiring.supernet.fused.backward import backward
from nni_wiring.supernet.fused.plan import Plan

log = logging.getLogger(__name__)

#: Versions of one function that torch.compile may keep: three widths of cells, each with and
#: without gradients of weights and inputs, for the plans of a few spaces in one process.
MAX_VERSIONS = 64

#: Largest difference between a compiled and an eager tensor, as a share of its largest entry.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 5e-2}

Kernel = Callable[..., Any]


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
        return _one_line(error)
    return None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]:.120}"


@cache
def kernels_for(device_type: str) -> Kernels:
    """Compiled kernels, or the eager ones and one warning where there is no compiler."""
    problem = compiler_problem(device_type)
    if problem is not None:
        log.warning("compile: no working compiler, so cells run uncompiled (%s)", problem)
        return EAGER
    return Kernels(_forward, _backward)


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


class Checked:
    """A compiled kernel for one plan. The first call of every shape is compared with the eager
    kernel; where it fails or differs, the eager kernel serves from then on, with one warning.
    """

    def __init__(self, kernel: Kernel, plan: Plan) -> None:
        self._eager = lambda *arguments: kernel(plan, *arguments)
        self._compiled = torch.compile(self._eager, dynamic=False, fullgraph=True)
        self._known: set[Any] = set()
        self.problem: str | None = None

    def __call__(self, *arguments: Any) -> Any:
        """The kernel's own outputs."""
        if self.problem is not None:
            return self._eager(*arguments)
        _allow_versions()
        arguments = _detached(arguments)
        key = _key(arguments)
        if key in self._known:
            return self._compiled(*arguments)
        expected, found = self._eager(*arguments), None
        try:
            found = self._compiled(*arguments)
            self.problem = difference(found, expected)
        except Exception as error:  # noqa: BLE001  a failing compiler shows up as many types
            self.problem = _one_line(error)
        if self.problem is None:
            self._known.add(key)
            return found  # as at every other call: a resumed search has first calls of its own
        log.warning("compile: a cell runs uncompiled (%s)", self.problem)
        return expected


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


def _tensors(value: Any) -> Iterator[Tensor | None]:
    if value is None or isinstance(value, Tensor):
        yield value
    else:
        for part in value:
            yield from _tensors(part)


def difference(found: Any, expected: Any) -> str | None:
    """None where two results of a kernel agree within TOLERANCE, else what differs."""
    for a, b in zip(_tensors(found), _tensors(expected), strict=True):
        if a is None or b is None:
            if a is not b:
                return "a gradient is missing"
            continue
        scale = float(b.abs().max())
        gap = float((a - b).abs().max())
        if a.dtype != b.dtype or not gap <= TOLERANCE[b.dtype] * scale + 1e-6:
            return f"it and eager differ by {gap:.2g} in a tensor of up to {scale:.2g}"
    return None
