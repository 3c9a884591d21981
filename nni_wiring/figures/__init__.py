"""Pictures of a run, drawn from plain data (see `series` and `analysis` for where it comes from).

Every function returns a new matplotlib Figure that belongs to no window and needs no closing. The
parts live in modules of their own; this one is where the rest of the project imports them from.
"""

from nni_wiring.figures.cell_picture import cell_drawing, cell_graph_figure
from nni_wiring.figures.edge_figures import (
    cost_heat_map_figure,
    edge_series_figure,
    wiring_timeline_figure,
)
from nni_wiring.figures.rank_figures import critical_difference_figure
from nni_wiring.figures.truth_figures import (
    Mark,
    Strip,
    comparison_figure,
    regret_figure,
    truth_histogram_figure,
)

__all__ = [
    "Mark",
    "Strip",
    "cell_drawing",
    "cell_graph_figure",
    "comparison_figure",
    "cost_heat_map_figure",
    "critical_difference_figure",
    "edge_series_figure",
    "regret_figure",
    "truth_histogram_figure",
    "wiring_timeline_figure",
]
