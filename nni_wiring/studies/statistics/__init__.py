"""Statistics of the studies: intervals, exact tests, nulls, and the rules that verdicts follow."""

from nni_wiring.studies.statistics.exact import (
    MantelTest,
    holm,
    logistic_slope,
    mantel,
    names_permutation,
    paired_flip,
    permutation_slope,
)
from nni_wiring.studies.statistics.intervals import (
    Equivalence,
    Interval,
    equivalence,
    interval,
    known,
    partial_spearman,
    spearman,
)
from nni_wiring.studies.statistics.rules import (
    EquivalenceRule,
    FlipRule,
    IdentityRule,
    Rule,
    ShareRule,
    SlopeRule,
    binomial_verdict,
    flips_needed,
    runs_needed,
)
from nni_wiring.studies.statistics.verdict import ALPHA, Holds, Verdict
from nni_wiring.studies.statistics.walks import WalkNull, fallen, random_walk_null

__all__ = [
    "ALPHA",
    "Equivalence",
    "EquivalenceRule",
    "FlipRule",
    "Holds",
    "IdentityRule",
    "Interval",
    "MantelTest",
    "Rule",
    "ShareRule",
    "SlopeRule",
    "Verdict",
    "WalkNull",
    "binomial_verdict",
    "equivalence",
    "fallen",
    "flips_needed",
    "holm",
    "interval",
    "known",
    "logistic_slope",
    "mantel",
    "names_permutation",
    "paired_flip",
    "partial_spearman",
    "permutation_slope",
    "random_walk_null",
    "runs_needed",
    "spearman",
]
