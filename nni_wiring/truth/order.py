"""The 15,625 arch strings, by code and in official order."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.cell_graph import NB201, OPERATIONS, format_arch


class OfficialOrder(NamedTuple):
    """Codes (15625,) and arch strings by official index."""

    codes: NDArray[np.int64]
    archs: list[str]


@lru_cache(maxsize=1)
def arch_strings() -> list[str]:
    """All arch strings by code; a template makes them far faster than one call a cell."""
    edges = len(NB201.edges)
    template = format_arch([0] * edges).replace(OPERATIONS[0], "{}")
    return [template.format(*names) for names in product(OPERATIONS, repeat=edges)]


@lru_cache(maxsize=1)
def code_by_arch() -> dict[str, int]:
    """Code of every arch string."""
    return {arch: code for code, arch in enumerate(arch_strings())}


def official_order(codes: NDArray[np.int64]) -> OfficialOrder:
    """Arch strings of a table's codes."""
    strings = arch_strings()
    return OfficialOrder(codes, [strings[code] for code in codes.tolist()])
