"""A benchmark of your own: what is known of the 27 triangular cells, apart from the numbers.

The numbers come with `benchmark import FILE.csv`, whose first line is `# benchmark: triangle27`.
"""

from collections.abc import Iterable

from nni_wiring.truth.benchmark import Benchmark, Dataset, Measure, Protocol
from nni_wiring.truth.benchmarks import BENCHMARKS
from search_spaces.cell_codec import CODECS, CellCodec, check_ops
from search_spaces.cell_graph import CellGraph

TRIANGLE = CellGraph(inputs=(0,), nodes=3, edges=((0, 1), (0, 2), (1, 2)), outputs=(2,))
LETTERS = "nsc"


class LetterCodec(CellCodec):
    """A cell is spelt with one letter per edge: ``nsc`` is none, skip_connect, nor_conv_3x3."""

    def parse(self, arch: str) -> tuple[int, ...]:
        """Read a cell's letters."""
        if len(arch) != self.edges or not set(arch) <= set(LETTERS):
            raise self.malformed(arch, "not one letter per edge")
        return tuple(LETTERS.index(letter) for letter in arch)

    def spell(self, ops: Iterable[int]) -> str:
        """Write a cell's letters."""
        row = check_ops([*ops], self.edges, len(self.operations))[0]
        return "".join(LETTERS[index] for index in row)


CODEC = CODECS.register(
    LetterCodec(
        "triangle27", TRIANGLE, ("none", "skip_connect", "nor_conv_3x3"), "3 letters of n, s, c"
    )
)
PROTOCOL = Protocol({}, epochs=(10,), channels=4, cells=2, optimiser="SGD, lr .1, batch 64")
TRIANGLE27 = Benchmark(
    title="Triangle-27",
    codec=CODEC,
    datasets=(Dataset("blobs", "blobs", PROTOCOL, Measure("top-1 accuracy")),),
)
BENCHMARKS.register(TRIANGLE27)
