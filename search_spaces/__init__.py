"""Cell graphs, operations and the search spaces.

Importing this needs NumPy only, no torch.
"""

from __future__ import annotations

from search_spaces.cell_graph import (
    NB201,
    OPERATIONS,
    CellGraph,
    Topology,
    Wiring,
    format_arch,
    parse_arch,
    topology,
)
from search_spaces.errors import SpaceError

__all__ = [
    "NB201",
    "OPERATIONS",
    "CellGraph",
    "SpaceError",
    "Topology",
    "Wiring",
    "format_arch",
    "parse_arch",
    "topology",
]
