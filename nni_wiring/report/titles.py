"""Names of data sets and splits as a reader knows them."""

from __future__ import annotations

DATASET_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16": "ImageNet16-120",
}
SPLIT_TITLES = {"valid": "validation", "test": "test"}
BENCHMARK_TITLES = {"nasbench201": "NAS-Bench-201"}


def metric_title(dataset: str, split: str) -> str:
    """`CIFAR-10 validation` and the like."""
    return f"{DATASET_TITLES.get(dataset, dataset)} {SPLIT_TITLES.get(split, split)}"


def benchmark_title(benchmark: str) -> str:
    """`NAS-Bench-201` and the like."""
    return BENCHMARK_TITLES.get(benchmark, benchmark)
