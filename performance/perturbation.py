"""CPU seconds of deciding one edge by perturbation: the supernet whole, and with each operation of
the edge masked, on one batch; all variants in one pass against one after the other.

    python performance/perturbation.py --rounds 3 --json

For every edge of the group, the median of the rounds, and the mean over the edges. Both ways
give the same counts of correct images but for rounding in float32.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

import torch
from stepping import add_size, alternate, options_of, our_stepper, random_batches

from nni_wiring.supernet.evaluation import supernet_accuracy
from nni_wiring.supernet.variants import supernet_accuracies


def variants_of(groups: Any, number: int, edge: int) -> list[dict[str, torch.Tensor]]:
    """softmax(alpha) as it is, and with each operation of an edge of a group masked."""
    whole = {group.name: torch.softmax(group.logits().detach(), dim=-1) for group in groups}
    name, variants = groups[number].name, [whole]
    for k in groups[number].allowed[edge]:
        masked = whole[name].clone()
        masked[edge, k] = 0
        variants.append({**whole, name: masked})
    return variants


def measure(options: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """The figures that ``--json`` prints."""
    stepper = our_stepper(random_batches(given.batch, given.side), **options)
    module: Any = stepper.module
    batches = [stepper.batch["val"]]
    found: dict[str, dict[str, float]] = {}
    for edge, name in enumerate(module.groups[given.group].edges):
        if given.edges and name not in given.edges:
            continue
        variants = variants_of(module.groups, given.group, edge)

        def together(variants: list[Any] = variants) -> None:
            supernet_accuracies(module.model, batches, variants)

        def alone(variants: list[Any] = variants) -> None:
            for z in variants:
                supernet_accuracy(module.model, batches, z)

        steps = {"alone": alone, "together": together}
        found[name] = alternate(steps, given.rounds).medians()
    means = {
        way: statistics.mean(seconds[way] for seconds in found.values())
        for way in ("alone", "together")
    }
    return {**options, "side": given.side, "edges": found, "mean": means}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_size(parser, cells=1, channels=8)
    parser.add_argument("--side", type=int, default=16, help="pixels of an image's side")
    parser.add_argument("--space", choices=["nasbench201", "darts"], default="nasbench201")
    parser.add_argument("--supernet", choices=["auto", "plain", "fused"], default="auto")
    parser.add_argument("--compile", action="store_true", help="compiled cells")
    parser.add_argument("--strategy", default="darts", help="the method of the supernet")
    parser.add_argument("--group", type=int, default=0, help="DARTS: 0 normal, 1 reduction cells")
    parser.add_argument("--edges", nargs="+", help="edges to mask, such as 0-1; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = ("supernet", "compile", "strategy")
    options = {**options_of(given), **{name: getattr(given, name) for name in names}}
    result = measure(options, given)
    if given.json:
        print(json.dumps(result))
        return
    print(f"{'edge':>6s} {'alone':>8s} {'together':>9s}")
    for name, seconds in [*result["edges"].items(), ("mean", result["mean"])]:
        print(f"{name:>6s} {seconds['alone']:8.3f} {seconds['together']:9.3f}")


if __name__ == "__main__":
    main()
