"""The truth beside every search: accuracies of all NAS-Bench-201 cells. Imports no torch."""

from nni_wiring.truth.catalogue import default_name, load_table, set_default, table_names
from nni_wiring.truth.formulas import flops, parameters
from nni_wiring.truth.metrics import CELLS, DATASETS, SPLITS
from nni_wiring.truth.published import PublishedRow, published_rows
from nni_wiring.truth.standing import Standing
from nni_wiring.truth.stats import stats
from nni_wiring.truth.storage import cache_dir
from nni_wiring.truth.table import Entry, TruthTable

__all__ = [
    "CELLS",
    "DATASETS",
    "SPLITS",
    "Entry",
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
    "table_names",
]
