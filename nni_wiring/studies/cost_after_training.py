"""Local costs after the weights were trained on uniformly sampled operations (S1)."""

from __future__ import annotations

from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.studies.cost_at_initialisation import STUDY as AT_INITIALISATION
from nni_wiring.studies.frame import Findings, Study, StudyRun
from nni_wiring.studies.operation_costs import (
    NEGATIVE,
    measure_costs,
    plot_costs,
    uniform_options,
)


def measure(run: StudyRun) -> Findings:
    """Train theta with alpha frozen, then measure with both frozen."""

    def trained(seed: int) -> OpenSearch:
        return reopen(run.search(f"uniform-s{seed}", **uniform_options(), seed=seed))

    return measure_costs(run, trained, NEGATIVE)


STUDY = Study(
    name="cost-after-training",
    title="local costs after training on uniformly sampled operations",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 8, "batches": 60},
    small={**AT_INITIALISATION.small, "epochs": 10, "max_steps": 60},
    paper={**AT_INITIALISATION.paper, "epochs": 150},
    measure=measure,
    plot=plot_costs("after training"),
    rules=(NEGATIVE,),
    sized=True,
)
