"""Drop-ins for the classes of ``nas-bench-201`` (2.1) and ``nats_bench`` (1.8).

A script that was written for them changes one import; the answers come from a truth table, and the
source file is not read. What the table lacks is an error that names it.
"""

from nni_wiring.truth.api.nasbench201 import NASBench201API
from nni_wiring.truth.api.nats import NATStopology, create
from nni_wiring.truth.api.results import ArchResults, ResultsCount

__all__ = ["ArchResults", "NASBench201API", "NATStopology", "ResultsCount", "create"]
