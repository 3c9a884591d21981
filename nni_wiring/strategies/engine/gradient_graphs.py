"""GradientGraphs: the gradients of a search step as CUDA graphs, replayed in the place of thousands
of launches.

A gradient is everything from a batch to what lies in ``.grad``: the draw of Z, forward and backward
passes. The optimisers stay outside: they hold numbers of the host (learning rates, step counts),
which a graph would freeze, and are a few launches only.

A replay runs launches and no Python. So the evaluator's ``training_step`` must be a function of its
batch alone: what it logs, metrics that it counts on the host and Lightning's hooks around the
backward pass take part in no replay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.fused.compared import difference
from nni_wiring.supernet.restoring import unmoved

log = logging.getLogger(__name__)

#: Eager steps before a capture: libraries choose algorithms and take their workspaces in them.
WARM_UP_STEPS = 3

#: Leaves the gradient of a batch (nested tuples, lists and dicts of tensors) in ``.grad``.
Compute = Callable[[Any], None]


class StepListener(Protocol):
    """A taker of notes of tensors during a step (a monitor), read when the step is over.

    A replayed step runs no Python, so its notes are those of the captured step: the same tensors
    with new values.
    """

    def take_notes(self) -> Any:
        """Hand over the notes of the step so far, and forget them."""

    def put_notes(self, notes: Any) -> None:
        """Add notes that ``take_notes`` gave."""


class Recorder(Protocol):
    """A recorder of a function's launches: CUDA graphs, or a stand-in."""

    def warm_up(self, run: Callable[[], None]) -> None:
        """Run once, as the recorded function will be run."""

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Record without running; the result replays what was recorded, on the same memory."""

    def forget(self) -> None:
        """Replay nothing that was recorded so far any more."""


class CudaRecorder:
    """CUDA graphs that share a pool of memory, recorded on a stream of their own.

    The warm-up runs on that stream too: autograd remembers the stream on which a parameter first
    took part, and a capture must not wait for another one.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self.forget()

    def forget(self) -> None:
        """Take a new pool: the old one may live as long as one tensor of it."""
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, run: Callable[[], None]) -> None:
        """Run on the recording stream, in order with what goes before and after."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            run()
        current.wait_stream(self._stream)

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Capture. torch captures one graph at a time in a process."""
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._stream.device)
        capture = torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        )
        # the outer context: a capture that fails leaves its stream the current one
        with torch.cuda.stream(current), capture:
            run()
        return graph.replay


def recorder_for(device: torch.device) -> Recorder | None:
    """The recorder of a device; None, with a warning, where there are no graphs."""
    if device.type == "cuda":
        return CudaRecorder(device)
    log.warning("cuda_graphs: there are none on %s, so steps run without", device.type)
    return None


class _Recorded(NamedTuple):
    """A recorded gradient. inputs: where the batch must lie. gradients: of every parameter that has
    one. draws: of every group. notes: of every listener.
    """

    replay: Callable[[], None]
    inputs: list[Tensor]
    gradients: list[tuple[nn.Parameter, Tensor]]
    draws: list[Draw | None]
    notes: list[Any]


