"""Benchmarks that a user made (`benchmark build`): the cells of a known one, measured anew. Their
description stands in the header of their table, so that a table is all there is to pass on.
"""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.archive import BROKEN, read_header, table_file
from nni_wiring.truth.benchmark import Benchmark, Dataset, Protocol
from nni_wiring.validation import one_line_validation

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
_Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,400}$")]


class BuiltBenchmark(BaseModel):
    """The description of a benchmark that was built.

    Attributes:
        cells: the benchmark whose cells these are.
        space: whose cells the table holds; None for all of them, or a list of the user's.
        dataset: name of the one data set. data: its images under the names of the option ``data``.
        images: training images. epochs: the lengths of training that are tabulated, rising.
        network: channels, and cells per stage. optimiser: one line. settings: as options of a run.
    """

    model_config = ConfigDict(extra="forbid")

    name: _Name
    cells: _Name
    space: _Name | None
    dataset: _Name
    data: list[_Line]
    images: int = Field(ge=1)
    epochs: list[int] = Field(min_length=1)
    network: tuple[int, int]
    optimiser: _Line
    settings: dict[str, bool | int | float | str | None]

    def benchmark(self, base: Benchmark) -> Benchmark:
        """The benchmark, with the cells and the order of ``base``."""
        codec = copy.copy(base.codec)
        codec.name = self.name
        protocol = Protocol(
            images=dict.fromkeys(base.splits, self.images),
            epochs=tuple(self.epochs),
            channels=self.network[0],
            cells=self.network[1],
            optimiser=self.optimiser,
            settings=self.settings,
            one_curve=True,
        )
        return _Described(
            title=self.name,
            codec=codec,
            datasets=(Dataset(self.dataset, self.dataset, protocol, data=tuple(self.data)),),
            official_codes=base.official_codes,
            same_cells_as=base.name,
            space=self.space,
            description=self,
        )


class _Described(Benchmark):
    """A benchmark that keeps its own description."""

    def __init__(self, *, description: BuiltBenchmark, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "description", description)


def header_of(benchmark: Benchmark) -> dict[str, Any]:
    """The part of a table's header that says whose numbers it holds."""
    description = getattr(benchmark, "description", None)
    if not isinstance(description, BuiltBenchmark):
        return {"benchmark": benchmark.name}
    return {"benchmark": benchmark.name, "built": description.model_dump(mode="json")}


def parse_description(value: object, base: Callable[[str], Benchmark]) -> Benchmark:
    """Read a header's description.

    Args:
        value: as :func:`header_of` writes it.
        base: finds the benchmark whose cells it names.

    Raises:
        BenchmarkError: it is malformed, or the cells are of a benchmark that is not known.
    """
    try:
        description = BuiltBenchmark.model_validate(value)
    except ValidationError as error:
        known = BuiltBenchmark.model_fields
        raise BenchmarkError(one_line_validation(error, "built benchmark", known)) from None
    return description.benchmark(base(description.cells))


def described_in_table(name: str) -> Mapping[str, Any] | None:
    """The description in the header of the table ``name``; None where there is no such table, or
    one of a benchmark that was not built.
    """
    try:
        with regular_file(table_file(name)) as file, zipfile.ZipFile(file) as archive:
            built = read_header(archive).get("built")
    except BROKEN:
        return None
    return built if isinstance(built, dict) and built.get("name") == name else None


def canonical(value: object) -> str:
    """The text that equal descriptions share."""
    return json.dumps(value, sort_keys=True)
