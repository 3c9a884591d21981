"""How far rounding drives searches apart that compute the same function.

    python performance/rounding.py --steps 20 --json

First-order DARTS in float32 from one start on one series of batches: the plain supernet, the plain
one given every batch in another order (the same loss), the plain one on channels-last images, and
the fused one. The gaps are the largest between any alpha and the plain float32 supernet's, and, as
a yardstick, a plain search in float64. ``fused_float64`` is a fused search in float64 against that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from stepping import Batch, add_size, options_of, our_stepper, random_batches

Batches = list[dict[str, Batch]]
Change = Callable[[Batch], Batch]


def as_it_is(batch: Batch) -> Batch:
    """The batch."""
    return batch


def reordered(batch: Batch) -> Batch:
    """The batch's images in another order."""
    order = torch.randperm(len(batch[1]), generator=torch.Generator().manual_seed(3))
    return batch[0][order], batch[1][order]


def channels_last(batch: Batch) -> Batch:
    """The batch's images in another memory layout."""
    return batch[0].contiguous(memory_format=torch.channels_last), batch[1]


VARIANTS: dict[str, tuple[str, Change, torch.dtype]] = {
    "plain": ("plain", as_it_is, torch.float32),
    "plain_reordered": ("plain", reordered, torch.float32),
    "plain_channels_last": ("plain", channels_last, torch.float32),
    "fused": ("fused", as_it_is, torch.float32),
    "plain_float64": ("plain", as_it_is, torch.float64),
    "fused_float64": ("fused", as_it_is, torch.float64),
}


def alphas(name: str, batches: Batches, options: dict[str, Any]) -> torch.Tensor:
    """Alpha after the search, (edges, operations), float64."""
    supernet, change, dtype = VARIANTS[name]
    stepper = our_stepper(batches[0], **options, supernet=supernet)
    start_anew(stepper)
    stepper.module.to(dtype)
    for batch in batches:
        changed = {part: change(data) for part, data in batch.items()}
        stepper.batch = {part: (images.to(dtype), y) for part, (images, y) in changed.items()}
        stepper.step()
    return stepper.module.strategy.groups[0].alpha.detach().double()


def start_anew(stepper: Any) -> None:
    """Forget the step that set the search up: the same weights and alphas for all variants."""
    torch.manual_seed(7)
    for module in stepper.module.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    generator = torch.Generator().manual_seed(1)
    for group in stepper.module.strategy.groups:
        group.initialise(1e-3, generator)
    for optimizer in stepper.trainer.optimizers:
        optimizer.state.clear()


def measure(steps: int, options: dict[str, Any]) -> dict[str, Any]:
    """The figures that ``--json`` prints."""
    batches = [random_batches(options["batch_size"], 32, seed) for seed in range(steps)]
    found = {name: alphas(name, batches, options) for name in VARIANTS}

    def gap(name: str, other: str) -> float:
        return float((found[name] - found[other]).abs().max())

    single = [name for name in VARIANTS if not name.endswith("float64")]
    return {
        "threads": torch.get_num_threads(),
        "steps": steps,
        **options,
        "gap_to_plain": {name: gap(name, "plain") for name in single[1:]},
        "gap_to_plain_float64": {
            name: gap(name, "plain_float64") for name in [*single, "fused_float64"]
        },
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="search steps")
    add_size(parser, cells=1, channels=8, batch=32)
    parser.add_argument("--lr", type=float, default=0.025, help="learning rate of the weights")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    options = {**options_of(given), "lr": given.lr, "lr_min": given.lr / 25}
    result = measure(given.steps, options)
    if given.json:
        print(json.dumps(result))
        return
    print(f"largest gap in alpha after {given.steps} steps, lr {given.lr}")
    print(f"{'variant':20s} {'to plain':>10s} {'to plain, float64':>18s}")
    for name, gap in result["gap_to_plain_float64"].items():
        to_plain = result["gap_to_plain"].get(name)
        print(f"{name:20s} {'' if to_plain is None else f'{to_plain:.1e}':>10s} {gap:18.1e}")


if __name__ == "__main__":
    main()
