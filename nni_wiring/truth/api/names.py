"""A benchmark in the words of the official APIs: its trainings, their images, their networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.benchmark import Benchmark
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.metrics import CostKey
from nni_wiring.truth.sources.official_records import IMAGES, RUNS, cost_key

#: Shape of a training's answers: the name of the figures -> the images that they belong to.
_VALID_OF_TRAINING = {"train": "train", "valid": "x-valid", "test": "ori-test"}
_PARTS_OF_TEST = {"train": "train", "valid": "x-valid", "test": "x-test"}


@dataclass(frozen=True)
class Names:
    """The official names of a benchmark's trainings.

    Attributes:
        runs: the trainings.
        evaluated: training -> the images that it was evaluated on.
        columns: (training, images) -> (data set, split) of the table's column.
        datasets: training -> data set of the benchmark.
        classes: training -> number of classes, where it is known.
        figures: training -> {name in ``get_more_info``: images}.
        shown: training -> {label in the text of a cell: images}.
        searched: data set that a search may name -> the training that validates it.
    """

    runs: tuple[str, ...]
    evaluated: Mapping[str, tuple[str, ...]]
    columns: Mapping[tuple[str, str], tuple[str, str]]
    datasets: Mapping[str, str]
    figures: Mapping[str, Mapping[str, str]]
    shown: Mapping[str, Mapping[str, str]]
    searched: Mapping[str, str]
    classes: Mapping[str, int] = field(default_factory=dict)

    def part(self, dataset: str, split: str) -> tuple[str, str]:
        """The training and its images that stand for a split of a data set; official names pass."""
        if dataset == "cifar10" and split == "valid" and "cifar10-valid" in self.runs:
            return "cifar10-valid", "x-valid"
        images = self.figures.get(dataset, {})
        if dataset != "cifar10-valid" and split in ("valid", "test"):
            return dataset, images.get(split, split)
        return dataset, split

    def cost(self, run: str, what: str) -> CostKey:
        """The table's column for seconds on some images of a training, or its "latency"."""
        key = cost_key(run, what)
        if run in RUNS or what != "train":
            return key
        return CostKey("train_epoch", self.datasets[run])


_SHOWN = {"train": "train", "valid": "x-valid", "test": "x-test"}
OFFICIAL = Names(
    runs=RUNS,
    evaluated={
        "cifar10-valid": ("x-valid", "ori-test"),
        "cifar10": ("ori-test",),
        "cifar100": IMAGES[1:],
        "ImageNet16-120": IMAGES[1:],
    },
    columns={curve: column for column, curve in NASBENCH201.curves.items()},
    datasets={
        "cifar10-valid": "cifar10",
        "cifar10": "cifar10",
        "cifar100": "cifar100",
        "ImageNet16-120": "imagenet16",
    },
    figures={
        "cifar10-valid": _VALID_OF_TRAINING,
        "cifar10": _VALID_OF_TRAINING,
        "cifar100": {**_PARTS_OF_TEST, "valtest": "ori-test"},
        "ImageNet16-120": {**_PARTS_OF_TEST, "valtest": "ori-test"},
    },
    shown={
        "cifar10-valid": {"train": "train", "valid": "x-valid"},
        "cifar10": {"train": "train", "test ": "ori-test"},
        "cifar100": _SHOWN,
        "ImageNet16-120": _SHOWN,
    },
    searched={
        "cifar10": "cifar10-valid",
        "cifar100": "cifar100",
        "ImageNet16-120": "ImageNet16-120",
    },
    classes={"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120},
)


def names_of(benchmark: Benchmark, table: str) -> Names:
    """NAS-Bench-201's own names; of a benchmark built on its cells one training a data set, whose
    ``valid`` and ``test`` are ``x-valid`` and ``x-test``.

    Raises:
        BenchmarkError: the cells are others; ``table`` is named.
    """
    if benchmark is NASBENCH201:
        return OFFICIAL
    if benchmark.family != NASBENCH201.name:
        raise BenchmarkError(
            f"table {table!r} is of {benchmark.title}; this API answers from tables of "
            "NAS-Bench-201's cells"
        )
    runs = benchmark.dataset_names
    images = {split: f"x-{split}" for split in benchmark.splits}
    return Names(
        runs=runs,
        evaluated=dict.fromkeys(runs, tuple(images.values())),
        columns={(run, name): (run, split) for run in runs for split, name in images.items()},
        datasets={run: run for run in runs},
        figures=dict.fromkeys(runs, _PARTS_OF_TEST),
        shown=dict.fromkeys(runs, _SHOWN),
        searched={run: run for run in runs},
    )
