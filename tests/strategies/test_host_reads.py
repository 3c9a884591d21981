"""How often a step of a sampled method waits for the device: on torch's "meta" device, whose reads
are counted and answered.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_shot import Task, tiny_space

from nni_wiring.strategies.parts.controller import Controller, Reinforce, train_controller
from nni_wiring.strategies.registry import STRATEGIES

READS = ("tolist", "item", "cpu", "numpy", "__bool__", "__int__", "__float__", "nonzero")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the reads so far; a read gives ones."""
    seen: list[str] = []

    def answering(name: str) -> Any:
        real = getattr(torch.Tensor, name)

        def read(tensor: torch.Tensor, *args: Any) -> Any:
            if not tensor.is_meta:
                return real(tensor, *args)
            seen.append(name)
            return real(torch.ones(tensor.shape, dtype=tensor.dtype), *args)

        return read

    for name in READS:
        monkeypatch.setattr(torch.Tensor, name, answering(name))
    return seen


SAMPLED: list[dict[str, Any]] = [
    {"name": "gdas"},
    {"name": "gdas", "supernet": "plain"},
    {"name": "snas"},
    {"name": "dsnas"},
    {"name": "dsnas", "optimisation": "bi_level"},
    {"name": "proxylessnas"},
    {"name": "random_sampling"},
    {"name": "enas"},
    {"name": "drnas"},
    {"name": "sdarts_rs"},
    {"name": "sdarts_adv"},
]


@pytest.mark.parametrize("case", SAMPLED, ids=lambda case: "-".join(map(str, case.values())))
def test_a_gradient_step_reads_from_the_device_once_at_most(
    case: dict[str, Any], reads: list[str]
) -> None:
    settings = dict(case)
    strategy = STRATEGIES[settings.pop("name")](**settings)
    model = strategy.mutate_model(tiny_space())
    module = strategy.configure_oneshot_module(Task())
    module.set_model(model)
    module.to("meta")
    alpha = module.configure_architecture_optimizers()
    theta = torch.optim.SGD(module.weight_parameters(), lr=0.1)
    module.tuning = {True: alpha, False: theta}
    strategy.on_epoch_start(0, 1)
    images = torch.empty(6, 3, 8, 8, device="meta")
    labels = torch.empty(6, dtype=torch.int64, device="meta")
    batch = {"train": (images, labels), "val": (images, labels)}
    for step in range(2):
        reads.clear()
        module.search_step(batch, step, alpha_moves=strategy.moves_alpha)
        steps = 2 if strategy.moves_alpha and not module.single_level else 1
        assert len(reads) <= steps


def test_a_controller_reads_the_rewards_of_an_update_once(reads: list[str]) -> None:
    controller = Controller([torch.ones(5, dtype=torch.bool)] * 3)
    train_controller(
        controller,
        Reinforce(1e-4, 0.95),
        lambda cell: torch.ones((), device="meta"),
        lambda loss: None,
        torch.Generator().manual_seed(0),
        steps=4,
        samples=7,
    )
    assert reads == ["cpu"] * 4
