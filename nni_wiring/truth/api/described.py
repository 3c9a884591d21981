"""A cell's mean figures as the lines of text that the official classes answer with."""

from __future__ import annotations

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api.results import ArchResults


def lines(info: ArchResults, extra: str | None, between: str) -> list[str]:
    """The cell, its trainings, and two lines for each of them: size and speed, then accuracies.

    Figures that the table lacks are left out.

    Args:
        extra: what the second line ends with.
        between: what stands between a loss and an accuracy.

    Raises:
        BenchmarkError: the table has none of a training's figures; it is named.
    """
    names = info.get_dataset_names()
    found = [info.arch_str, f"datasets : {names}, extra-info : {extra}"]
    for name in names:
        found.append(f"{name:14s} {_costs(info, name)}")
        found.append(f"{name:14s} {_accuracies(info, name, between)}")
    return found


def _costs(info: ArchResults, name: str) -> str:
    cost = info.get_compute_costs(name)
    size = ""
    if "flops" in cost:
        size = f"FLOP={cost['flops']:6.2f} M, Params={cost['params']:.3f} MB, "
    seconds = cost.get("latency")
    return f"{size}latency={'None' if seconds is None else f'{seconds * 1000:.2f}'} ms."


def _accuracies(info: ArchResults, name: str, between: str) -> str:
    parts, lacking = [], None
    for label, images in info.shown_of(name).items():
        try:
            one = info.get_metrics(name, images)
        except BenchmarkError as error:
            lacking = error
            continue
        pair = [f"loss = {one['loss']:.3f}"] if "loss" in one else []
        pair += [f"top1 = {one['accuracy']:.2f}%"] if "accuracy" in one else []
        parts.append(f"{label} : [{between.join(pair)}]")
    if not parts and lacking is not None:
        raise lacking
    return ", ".join(parts)
