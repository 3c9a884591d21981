"""Graphs without a GPU: every aten call of a function is recorded and repeated on the same memory.

What CUDA graphs do with launches, so with their pitfalls: no Python runs in a replay, numbers of
the host are those of the recording, and tensors keep their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Call = tuple[Any, tuple[Any, ...], dict[str, Any], Any]


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("the host waits for the device inside a recording")
        if func is torch.ops.aten.lift_fresh.default:
            raise RuntimeError("the host makes a tensor, to be copied, inside a recording")
        if func.is_view:
            return func(*args, **(kwargs or {}))
        places = tuple(_alias(value) for value in args)
        named = {name: _alias(value) for name, value in (kwargs or {}).items()}
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, places, named, _alias(result)))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        with torch.autocast("cpu", enabled=False):  # what it did is among the calls
            for func, args, kwargs, old in self.calls:
                new = func(*args, **kwargs)
                if not func._schema.is_mutable:
                    _overwrite(old, new)


def _alias(value: Any) -> Any:
    """The same memory under shapes that nobody changes later (``unsqueeze_``)."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, (tuple, list)):
        return [_alias(one) for one in value]
    return value


def _overwrite(old: Any, new: Any) -> None:
    if isinstance(old, (tuple, list)):
        for one, other in zip(old, new, strict=True):
            _overwrite(one, other)
    elif isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
        old.copy_(new)


class OpRecorder:
    """The stand-in for ``CudaRecorder``. tapes: what was recorded. replays: how many there were."""

    def __init__(self) -> None:
        self.tapes: list[_Tape] = []
        self.replays = 0

    @property
    def recordings(self) -> int:
        return len(self.tapes)

    def warm_up(self, run: Callable[[], None]) -> None:
        run()

    def forget(self) -> None:
        pass

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        with _Tape() as tape:
            run()
        self.tapes.append(tape)

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay
