"""The 4,096 cells of TransNAS-Bench-101 micro (Duan et al., CVPR 2021), without torch.

The graph is NAS-Bench-201's; the operations are its first four.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from search_spaces.cell_codec import CODECS, CellCodec, check_ops
from search_spaces.graph import NB201

#: In the benchmark's own numbering: 0 none, 1 skip, 2 convolution 1x1, 3 convolution 3x3.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")

#: Base channels and macro skeleton, the same for all cells of the micro space.
_SKELETON = "64-41414-"


class DigitCodec(CellCodec):
    """Cells spelt as ``64-41414-1_02_333``: after the macro skeleton one group per node, in it one
    operation index per edge, by source.
    """

    def parse(self, arch: str) -> tuple[int, ...]:
        """Read a cell's string, with or without the skeleton in front of it."""
        if not isinstance(arch, str) or not arch.strip():
            raise self.malformed(arch, "not an arch string")
        groups = arch.strip().removeprefix(_SKELETON).split("_")
        if [len(group) for group in groups] != [1, 2, 3]:
            raise self.malformed(arch, "its nodes must have 1, 2 and 3 digits")
        digits = "".join(groups)
        allowed = "".join(str(index) for index in range(len(self.operations)))
        wrong = re.search(f"[^{allowed}]", digits)
        if wrong:
            known = ", ".join(f"{index} {name}" for index, name in enumerate(self.operations))
            problem = f"operation {wrong[0]!r} on edge {self.graph.edge_names[wrong.start()]}"
            raise self.malformed(arch, f"{problem} is not known", f"allowed: {known}")
        return tuple(int(digit) for digit in digits)

    def spell(self, ops: Iterable[int]) -> str:
        """Write a cell's string."""
        digits = check_ops([*ops], self.edges, len(self.operations))[0]
        a, b, c, d, e, f = digits.tolist()
        return f"{_SKELETON}{a}_{b}{c}_{d}{e}{f}"


TRANSNAS101_MICRO = CODECS.register(
    DigitCodec("transnas101_micro", NB201, OPERATIONS, f"{_SKELETON}A_BC_DEF with digits 0..3")
)
