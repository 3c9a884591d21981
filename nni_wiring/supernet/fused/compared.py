"""Compiled kernels in the place of others, with which their first calls are compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

#: Largest difference between a compiled and an eager tensor, as a share of its largest entry; that
#: of the coarsest type among arguments and results.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 5e-2}

Kernel = Callable[..., Any]


def one_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]:.120}"


class Compared:
    """A kernel in the place of an eager one. The first call of every shape is compared with the
    eager kernel; where it fails or differs, the eager one serves from then on, with one warning.
    """

    #: What the log calls it.
    what = "a cell"

    def __init__(self, eager: Kernel, fast: Kernel) -> None:
        self._eager, self._fast = eager, fast
        self._known: set[Any] = set()
        self.problem: str | None = None

    def __call__(self, *arguments: Any) -> Any:
        """The kernel's own outputs."""
        if self.problem is not None:
            return self._eager(*arguments)
        arguments, key = self._prepared(arguments)
        if key in self._known:
            return self._fast(*arguments)
        expected, found = self._eager(*arguments), None
        try:
            found = self._fast(*arguments)
            self.problem = self._difference(arguments, found, expected)
        except Exception as error:  # noqa: BLE001  a failing compiler shows up as many types
            self.problem = one_line(error)
        if self.problem is None:
            self._known.add(key)
            return found  # as at every other call: a resumed search has first calls of its own
        log.warning("compile: %s runs uncompiled (%s)", self.what, self.problem)
        return expected

    def _prepared(self, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """The arguments as the kernel takes them, and a key of their shapes."""
        raise NotImplementedError

    def _difference(self, arguments: tuple[Any, ...], found: Any, expected: Any) -> str | None:
        """None where the kernel's outputs are those of the eager one, else what differs."""
        return difference(found, expected, _types((arguments, expected)))


def _tensors(value: Any) -> Iterator[Tensor | None]:
    if value is None or isinstance(value, Tensor):
        yield value
    else:
        for part in value:
            yield from _tensors(part)


def _types(value: Any) -> set[torch.dtype]:
    """Of all tensors in nested tuples and lists."""
    if isinstance(value, (tuple, list)):
        return set().union(*map(_types, value))
    return {value.dtype} if isinstance(value, Tensor) else set()


def difference(found: Any, expected: Any, types: Iterable[torch.dtype] = ()) -> str | None:
    """None where two results of a kernel agree within TOLERANCE, else what differs.

    types: of what they were computed from. float32 moments of bfloat16 maps are no more exact than
    the maps, which a compiled kernel does not round where the eager one does.
    """
    coarsest = max((TOLERANCE.get(kind, 0.0) for kind in types), default=0.0)
    for a, b in zip(_tensors(found), _tensors(expected), strict=True):
        if a is None or b is None:
            if a is not b:
                return "a gradient is missing"
            continue
        scale = float(b.abs().max())
        gap = float((a - b).abs().max())
        if a.dtype != b.dtype or not gap <= max(TOLERANCE[b.dtype], coarsest) * scale + 1e-6:
            return f"it and eager differ by {gap:.2g} in a tensor of up to {scale:.2g}"
    return None
