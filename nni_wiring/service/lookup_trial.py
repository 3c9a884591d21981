"""A trial that looks its cell up: `python -m nni_wiring.service.lookup_trial`, started by NNI.

It imports neither torch nor NNI's NAS, since a look-up should not cost seconds. Parameters: one
operation an edge ("0-1", ...), and optionally dataset, split, epochs, benchmark.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from nni_wiring.errors import ConfigError, WiringError
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, OPERATIONS, format_arch

#: None: the data set that the table has first, and its longest training.
_OPTIONS = {"dataset": None, "split": "valid", "epochs": None, "benchmark": None}


def look_up(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The final metric of one cell.

    Returns:
        "default" (accuracy in percent), the arch string, its official index, every other
        accuracy that the table has, and all parameters: NNI may show them beside another trial.

    Raises:
        ConfigError: a parameter is unknown or wrong.
        BenchmarkError: the table has no such accuracy.
    """
    unknown = [name for name in parameters if name not in (*NB201.edge_names, *_OPTIONS)]
    if unknown:
        allowed = ", ".join((*NB201.edge_names, *_OPTIONS))
        raise ConfigError(f"unknown parameter {unknown[0]!r}; allowed: {allowed}")
    chosen = [parameters.get(edge) for edge in NB201.edge_names]
    for edge, operation in zip(NB201.edge_names, chosen, strict=True):
        if operation not in OPERATIONS:
            raise ConfigError(f"{edge} = {operation!r}; allowed: {', '.join(OPERATIONS)}")
    options = {**_OPTIONS, **{key: parameters[key] for key in _OPTIONS if key in parameters}}
    table = load_table(options["benchmark"])
    dataset = options["dataset"] or table.benchmark.dataset_names[0]
    values = table.values(dataset, options["split"], options["epochs"])
    arch = format_arch([OPERATIONS.index(str(operation)) for operation in chosen])
    index = table.index_of(arch)
    accuracy = table.query(index, options["epochs"])["accuracy"]
    others = {
        f"{name}/{split}": value
        for name, splits in accuracy.items()
        for split, value in splits.items()
        if value is not None
    }
    metric = {"default": round(float(values[index]), 4), "arch": arch, "index": index}
    return {**metric, **others, **parameters}


def main() -> None:
    """Ask NNI for parameters, report the final metric; exits with 1 and one line on bad ones."""
    import nni

    parameters = nni.get_next_parameter()
    if not parameters or not isinstance(parameters, dict):
        _fail("NNI sent no parameters; this program is started by `nnictl create`")
    try:
        metric = look_up(parameters)
    except WiringError as error:
        _fail(str(error))
    nni.report_final_result(metric)


def _fail(line: str) -> NoReturn:
    print(f"error: {line}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
