"""The cells that a build is asked for, as codes of the benchmark that spells them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import BenchmarkError, SpaceError
from nni_wiring.files.regular import regular_file
from nni_wiring.train.arch import parse_cell
from search_spaces.cell_codec import CODECS, CellCodec
from search_spaces.registry import SPACES, SpaceEntry

#: A space of more cells is not trained whole.
MOST_CELLS = 20_000
_MOST_BYTES = 16 * 2**20


def codec_of(entry: SpaceEntry) -> CellCodec:
    """The codec of the space's cells; BenchmarkError where no benchmark spells them."""
    name = entry.truth_benchmark()
    if name is None:
        known = ", ".join(one.name for one in SPACES.values() if one.tabulated())
        raise BenchmarkError(
            f"space {entry.name}: no benchmark spells its cells, so no table can hold them; "
            f"allowed: {known}"
        )
    return CODECS.lookup(name)


def space_cells(entry: SpaceEntry) -> NDArray[np.int64]:
    """The codes of all cells of the space, rising.

    Raises:
        BenchmarkError: there are too many, or no benchmark spells them.
    """
    count = entry.cells()
    if count > MOST_CELLS:
        raise BenchmarkError(
            f"space {entry.name} has {count:,} cells; at most {MOST_CELLS:,} are trained, or those "
            "that --cells FILE lists"
        )
    codec = codec_of(entry)
    choices = [codec.indices(names) for names in entry.operations().values()]
    return np.sort(codec.code(np.array(list(product(*choices)))))


def some_cell(entry: SpaceEntry) -> str:
    """A cell of the space, for checks of what has nothing to do with the cell."""
    codec = codec_of(entry)
    return codec.spell(codec.indices(names[0] for names in entry.operations().values()))


def cells_named(entry: SpaceEntry, path: Path) -> tuple[int, ...]:
    """The codes of the cells that a file lists, rising: a cell a line as `train` takes them; empty
    lines and lines that start with # are passed over.

    Raises:
        BenchmarkError: the file cannot be read, or lists none.
        SpaceError: a line is no cell of the space; file and line are named.
    """
    try:
        with regular_file(path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise BenchmarkError(f"{path}: more than {_MOST_BYTES:,} bytes")
        lines = content.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: not a list of cells ({error})") from None
    codec, found = codec_of(entry), set()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            cell = parse_cell(entry, text)
        except SpaceError as error:
            raise SpaceError(f"{path} line {number}: {error}") from None
        found.add(int(codec.code(codec.indices(cell.values()))))
    if not found:
        raise BenchmarkError(f"{path}: it lists no cells; expected one a line")
    return tuple(sorted(found))


def check_codes(entry: SpaceEntry, codes: object) -> tuple[int, ...]:
    """Codes as a build's folder keeps them; BenchmarkError unless each is a cell of the space."""
    codec, allowed = codec_of(entry), entry.operations().values()
    given = list(codes) if isinstance(codes, (list, tuple)) else []
    if not given or any(type(code) is not int for code in given) or sorted(set(given)) != given:
        raise BenchmarkError("cell_list: must be a file that lists cells, or rising cell numbers")
    for code in given:
        inside = 0 <= code < codec.size
        names = [codec.operations[k] for k in codec.cells[code]] if inside else []
        if not inside or any(n not in one for n, one in zip(names, allowed, strict=True)):
            raise BenchmarkError(f"cell_list: {code} is no cell of space {entry.name}")
    return tuple(given)
