"""A cell's mean figures as the lines of text that the official classes answer with."""

from __future__ import annotations

from nni_wiring.truth.api.results import ArchResults

_SHOWN = {
    "cifar10-valid": (("train", "train"), ("valid", "x-valid")),
    "cifar10": (("train", "train"), ("test ", "ori-test")),
}
_SHOWN_ELSE = (("train", "train"), ("valid", "x-valid"), ("test", "x-test"))


def lines(info: ArchResults, extra: str | None, between: str) -> list[str]:
    """The cell, its trainings, and two lines for each of them: size and speed, then accuracies.

    Args:
        extra: what the second line ends with.
        between: what stands between a loss and an accuracy.
    """
    names = info.get_dataset_names()
    found = [info.arch_str, f"datasets : {names}, extra-info : {extra}"]
    for name in names:
        cost = info.get_compute_costs(name)
        seconds = cost.get("latency")
        latency = "None" if seconds is None else f"{seconds * 1000:.2f}"
        found.append(
            f"{name:14s} FLOP={cost['flops']:6.2f} M, Params={cost['params']:.3f} MB, "
            f"latency={latency} ms."
        )
        parts = []
        for label, images in _SHOWN.get(name, _SHOWN_ELSE):
            one = info.get_metrics(name, images)
            pair = f"loss = {one['loss']:.3f}{between}top1 = {one['accuracy']:.2f}%"
            parts.append(f"{label} : [{pair}]")
        found.append(f"{name:14s} {', '.join(parts)}")
    return found
