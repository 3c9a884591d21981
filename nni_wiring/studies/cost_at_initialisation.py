"""Local costs with weights and alpha at their initialisation (S1)."""

from __future__ import annotations

from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.frame import Findings, Study, StudyRun
from nni_wiring.studies.operation_costs import (
    POSITIVE,
    measure_costs,
    plot_costs,
    uniform_options,
)

_SMALL = {"channels": 4, "cells": 1, "batch_size": 32}


def measure(run: StudyRun) -> Findings:
    """The costs of fresh supernets; operations are drawn uniformly, a new draw a batch."""

    def fresh(seed: int) -> OpenSearch:
        return open_search(run.config(**uniform_options(), seed=seed))

    return measure_costs(run, fresh, POSITIVE)


STUDY = Study(
    name="cost-at-initialisation",
    title="local costs at initialisation, weights and alpha frozen",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 8, "batches": 60},
    small={"space": "nasbench201", "head": "bias_free", **_SMALL},
    paper={"space": "minimal", "seeds": 8, "batches": 500, "batch_size": 96},
    measure=measure,
    plot=plot_costs("at initialisation"),
    rules=(POSITIVE,),
)
