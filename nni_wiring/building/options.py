"""BuildOptions: everything that defines a truth that is built, and what tells two of them apart."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from nni_wiring.building.cells import cells_named, check_codes, some_cell, space_cells
from nni_wiring.errors import BenchmarkError
from nni_wiring.train.config import make_train_config
from nni_wiring.truth.sources.containers import file_hash
from search_spaces.registry import SpaceEntry, space_entry

#: Seeds that a table file holds; 0 stands for one that is not known.
_SEEDS = range(1, 2**15)
#: Where and how fast cells are trained: two slices may differ in these.
_PLACE = frozenset({"device", "threads", "data_dir", "data"})
#: What a build says itself, cell by cell, or has no use for.
_NOT_TAKEN = frozenset({"arch", "seed", "benchmark", "dataset", "logger"})
#: Shares of the training after which it is evaluated unless `eval_epochs` says otherwise.
_FIDELITIES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class BuildOptions:
    """One truth: which cells are trained how often, and how.

    Attributes:
        training: the options of every training, checked and complete; without arch and seed.
        seeds: each cell is trained with each of them.
        cells: the codes of the cells that were listed, rising; None for all of the space.
        data_sha256: of the file of images, where the user named one; else None.
        kernels: whether cells train on the kernels for small ones; all of a table or none do.
    """

    training: Mapping[str, Any]
    seeds: tuple[int, ...]
    cells: tuple[int, ...] | None
    data_sha256: str | None
    kernels: bool = False

    @property
    def space(self) -> SpaceEntry:
        """The space that the cells are of."""
        return space_entry(str(self.training["space"]))

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that are tabulated: points of one training's curve, the last its end."""
        last = int(self.training["epochs"])
        return tuple(sorted({e for e in self.training["eval_epochs"] if e < last} | {last}))

    def flat(self) -> dict[str, Any]:
        """All options, ready for JSON; :func:`make_build_options` reads them."""
        cells = None if self.cells is None else list(self.cells)
        own = {"seeds": list(self.seeds), "cell_list": cells, "data_sha256": self.data_sha256}
        return {**self.training, **own, "kernels": self.kernels}

    def telling(self) -> dict[str, Any]:
        """The options that must be equal where rows are put together."""
        found = {name: value for name, value in self.flat().items() if name not in _PLACE}
        data = str(self.training["data"])
        return {**found, "data": data if self.data_sha256 is None else data.partition(":")[0] + ":"}

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`telling`, as hex."""
        return hashlib.sha256(json.dumps(self.telling(), sort_keys=True).encode()).hexdigest()

    def differences(self, other: BuildOptions) -> str:
        """The options in which ``other`` is another one: "lr 0.1 instead of 0.05, ..."; "" if none.

        The first value is the other's.
        """
        own, its = self.telling(), other.telling()
        names = [name for name in own if own[name] != its.get(name)]
        return ", ".join(f"{n} {_shown(its.get(n))} instead of {_shown(own[n])}" for n in names)


def make_build_options(values: Mapping[str, Any]) -> BuildOptions:
    """Check the options of `benchmark build`.

    Args:
        values: those of `train` without arch and seed; ``space`` and ``data`` must be there;
            ``seeds``: a list, or "1,2"; ``cell_list``: a file that lists cells, or their codes.

    Raises:
        WiringError: one line; the option, what is wrong with it, what is allowed.
    """
    given = dict(values)
    for name in ("space", "data"):
        if not isinstance(given.get(name), str):
            raise BenchmarkError(f"{name}: a build needs one; e.g. {name}={_EXAMPLES[name]}")
    for name in sorted(_NOT_TAKEN & {key for key, value in given.items() if value is not None}):
        raise BenchmarkError(
            f"{name}: no option of a build, which trains every cell with each of its seeds"
        )
    seeds, cells = seeds_of(given.pop("seeds", None)), given.pop("cell_list", None)
    known_hash, kernels = given.pop("data_sha256", None), given.pop("kernels", False)
    if not isinstance(kernels, bool):
        raise BenchmarkError(f"kernels: {kernels!r:.40}; allowed: true, false")
    entry = space_entry(given["space"])
    codes = _codes(entry, cells)
    given["threads"] = given.get("threads") or 1
    hashed = known_hash or _hash(given["data"])
    return BuildOptions(_training(entry, given), seeds, codes, hashed, kernels)


_EXAMPLES = {"space": "nasbench201_minimal", "data": "digits"}


def _codes(entry: SpaceEntry, cells: object) -> tuple[int, ...] | None:
    if cells is None:
        space_cells(entry)  # refuses what cannot be built
        return None
    if isinstance(cells, (str, Path)):
        return cells_named(entry, Path(cells))
    return check_codes(entry, cells)


def _training(entry: SpaceEntry, given: Mapping[str, Any]) -> dict[str, Any]:
    config = make_train_config({**given, "arch": some_cell(entry), "seed": 1})
    found = config.flat()
    if found["eval_epochs"] is None:
        last = config.theta.epochs
        found["eval_epochs"] = sorted({math.ceil(share * last) for share in _FIDELITIES})
    return {name: value for name, value in found.items() if name not in _NOT_TAKEN}


def seeds_of(value: object) -> tuple[int, ...]:
    """Different whole numbers from a list or from "1,2"; (1,) for None.

    Raises:
        BenchmarkError: one line; it is neither.
    """
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        value = [int(part) if re.fullmatch(r"[0-9]{1,9}", part) else part for part in parts]
    found = [1] if value is None else value if isinstance(value, Sequence) else [value]
    wrong = [seed for seed in found if type(seed) is not int or seed not in _SEEDS]
    if wrong or not found or len(set(found)) < len(found):
        problem = f"{wrong[0]!r:.40}" if wrong else "none" if not found else "one of them twice"
        raise BenchmarkError(
            f"seeds: {problem}; allowed: different whole numbers from {_SEEDS[0]} to {_SEEDS[-1]}, "
            "as 1,2,3"
        )
    return tuple(sorted(found))


def _hash(data: str) -> str | None:
    """SHA-256 of the file that the user's data names; None where it names none."""
    _, colon, path = data.partition(":")
    if not colon or not path:
        return None
    try:
        return file_hash(Path(path).expanduser())
    except OSError as error:
        name = PurePath(path).name
        raise BenchmarkError(f"data {name!r:.80}: cannot be read ({error.strerror})") from None


def _shown(value: object) -> str:
    text = "missing" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
