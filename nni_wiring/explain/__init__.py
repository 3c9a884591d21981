"""Reasons for a chosen cell, edge by edge, and the cost of each choice. Imports no torch.

``explain`` puts the parts together; ``over_runs`` averages explanations; ``told`` words one.
"""

from nni_wiring.explain.assemble import Run, explain
from nni_wiring.explain.cost_gap import CostGap
from nni_wiring.explain.decisions import EdgeDecision, edge_decisions
from nni_wiring.explain.explanation import BestCell, EdgeExplanation, Explanation
from nni_wiring.explain.landscape import Landscape, landscape
from nni_wiring.explain.over_runs import MeanShare, over_runs
from nni_wiring.explain.repairs import Repair, best_repairs
from nni_wiring.explain.sentences import Told, over_runs_sentences, sentences, told
from nni_wiring.explain.shapley import shapley
from nni_wiring.explain.timeline import EpochStep, timeline

__all__ = [
    "BestCell",
    "CostGap",
    "EdgeDecision",
    "EdgeExplanation",
    "EpochStep",
    "Explanation",
    "Landscape",
    "MeanShare",
    "Repair",
    "Run",
    "Told",
    "best_repairs",
    "edge_decisions",
    "explain",
    "landscape",
    "over_runs",
    "over_runs_sentences",
    "sentences",
    "shapley",
    "timeline",
    "told",
]