class GradientGraphs:
    """Runs gradients through graphs, one for every phase and shape of batch.

    The first ``WARM_UP_STEPS`` of a kind run eagerly. The last of them is recorded as well and
    compared; where that fails or the gradients differ, the kind stays eager, with a warning. Before
    torch 2.13 or so, a capture that failed may still end the search when it is over, in
    ``torch.cuda.empty_cache``.

    recorder: what records. parameters: whose ``.grad`` a step leaves. buffers: what a step moves
    beside them (batch norm's statistics). groups: edge groups, whose draw belongs to the step.
    listeners: read at every step, so that monitors may come and go.
    """

    def __init__(
        self,
        recorder: Recorder,
        parameters: Sequence[nn.Parameter],
        buffers: Sequence[Tensor],
        groups: Sequence[EdgeGroup],
        listeners: Sequence[StepListener],
    ) -> None:
        self._recorder, self._parameters, self._buffers = recorder, parameters, buffers
        self._groups, self._listeners = groups, listeners
        self._program: Hashable = None
        self._seen: dict[Hashable, int] = {}
        self._recorded: dict[Hashable, _Recorded | None] = {}

    def run(self, phase: str, program: Hashable, compute: Compute, data: Any) -> None:
        """Leave in ``.grad`` what ``compute(data)`` leaves there, and nothing else.

        program: what the launches depend on beside phase and shapes; a new one makes all graphs
        out of date.
        """
        program = (program, tuple(map(id, self._listeners)))
        if program != self._program:
            self._program, self._recorded, self._seen = program, {}, {}
            self._recorder.forget()
        tensors = _tensors(data)
        kind = (phase, *((t.shape, t.dtype, t.stride()) for t in tensors))
        for parameter in self._parameters:
            parameter.grad = None
        if kind in self._recorded:
            self._replay(self._recorded[kind], compute, data, tensors)
            return
        self._forget_draws()
        self._recorder.warm_up(lambda: compute(data))
        self._seen[kind] = self._seen.get(kind, 0) + 1
        if self._seen[kind] >= WARM_UP_STEPS:
            self._recorded[kind] = self._record(phase, compute, data)

    def _replay(
        self, recorded: _Recorded | None, compute: Compute, data: Any, tensors: list[Tensor]
    ) -> None:
        if recorded is None:
            compute(data)
            return
        for place, tensor in zip(recorded.inputs, tensors, strict=True):
            place.copy_(tensor)
        recorded.replay()
        for parameter, gradient in recorded.gradients:
            parameter.grad = gradient
        for group, draw in zip(self._groups, recorded.draws, strict=True):
            group.draw = draw
        for listener, notes in zip(self._listeners, recorded.notes, strict=True):
            listener.put_notes(notes)

    def _record(self, phase: str, compute: Compute, data: Any) -> _Recorded | None:
        """Record the gradient that was just computed eagerly; all that it left stays as it is."""
        eager = [parameter.grad for parameter in self._parameters]
        notes = [listener.take_notes() for listener in self._listeners]
        recorded: _Recorded | None = None
        try:
            with unmoved(self._buffers):
                recorded = self._capture(compute, data)
                recorded.replay()
                found = dict(recorded.gradients)
                problem = difference([found.get(p) for p in self._parameters], eager)
        except RuntimeError as error:
            problem = f"{(str(error).strip() or '-').splitlines()[0]:.120}"
        for parameter, gradient in zip(self._parameters, eager, strict=True):
            parameter.grad = gradient
        for listener, own in zip(self._listeners, notes, strict=True):
            listener.take_notes()  # of a capture that failed half way
            listener.put_notes(own)
        if problem is None:
            return recorded
        log.warning("cuda_graphs: the %s step runs without a graph (%s)", phase, problem)
        return None

    def _capture(self, compute: Compute, data: Any) -> _Recorded:
        inputs: list[Tensor] = []

        def fixed(tensor: Tensor) -> Tensor:
            inputs.append(tensor.clone())
            return inputs[-1]

        batch = apply_to_collection(data, Tensor, fixed)
        for parameter in self._parameters:
            parameter.grad = None
        self._forget_draws()
        replay = self._recorder.record(lambda: compute(batch))
        return _Recorded(
            replay,
            inputs,
            [(p, p.grad) for p in self._parameters if p.grad is not None],
            [group.draw for group in self._groups],
            [listener.take_notes() for listener in self._listeners],
        )

    def _forget_draws(self) -> None:
        """A draw hangs on the autograd graph, and so the stream, of the step before."""
        for group in self._groups:
            group.draw = None


def _tensors(data: Any) -> list[Tensor]:
    """The tensors of a batch, in order."""
    found: list[Tensor] = []
    apply_to_collection(data, Tensor, found.append)
    return found
