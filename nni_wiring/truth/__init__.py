"""The truth beside every search: benchmarks, and tables of their numbers. Imports no torch."""

from nni_wiring.truth.archive import cache_dir
from nni_wiring.truth.benchmark import (
    SPLIT_TITLES,
    Benchmark,
    Dataset,
    Measure,
    Protocol,
    PublishedRow,
)
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.benchmarks.nasbench201 import NASBENCH201
from nni_wiring.truth.catalogue import (
    default_name,
    load_table,
    set_default,
    table_for,
    table_names,
    table_of_run,
)
from nni_wiring.truth.formulas import flops, parameters
from nni_wiring.truth.order import Arch
from nni_wiring.truth.published import published_rows
from nni_wiring.truth.standing import Standing
from nni_wiring.truth.stats import stats
from nni_wiring.truth.table import Entry, TruthTable

# Of NAS-Bench-201; what has a table at hand asks its benchmark instead.
CELLS = NASBENCH201.cells
DATASETS = NASBENCH201.dataset_names
SPLITS = tuple(NASBENCH201.splits)
DATASET_TITLES = NASBENCH201.dataset_titles

__all__ = [
    "BENCHMARKS",
    "CELLS",
    "DATASETS",
    "DATASET_TITLES",
    "NASBENCH201",
    "SPLITS",
    "SPLIT_TITLES",
    "Arch",
    "Benchmark",
    "Dataset",
    "Entry",
    "Measure",
    "Protocol",
    "PublishedRow",
    "Standing",
    "TruthTable",
    "cache_dir",
    "default_name",
    "flops",
    "load_table",
    "parameters",
    "published_rows",
    "set_default",
    "stats",
    "table_for",
    "table_names",
    "table_of_run",
]
