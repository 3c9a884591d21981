"""Steps on a device that is not the host: torch's "meta" device, which computes nothing but refuses
operands of two devices, and cannot be read. (Tensors that are made on it from numbers of the host
pass unseen: the recordings of test_gradient_graphs.py refuse those.)
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from one_shot import Task, tiny_space
from torch.utils._python_dispatch import TorchDispatchMode

from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.strategies.registry import STRATEGIES


class Copies(TorchDispatchMode):
    """Counts tensors that go from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            tensors = [t for t in (*args, result) if isinstance(t, torch.Tensor)]
            if len({tensor.device for tensor in tensors}) > 1:
                self.seen.append(f"{func}: {tuple(result.shape)}")
        return result


CASES: list[dict[str, Any]] = [
    {"name": "darts"},
    {"name": "darts", "supernet": "plain"},
    {"name": "darts", "order": 2},
    {"name": "darts", "optimisation": "single_level"},
    {"name": "darts_fixed_alpha"},
    {"name": "darts_plus"},
    {"name": "fair_darts"},
    {"name": "pc_darts"},
    {"name": "sgas"},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_a_step_neither_waits_for_the_device_nor_feeds_it(case: dict[str, Any]) -> None:
    """Watched by the monitor, in a network with tracked batch norms."""
    settings = dict(case)
    strategy = STRATEGIES[settings.pop("name")](**settings)
    model = strategy.mutate_model(tiny_space(affine=True, track_stats=True))
    module = strategy.configure_oneshot_module(Task())
    module.set_model(model)
    module.to("meta")
    alpha = module.configure_architecture_optimizers()
    theta = torch.optim.SGD(module.weight_parameters(), lr=0.1, momentum=0.9)
    module.tuning = {True: alpha, False: theta}
    strategy.on_epoch_start(0, 1)
    (group,) = strategy.groups
    group.decisions.load({"chosen": {0: 3}, "dropped": [2]})
    monitor: Any = WiringMonitor()
    monitor.on_fit_start(SimpleNamespace(world_size=1), module)
    images = torch.empty(6, 3, 8, 8, device="meta")
    labels = torch.empty(6, dtype=torch.int64, device="meta")
    batch = {"train": (images, labels), "val": (images, labels)}
    for step in range(2):
        with Copies() as copies:
            monitor.on_train_batch_start(None, module, batch, step)
            module.search_step(batch, step, alpha_moves=strategy.moves_alpha)
            monitor.on_train_batch_end(None, module, None, batch, step)
        assert copies.seen == []
    monitor.remove()
    assert all(tensor.is_meta for tensor in module.state_dict().values())
    with pytest.raises(NotImplementedError):  # reading does fail on this device
        strategy.groups[0].current_alpha()
